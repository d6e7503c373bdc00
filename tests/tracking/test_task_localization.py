"""What an analysis of task localization logs."""

import pytest

from coemerge.tracking.task_localization import localization_metrics


def row(measure: str, value: float, **changes) -> dict:
    usual = {"variant": "exclusive", "masks": "all", "reference": "mean", "control": "none",
             "task": "fitb"}  # fmt: skip
    return {**usual, "measure": measure, "value": value, **changes}


ROWS = [
    row("target_drop", 0.5),
    row("tasks_drop", 0.02),
    row("facts_drop", 0.06),
    row("recovery", 0.8),
    row("target_drop", 0.9, control="random"),
    row("target_drop", 0.8, reference="zero"),
    row("target_drop", 0.7, masks="valid"),
    row("target_drop", 0.6, variant="free"),
    row("target_drop", 0.4, task="all"),
]
OVERLAP = [
    {"between": "tasks", "task": "mcqa", "other_task": "fitb", "jaccard": 0.25},
    {"between": "facts", "task": "mcqa", "other_task": "mcqa", "jaccard": 0.75},
]


def test_values_are_those_of_all_exclusive_masks_as_they_were_trained():
    found = localization_metrics({"mask_measures": ROWS, "mask_overlap": OVERLAP}, "mean")

    assert found == {
        "localization/fitb/necessity": 0.5,
        "localization/fitb/specificity": pytest.approx(0.04),
        "localization/fitb/sufficiency": 0.8,
        "localization/overlap/fitb_mcqa": 0.25,
    }


def test_without_exclusive_masks_free_ones_stand_in():
    free = [r for r in ROWS if r["variant"] == "free"]

    found = localization_metrics({"mask_measures": free, "mask_overlap": []}, "mean")

    assert found == {"localization/fitb/necessity": 0.6}
