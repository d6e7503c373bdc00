"""How often edits bring what they imply, by what training showed and what the model knew before
(methods 6.6)."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd

from coemerge.statistics.resampling import hierarchical_means
from coemerge.studies.knowledge_neurons.checks import CHECKS
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.shared.means import Rows

ALL = "all"
PRE, POST, DIFFERENCE = "pre", "post", "difference"
MOMENTS = (PRE, POST, DIFFERENCE)
_FACT = ["edited", "asked", "fact_id"]
_NOTHING = {"value": np.nan, "sd": np.nan, "low": np.nan, "high": np.nan, "n": 0}


def conditions(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Bool [N] each: rows of ``ImplicationsRecord`` that belong to it. Where nobody knows what
    training showed they are in neither of stated and not_stated."""
    known = frame["known"].to_numpy(bool)
    stated, not_stated = ((frame["stated"] == answer).to_numpy() for answer in ("yes", "no"))
    return {
        ALL: np.ones(len(frame), bool),
        "known": known,
        "unknown": ~known,
        "stated": stated,
        "not_stated": not_stated,
        "stated_known": stated & known,
        "not_stated_known": not_stated & known,
    }


def implication_rates(frames: Sequence[pd.DataFrame], config: KnowledgeNeuronsConfig) -> Rows:
    """``ImplicationRatesRecord`` of the ``ImplicationsRecord`` of each model.

    Of all arms together every condition has its rows, with n = 0 where it has no facts; of single
    arms those that have some. Means over facts, intervals over seeds, then facts. A difference is
    that of each fact, post - pre. None where nothing was edited.
    """
    rows: Rows = []
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if frame.empty:
        return rows
    for family in CHECKS:
        own = frame[frame["family"] == family]
        for edited in (ALL, *sorted(set(own["edited"]))):
            of_relation = own if edited == ALL else own[own["edited"] == edited]
            for arm in (ALL, *sorted(set(of_relation["arm"]))):
                chosen = of_relation if arm == ALL else of_relation[of_relation["arm"] == arm]
                keys = {"family": family, "edited": edited, "arm": arm}
                rows += _rates(chosen, keys, config)
    return rows


def _rates(frame: pd.DataFrame, keys: dict[str, str], config: KnowledgeNeuronsConfig) -> Rows:
    """One row for each condition, editor, check and moment."""
    found = _means(frame, config)
    return [
        {**keys, "condition": condition, "editor": editor, "check": check,
         "expected": CHECKS[keys["family"]][check].expected, "moment": moment, **cell}
        for condition, editor, check, moment in product(
            conditions(frame), config.editors, CHECKS[keys["family"]], MOMENTS
        )
        if (cell := found.get((condition, editor, check, moment), _NOTHING))["n"]
        or keys["arm"] == ALL
    ]  # fmt: skip


def _means(frame: pd.DataFrame, config: KnowledgeNeuronsConfig) -> dict[tuple, dict]:
    """(condition, editor, check, moment) -> columns of its row, of those that have facts."""
    if frame.empty:
        return {}
    values = _columns(frame)
    names: dict[bytes, list[tuple]] = {}  # a column of the same facts and values is averaged once
    for name in values:
        names.setdefault(values[name].to_numpy().tobytes(), []).append(name)
    distinct = values[[alike[0] for alike in names.values()]]
    tables = [table.to_numpy() for _, table in distinct.groupby(level="seed")]
    found = hierarchical_means(tables, config.seed, config.bootstrap_draws)
    return {
        name: {
            "value": float(found.mean[place]),
            "sd": float(found.sd[place]),
            "low": float(found.low[place]),
            "high": float(found.high[place]),
            "n": int(found.n[place]),
        }
        for place, alike in enumerate(names.values())
        for name in alike
    }


def _columns(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed and fact, a column (condition, editor, check, moment); NaN where a fact
    is not of the condition. Columns without a value are missing."""
    index = ["seed", *_FACT]
    facts = frame.drop_duplicates(index).set_index(index)
    moments = frame.assign(difference=frame[POST] - frame[PRE])
    wide = moments.pivot(index=index, columns=["editor", "check"], values=list(MOMENTS))
    wide = wide.reindex(facts.index)
    columns = dict(_within(wide, conditions(facts)))
    return pd.DataFrame(columns, index=facts.index).dropna(axis=1, how="all")


def _within(
    wide: pd.DataFrame, of: dict[str, np.ndarray]
) -> Iterator[tuple[tuple[str, str, str, str], np.ndarray]]:
    for condition, members in of.items():
        for moment, editor, check in wide:
            values = wide[(moment, editor, check)].to_numpy(float)
            yield (condition, editor, check, moment), np.where(members, values, np.nan)
