"""What an analysis of task localization logs, from the tables of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

from coemerge.tracking.names import localization, localization_overlap

_MEASURES = {
    "target_drop": "necessity",
    "tasks_drop": "specificity_tasks",
    "facts_drop": "specificity_facts",
    "recovery": "sufficiency",
}


def localization_metrics(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], reference: str
) -> dict[str, float]:
    """Means over exclusive masks (free ones without those), per task, with units ablated to
    ``reference``; overlaps of free masks between tasks. All are fractions."""
    measures = [row for row in tables["mask_measures"] if row["reference"] == reference]
    variants = {row["variant"] for row in measures}
    variant = "exclusive" if "exclusive" in variants else "free"
    found = {
        localization(row["task"], _MEASURES[row["measure"]]): float(row["value"])
        for row in measures
        if row["variant"] == variant
        and row["masks"] == "all"
        and row["control"] == "none"
        and row["measure"] in _MEASURES
        and row["task"] != "all"
    }
    overlaps = {
        localization_overlap(row["task"], row["other_task"]): float(row["jaccard"])
        for row in tables["mask_overlap"]
        if row["between"] == "tasks" and row["task"] < row["other_task"]
    }
    return found | overlaps
