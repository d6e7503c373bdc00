"""Does an edit of one side show on the other? The cross-side table, harmonic means and transfer
indices (methods 4.2, 4.3), from the scores of single edits."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from coemerge.statistics.resampling import hierarchical_sums
from coemerge.studies.entity_relation.cases import ENTITY, RELATION, SIDES, THIRD
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.shared.means import Rows, means

ALL = "all"
LEAST_GAIN = 0.02  # methods 2.11: a ratio with a smaller denominator is not defined
_CELL = ["arm", "editor", "edit_side", "probe", "control", "measure"]
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
    edits, rows = with_all(edits[edits["control"] == "none"]), []
    cell = ["arm", "editor", "edit_side", "measure"]
    for moment in ("pre", "post"):
        for key, sides in _by_probe(edits, cell, moment):
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
    return _share_of(cross - before, own - before)


def side_transfer(
    edits: pd.DataFrame, documents: pd.DataFrame, config: EntityRelationConfig
) -> Rows:
    """``SideTransferRecord``: facts edited from both sides; ``documents`` (columns seed, fact_id,
    entity, relation_side): how many showed each fact on each side."""
    frame = with_all(edits[(edits["measure"] != "specificity") & (edits["control"] == "none")])
    seen = documents.set_index(_UNIT).rename(columns={"relation_side": RELATION})
    rows: Rows = []
    for (arm, editor, measure), group in frame.groupby(["arm", "editor", "measure"], sort=False):
        for probe, other in ((RELATION, ENTITY), (ENTITY, RELATION)):
            facts = _sides(group, probe, other)
            if facts is None or facts.empty:
                continue
            net = facts.dropna()
            index, low, high, undefined = _resampled(facts[_RAW], transfer_index, config)
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
                    **dict(zip(_NET, _resampled(net, net_index, config)[:3], strict=True)),
                    "gain": float((facts["cross"] - facts["pre"]).mean()),
                    "own_gain": float((facts["own"] - facts["pre"]).mean()),
                    "n_documents": float(seen[probe].reindex(facts.index).mean()),
                    "n": len(facts),
                    "n_none": int((facts["cross"] == facts["pre"]).sum()),
                    "undefined": undefined,
                }
            )
    return rows


_RAW = ["cross", "pre", "own"]
_NET = ("net", "net_low", "net_high")


def _sides(edits: pd.DataFrame, probe: str, other: str) -> pd.DataFrame | None:
    """Per fact (seed, fact_id) success on the probe: ``cross`` under the edit of the other side,
    ``pre`` before, ``own`` under that of its own side; and the same of the third object. Facts with
    the first three; None where a side was not edited."""
    columns = {}
    for prefix, asked in (("", probe), ("third_", THIRD[probe])):
        rows = edits[edits["probe"] == asked]
        post = rows.pivot_table(index=_UNIT, columns="edit_side", values="post", sort=False)
        for name, side in (("cross", other), ("own", probe)):
            columns[prefix + name] = post[side] if side in post else pd.Series(dtype=float)
        columns[prefix + "pre"] = rows.groupby(_UNIT)["pre"].first()
    if columns["cross"].empty or columns["own"].empty:
        return None
    index = columns["cross"].index.intersection(columns["own"].index)
    return pd.DataFrame({name: of.reindex(index) for name, of in columns.items()}).dropna(
        subset=_RAW
    )[[*_RAW, "third_cross", "third_pre", "third_own"]]


def _resampled(
    facts: pd.DataFrame,
    statistic: Callable[[np.ndarray], np.ndarray],
    config: EntityRelationConfig,
) -> tuple[float, float, float, float]:
    if facts.empty:
        return float("nan"), float("nan"), float("nan"), float("nan")
    tables = _tables(facts, list(facts))
    return hierarchical_sums(tables, statistic, config.seed, config.bootstrap_draws)


def net_index(sums: np.ndarray) -> np.ndarray:
    """TI with what a third object gains taken off above and below: sums over facts [B,7] of cross,
    before and own, of the same of the third object, and counts."""
    means = sums[:, :6] / sums[:, 6:]
    cross, before, own = (means[:, :3] - means[:, 3:]).T
    return _share_of(cross - before, own - before)


def _share_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole < LEAST_GAIN, np.nan, part / whole)


def _tables(facts: pd.DataFrame, columns: list[str]) -> list[np.ndarray]:
    """One per seed: the columns, and ones to count by."""
    return [
        np.column_stack([group[columns].to_numpy(float), np.ones(len(group))])
        for _, group in facts.groupby(level="seed")
    ]
