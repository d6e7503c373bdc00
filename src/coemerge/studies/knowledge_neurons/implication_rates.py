"""How often edits bring what they imply, by what training showed and what the model knew before
(methods 6.6)."""

from collections.abc import Sequence
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
Cell = tuple[str, str, str, str]  # condition, moment, editor, check
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
        if (cell := found.get((condition, moment, editor, check), _NOTHING))["n"]
        or keys["arm"] == ALL
    ]  # fmt: skip


def _means(frame: pd.DataFrame, config: KnowledgeNeuronsConfig) -> dict[Cell, dict]:
    """The columns of a row for each cell that has facts."""
    if frame.empty:
        return {}
    names, columns, seeds = _columns(frame)
    alike: dict[bytes, list[int]] = {}  # columns of the same facts and values, averaged once
    for place, column in enumerate(columns):
        alike.setdefault(column.tobytes(), []).append(place)
    distinct = columns[[places[0] for places in alike.values()]].T
    tables = [distinct[seeds == seed] for seed in np.unique(seeds)]
    found = hierarchical_means(tables, config.seed, config.bootstrap_draws)
    return {
        names[place]: {
            "value": float(found.mean[row]),
            "sd": float(found.sd[row]),
            "low": float(found.low[row]),
            "high": float(found.high[row]),
            "n": int(found.n[row]),
        }
        for row, places in enumerate(alike.values())
        for place in places
    }


def _columns(frame: pd.DataFrame) -> tuple[list[Cell], np.ndarray, np.ndarray]:
    """(cells, the values [cells,F] of every seed's facts, NaN for a fact that is not in a cell,
    seeds [F]); cells without a fact are left out."""
    index = ["seed", "edited", "asked", "fact_id"]
    moments = frame.assign(difference=frame[POST] - frame[PRE])
    wide = moments.pivot(index=index, columns=["editor", "check"], values=list(MOMENTS))
    facts = frame.drop_duplicates(index).set_index(index).loc[wide.index]
    of = conditions(facts)
    members = np.stack(list(of.values()))[:, None]
    values = np.where(members, wide.to_numpy(float).T, np.nan).reshape(-1, len(facts))
    cells = [(name, *of_cell) for name in of for of_cell in wide.columns]
    there = np.flatnonzero((~np.isnan(values)).any(axis=1))
    seeds = facts.index.get_level_values("seed").to_numpy()
    return [cells[i] for i in there], values[there], seeds
