"""Does an edit of one side show on the other? The cross-side table, harmonic means and transfer
indices (methods 4.2, 4.3), from the scores of single edits."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from coemerge.statistics.resampling import hierarchical_sums
from coemerge.studies.entity_relation.cases import ENTITY, RELATION, SIDES
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.shared.means import Rows, means

ALL = "all"
LEAST_GAIN = 0.02  # methods 2.11: a ratio with a smaller denominator is not defined
_CELL = ["arm", "editor", "edit_side", "probe", "measure"]
_UNIT = ["seed", "fact_id"]


def with_all(edits: pd.DataFrame) -> pd.DataFrame:
    """Every arm, and all facts; where there is one arm it is all."""
    if edits["arm"].nunique() == 1:
        return edits.assign(arm=ALL)
    return pd.concat([edits.assign(arm=ALL), edits], ignore_index=True)


def cross_side(edits: pd.DataFrame, config: EntityRelationConfig) -> Rows:
    """``CrossSideRecord``, of ``SideEditsRecord`` rows."""
    edits = with_all(edits)
    values = {
        "pre": edits["pre"],
        "post": edits["post"],
        "difference": edits["post"] - edits["pre"],
    }
    long = pd.concat(edits.assign(value=value, moment=moment) for moment, value in values.items())
    totals = edits.groupby(_CELL)["fact_id"].size()
    return [
        {**row, "n_total": int(totals.loc[tuple(row[key] for key in _CELL)])}
        for row in means(long, [*_CELL, "moment"], "value", config)
    ]


def side_means(edits: pd.DataFrame, config: EntityRelationConfig) -> Rows:
    """``SideMeansRecord``: facts that both probes are defined for."""
    rows: Rows = []
    for moment in ("pre", "post"):
        cell = ["arm", "editor", "edit_side", "measure"]
        for key, sides in _by_probe(with_all(edits), cell, moment):
            value, low, high, _ = hierarchical_sums(
                _tables(sides, [ENTITY, RELATION]), _harmonic_mean, config.seed,
                config.bootstrap_draws,
            )  # fmt: skip
            named = dict(zip(cell, key, strict=True))
            estimate = {"value": value, "low": low, "high": high, "n": len(sides)}
            rows.append({**named, "moment": moment, **estimate})
    return rows


def _by_probe(
    edits: pd.DataFrame, cell: list[str], value: str
) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Of every cell, facts by probe (columns), those with both."""
    frame = edits[edits["probe"].isin(SIDES)]
    wide = frame.pivot_table(index=[*cell, *_UNIT], columns="probe", values=value, sort=False)
    if not {ENTITY, RELATION} <= set(wide):
        return
    yield from wide.dropna().groupby(cell, sort=False)


def _harmonic_mean(sums: np.ndarray) -> np.ndarray:
    """Of two means, from [B,3]: sums of the two, and counts."""
    a, b = (sums[:, :2] / sums[:, 2:]).T
    with np.errstate(invalid="ignore"):
        return np.where(a + b > 0, 2 * a * b / (a + b), 0.0)


def transfer_index(sums: np.ndarray) -> np.ndarray:
    """TI from sums over facts [B,4]: after the edit of the other side, before, after the edit of
    the probe's own side, and counts; NaN where the own side gains less than ``LEAST_GAIN``."""
    cross, before, own = (sums[:, :3] / sums[:, 3:]).T
    gain = own - before
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gain < LEAST_GAIN, np.nan, (cross - before) / gain)


def side_transfer(
    edits: pd.DataFrame, documents: pd.DataFrame, config: EntityRelationConfig
) -> Rows:
    """``SideTransferRecord``: facts edited from both sides; ``documents`` (columns seed, fact_id,
    entity, relation_side): how many showed each fact on each side."""
    frame = with_all(edits[edits["measure"] != "specificity"])
    seen = documents.set_index(_UNIT).rename(columns={"relation_side": RELATION})
    keys = ["arm", "editor", "measure", "probe"]
    rows: Rows = []
    for (arm, editor, measure, probe), group in frame.groupby(keys, sort=False):
        if probe not in SIDES:
            continue
        post = group.pivot_table(index=_UNIT, columns="edit_side", values="post", sort=False)
        other = ENTITY if probe == RELATION else RELATION
        if not {ENTITY, RELATION} <= set(post):
            continue
        pre = group.groupby(_UNIT)["pre"].first()
        facts = pd.DataFrame({"cross": post[other], "pre": pre, "own": post[probe]}).dropna()
        if facts.empty:
            continue
        index, low, high, undefined = hierarchical_sums(
            _tables(facts, list(facts)), transfer_index, config.seed, config.bootstrap_draws
        )
        rows.append(
            {
                "arm": arm,
                "editor": editor,
                "edit_side": other,
                "probe": probe,
                "measure": measure,
                "index": index,
                "low": low,
                "high": high,
                "gain": float((facts["cross"] - facts["pre"]).mean()),
                "own_gain": float((facts["own"] - facts["pre"]).mean()),
                "n_documents": float(seen[probe].reindex(facts.index).mean()),
                "n": len(facts),
                "undefined": undefined,
            }
        )
    return rows


def _tables(facts: pd.DataFrame, columns: list[str]) -> list[np.ndarray]:
    """One per seed: the columns, and ones to count by."""
    return [
        np.column_stack([group[columns].to_numpy(float), np.ones(len(group))])
        for _, group in facts.groupby(level="seed")
    ]
