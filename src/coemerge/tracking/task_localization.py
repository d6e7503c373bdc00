"""What an analysis of task localization logs, from the tables of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

from coemerge.tracking.names import localization, localization_overlap

_MEASURES = {
    "necessity": ("target_drop",),
    "specificity": ("tasks_drop", "facts_drop"),
    "sufficiency": ("recovery",),
}


def localization_metrics(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], reference: str
) -> dict[str, float]:
    """Named as in a training that localizes on the way: means over exclusive masks (free ones
    without those) per task, with units ablated to ``reference``; overlaps of free masks. All are
    fractions."""
    rows = [
        row
        for row in tables["mask_measures"]
        if (row["reference"], row["masks"], row["control"]) == (reference, "all", "none")
    ]
    variants = {row["variant"] for row in rows}
    variant = "exclusive" if "exclusive" in variants else "free"
    values = {
        (row["task"], row["measure"]): float(row["value"])
        for row in rows
        if row["variant"] == variant
    }
    found = {}
    for task in sorted({task for task, _ in values} - {"all"}):
        for name, parts in _MEASURES.items():
            measured = [values[task, part] for part in parts if (task, part) in values]
            if measured:
                found[localization(task, name)] = sum(measured) / len(measured)
    overlaps = {
        localization_overlap(*sorted((row["task"], row["other_task"]))): float(row["jaccard"])
        for row in tables["mask_overlap"]
        if row["between"] == "tasks"
    }
    return found | overlaps
