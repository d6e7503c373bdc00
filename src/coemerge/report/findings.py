"""How a finding is worded: a headline in bold, then sentences; shares with their intervals."""

import math

import pandas as pd

from coemerge.report.markup import Html, element, interval, join
from coemerge.report.results import Row


def finding(headline: str, *sentences: str) -> Html:
    told = " ".join(sentence for sentence in sentences if sentence)
    return join([element("strong", headline), " ", told])


def share(row: Row) -> str:
    """``47.9 % [44.1, 51.6]`` of a row of the summary; a dash where it has no value."""
    return interval(row.get("value"), row.get("low"), row.get("high"), percent=True)


def change(row: Row, value: str = "value") -> str:
    """The same of a column that may be negative: ``−62.0 % [−68.0, −56.0]``."""
    return share({**row, "value": row.get(value)}).replace("-", "−")


def difference(row: Row, value: str = "value") -> str:
    """``+0.17 [+0.10, +0.24]`` of a row that is not in percent."""
    middle, *bounds = [
        f"{row[name]:+.2f}".replace("-", "−") if pd.notna(row.get(name)) else ""
        for name in (value, "low", "high")
    ]
    return f"{middle} [{', '.join(bounds)}]" if middle and all(bounds) else middle or "–"


def surely_above(row: Row, bound: float) -> bool:
    """By its interval; never without one."""
    return row.get("low") is not None and row["low"] > bound


def surely_below(row: Row, bound: float) -> bool:
    return row.get("high") is not None and row["high"] < bound


def surely_less(one: Row, other: Row) -> bool:
    """Whether all of the first interval lies below all of the second."""
    return surely_below(one, _end(other, "low"))


def _end(row: Row, name: str) -> float:
    """An end of its interval; the value where there is none."""
    bound = row.get(name)
    return float(row["value"] if bound is None or math.isnan(bound) else bound)
