"""How often edits bring what they imply, by what training showed and what the model knew before
(methods 6.6)."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from coemerge.statistics.intervals import wilson_mean
from coemerge.statistics.resampling import hierarchical_means
from coemerge.studies.knowledge_neurons.checks import CHECKS
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.shared.means import Rows

ALL = "all"
PRE, POST, DIFFERENCE = "pre", "post", "difference"
MOMENTS = (PRE, POST, DIFFERENCE)
Cell = tuple[str, str, str, str]  # condition, moment, editor, check
_OF_ONE_EDIT = ["seed", "edited", "asked", "fact_id", "editor"]
_FACT = _OF_ONE_EDIT[:-1]
_NOTHING = {"value": np.nan, "sd": np.nan, "low": np.nan, "high": np.nan, "n": 0}


def conditions(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Bool [N] each: rows of ``ImplicationsRecord`` that belong to it. Where nobody knows what
    training showed they are in neither of stated and not_stated. Which edits took, and left alone
    what else is said of the subject, differs between editors."""
    took, kept = (_fulfilled(frame, check) for check in ("rewrite", "unrelated_kept"))
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
        "took": took,
        "took_known": took & known,
        "took_stated_known": took & stated & known,
        "took_known_kept": took & known & kept,
    }


def _fulfilled(frame: pd.DataFrame, check: str) -> np.ndarray:
    """Bool [N]: rows of edits under which all of the check's answer is said."""
    is_so = (frame["check"] == check) & (frame[POST] == 1)
    return is_so.groupby([frame[name] for name in _OF_ONE_EDIT]).transform("any").to_numpy(bool)


def implication_rates(frames: Sequence[pd.DataFrame], config: KnowledgeNeuronsConfig) -> Rows:
    """``ImplicationRatesRecord`` of the ``ImplicationsRecord`` of each model.

    Of all arms together every condition has its rows, with n = 0 where it has no facts; of single
    arms those that have some. Means over facts, intervals over seeds, then roots: a fact and what
    restates it are no two units. A difference is that of each fact, post - pre. None where nothing
    was edited.
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
    names, columns, facts = _columns(frame)
    alike: dict[bytes, list[int]] = {}  # columns of the same facts and values, averaged once
    for place, column in enumerate(columns):
        alike.setdefault(column.tobytes(), []).append(place)
    distinct = columns[[places[0] for places in alike.values()]].T
    of_seeds = list(facts.groupby("seed").indices.values())
    roots = facts["root"].to_numpy()
    units = facts.groupby(["seed", "root"]).ngroup().to_numpy()
    found = hierarchical_means(
        [distinct[own] for own in of_seeds],
        config.seed,
        config.bootstrap_draws,
        units=[roots[own] for own in of_seeds],
    )
    ends = np.stack([found.low, found.high], axis=1)
    cells = {}
    for row, places in enumerate(alike.values()):
        there = ~np.isnan(distinct[:, row])
        n_units = len(np.unique(units[there]))
        for place in places:
            low, high = _interval(distinct[there, row], ends[row], n_units, names[place][1])
            cells[names[place]] = {
                "value": float(found.mean[row]),
                "sd": float(found.sd[row]),
                "low": float(low),
                "high": float(high),
                "n": int(found.n[row]),
            }
    return cells


def _interval(
    values: np.ndarray, ends: np.ndarray, n_units: int, moment: str
) -> tuple[float, float]:
    """``ends`` of the bootstrap, but where every value is the same bound: what resampling calls
    certain there is Wilson's for as many units. A difference of 0 may be one of either sign."""
    mean, lowest = values[0], -1 if moment == DIFFERENCE else 0
    if n_units < 2 or np.ptp(values) > 0 or mean not in (-1, 0, 1):
        return ends[0], ends[1]
    half = wilson_mean(np.zeros(n_units), 0).high
    span = half * (1 + abs(mean)) if moment == DIFFERENCE else half
    return max(mean - span, lowest), min(mean + span, 1)


def _columns(frame: pd.DataFrame) -> tuple[list[Cell], np.ndarray, pd.DataFrame]:
    """(cells, the values [cells,F] of every seed's facts, NaN for a fact that is not in a cell,
    seed and root of each); cells without a fact are left out."""
    of = conditions(frame)
    told = frame.assign(difference=frame[POST] - frame[PRE], **of)
    names = [*MOMENTS, *of]
    wide = told.astype(dict.fromkeys(names, float)).pivot(
        index=_FACT, columns=["editor", "check"], values=names
    )
    asked = wide[PRE].columns
    by_name = {name: wide[name][asked].to_numpy().T for name in names}  # [asked, F] each
    cells, values = [], []
    for condition, moment in product(of, MOMENTS):
        cells += [(condition, moment, *pair) for pair in asked]
        values.append(np.where(by_name[condition] == 1, by_name[moment], np.nan))
    columns = np.concatenate(values)
    there = np.flatnonzero((~np.isnan(columns)).any(axis=1))
    facts = frame.drop_duplicates(_FACT).set_index(_FACT)[["root"]].loc[wide.index].reset_index()
    return [cells[i] for i in there], columns[there], facts
