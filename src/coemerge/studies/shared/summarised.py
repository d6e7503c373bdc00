"""Rows of summary.json out of rows of a study's tables, with what their bounds are."""

import math
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]


def find(rows: Iterable[Row], **values: object) -> Row:
    """The row that has these values; empty where there is none."""
    return next((row for row in rows if all(row[k] == v for k, v in values.items())), {})


def estimate(row: Row, column: str, several: bool) -> Row:
    """Value, bounds, n, and in words what the bounds are; None for what is not defined.

    ``row`` holds ``column``, ``low``, ``high`` and ``n``; an empty one was not measured.
    ``several``: the bounds are over seeds too.
    """
    value, low, high = (number(row.get(name)) for name in (column, "low", "high"))
    n = int(row.get("n") or 0)
    label = "95 %, bootstrap over " + ("seeds then facts" if several else "facts, one seed")
    if value is None:
        low, high, label = None, None, "nothing to measure" if row else "not measured"
    elif low is None or high is None:
        low, high, label = None, None, f"no interval (n = {n})"
    elif low == high == value:
        label = f"no spread: alike in all {n} facts"
    return {"value": value, "low": low, "high": high, "n": n, "interval": label}


def spread(values: Iterable[object], what: str) -> Row:
    """Mean of those that are defined, with the lowest and the highest; ``what`` they belong to."""
    known = [value for v in values if (value := number(v)) is not None]
    if not known:
        return {"value": None, "low": None, "high": None, "interval": "not measured"}
    mean = sum(known) / len(known)
    return {"value": mean, "low": min(known), "high": max(known), "interval": f"range over {what}"}


def number(value: object) -> float | None:
    """JSON has no NaN."""
    if not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)
