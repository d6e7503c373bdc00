"""How a finding is worded: a headline in bold, then sentences; shares with their intervals."""

from coemerge.report.markup import Html, element, interval, join
from coemerge.report.results import Row


def finding(headline: str, *sentences: str) -> Html:
    told = " ".join(sentence for sentence in sentences if sentence)
    return join([element("strong", headline), " ", told])


def share(row: Row) -> str:
    """``47.9 % [44.1, 51.6]`` of a row of the summary; a dash where it has no value."""
    return interval(row.get("value"), row.get("low"), row.get("high"), percent=True)


def surely_above(row: Row, bound: float) -> bool:
    """By its interval; never without one."""
    return row.get("low") is not None and row["low"] > bound


def surely_below(row: Row, bound: float) -> bool:
    return row.get("high") is not None and row["high"] < bound
