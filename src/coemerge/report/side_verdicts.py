"""What verdicts on the two sides go by: edits that take, transfer beyond damage, and values before
an edit that follow from the choice of facts."""

import pandas as pd

from coemerge.report.findings import surely_below
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import ALL, before_row, cross_row

HALF = 0.5
TAKES = 0.9  # success of edits on their own side


def success_row(results: Results, arm: str, editor: str, side: str) -> Row:
    """Efficacy of edits on the side that they edit."""
    of = {"editor": editor, "edit_side": side, "measure": "efficacy"}
    return cross_row(results, arm, probe=side, moment="post", **of)


def takes(results: Results, arm: str, editor: str, side: str) -> bool:
    """Whether the edits do what they are for, as far as anybody can tell: not if their success
    surely lies below ``TAKES``."""
    return not surely_below(success_row(results, arm, editor, side), TAKES)


def beyond_damage(row: Row) -> Row:
    """Transfer with the control of a third object taken off, as ``value`` with its bounds; empty
    where it is not defined."""
    if pd.isna(row.get("net")):
        return {}
    return {"value": row["net"], "low": row["net_low"], "high": row["net_high"]}


def judged_transfer(row: Row) -> Row:
    """What a verdict goes by: transfer beyond damage where it is defined, else as it is, with its
    bounds; empty where neither is defined."""
    if found := beyond_damage(row):
        return found
    if pd.isna(row["index"]):
        return {}
    return {"value": row["index"], "low": row["low"], "high": row["high"]}


def nothing_changes(row: Row) -> bool:
    """Whether the edit changes no success on the other side, of any fact."""
    return bool(row["index"] == row["low"] == row["high"] == 0)


def chosen_to_fail(results: Results, arm: str, probe: str) -> bool:
    """Whether a probe fails before any edit because facts were chosen so: they are known from the
    side that is asked where training showed it, and the new answer is not that one."""
    row = before_row(results, arm, probe)
    if not row or row["value"] != 0:
        return False
    asked = "entity" if probe == "entity" else "relation"
    rows = pick(results.table("side_transfer"), probe=asked)
    if rows.empty:
        return False
    apart = rows[rows["arm"] != ALL]
    rows = rows[rows["arm"] == arm] if arm != ALL or apart.empty else apart
    shown = rows["n_documents"]
    return bool(len(shown) and ((shown > 0) | (shown.isna() & (asked == "entity"))).all())
