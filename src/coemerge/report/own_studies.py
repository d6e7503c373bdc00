"""Studies that the page has no section for, such as one's own: their summaries as they are."""

from coemerge.report.markup import Html, element, interval, join, table
from coemerge.report.results import Results, Row
from coemerge.report.side_by_side import counts, seeds

_HEADER = ("Quantity", "Value [low, high]", "n", "Seeds")


def own_studies(results: Results) -> Html:
    """A heading and a table for each; empty where there is none."""
    parts = [
        join([element("h3", study), table(_HEADER, [_cells(row) for row in rows])])
        for study, rows in results.own.items()
    ]
    return join(parts)


def _cells(row: Row) -> tuple[object, ...]:
    """Shares in percent, unless the row has a unit."""
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    measured = interval(value, low, high, percent=not row.get("unit"))
    return row.get("quantity", row.get("name")), measured, counts(row), seeds(row)
