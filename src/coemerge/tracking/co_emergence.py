"""What an analysis of co-emergence logs, from the tables of the study."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.runs import ALL, SINGLE
from coemerge.tracking.names import FAILURE_RATE, INTERACTION_SHARE, transfer

Row = Mapping[str, Any]


def co_emergence_metrics(
    tables: Mapping[str, Sequence[Row]],
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """(values at the last checkpoint, rows with ``step``); all are fractions, NaN where unknown.

    Takes the tables ``failure``, ``matrix`` and ``variance``, at the threshold of the papers
    (``THETA``). Failures: of all arms, with the whole training to follow in. Transfer: of facts
    shown in one task alone, fresh option sets. Interaction: of the total sum of squares of scores,
    a mean over the seeds that have the step.
    """
    usual: dict[str, str | float] = {"theta": THETA, "window": -1, "sustained": "any", "arm": ALL}
    alone: dict[str, str | float] = {
        "theta": THETA,
        "basis": "exposed",
        "arm": SINGLE,
        "options": "fresh",
    }
    summary = {}
    for row in _where(tables["failure"], **usual):
        summary[FAILURE_RATE] = float(row["rate"])
    for row in _where(tables["matrix"], **alone):
        summary[transfer(row["source"], row["target"])] = float(row["rate"])
    return summary, _interaction(tables["variance"])


def _interaction(variance: Iterable[Row]) -> list[dict[str, float]]:
    by_step: dict[int, list[float]] = {}
    chosen = _where(
        variance, component="interaction", model="plain", scale="raw", denominator="total"
    )
    for row in chosen:
        by_step.setdefault(int(row["step"]), []).append(float(row["eta_squared"]))
    return [
        {"step": step, INTERACTION_SHARE: sum(shares) / len(shares)}
        for step, shares in sorted(by_step.items())
    ]


def _where(rows: Iterable[Row], **wanted: str | float) -> list[Row]:
    """Rows with these values; floats may have been through a file."""
    return [row for row in rows if all(_same(row[key], value) for key, value in wanted.items())]


def _same(found: Any, wanted: str | float) -> bool:
    if isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-6)
    return bool(found == wanted)
