"""What the page says masks and reasoning show: the words follow from the numbers."""

from typing import Any

import pytest

from coemerge.report.findings_masks import mask_finding, reasoning_finding, remask_says
from coemerge.report.results import Results, Row

MASKS = {
    "exclusive/all/none/target_drop": (0.53, 0.45, 0.6),
    "exclusive/all/none/tasks_drop": (0.04, 0.02, 0.06),
    "exclusive/all/random/target_drop": (0.04, 0.01, 0.07),
    "free/all/none/target_drop": (0.55, 0.45, 0.65),
    "free/all/none/recovery": (0.8, 0.7, 0.9),
    "remask/all/none/target_drop": (0.4, 0.3, 0.5),
    "remask/all/none/recovery": (0.7, 0.6, 0.8),
}
REASONING = {
    "own/direct": (0.5, 0.4, 0.6),
    "own/cot": (0.2, 0.1, 0.3),
    "other_worst/direct": (0.06, 0.02, 0.1),
    "other_worst/cot": (0.3, 0.2, 0.4),
}


def results(rows: list[Row]) -> Results:
    return Results(tables={}, summary=rows, manifests=[], missing=[])


def masks(changes: dict[str, Any] | None = None) -> Results:
    """None leaves a row out."""
    values = {**MASKS, **(changes or {})}
    return results(
        [
            {"name": f"mask/{name}", **dict(zip(("value", "low", "high"), found, strict=True))}
            for name, found in values.items()
            if found is not None
        ]
    )


def reasoning(floor: float | None = 0.05, **changes: Any) -> Results:
    values = {**REASONING, **changes}
    return results(
        [
            {"name": f"cot/{name}/all", "value": value, "low": low, "high": high, "floor": floor,
             "floor_high": None if floor is None else 2 * floor}
            for name, (value, low, high) in values.items()
        ]
    )  # fmt: skip


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("&#x27;", "'")


def test_specific_masks_are_one_sentence_with_both_controls():
    told = plain(mask_finding(masks()))

    assert told == (
        "<strong>Units of a fact can be found that serve one format and spare the others:</strong> "
        "ablating the units found for one format costs 53.0 % [45.0, 60.0] of its answers and "
        "4.0 % [2.0, 6.0] of the other formats'; random units of equal number 4.0 % [1.0, 7.0]; "
        "a second mask without the first's units costs 40.0 % [30.0, 50.0] and recovers 70.0 % "
        "[60.0, 80.0], so that disjoint masks are no evidence for separate stores."
    )


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"exclusive/all/none/tasks_drop": (0.2, 0.15, 0.25)}, "hurt it most, but others too"),
        ({"exclusive/all/none/tasks_drop": (0.5, 0.4, 0.6)}, "No units were found"),
        ({"exclusive/all/none/target_drop": (0.1, 0.0, 0.2)}, "No units were found"),
        ({"exclusive/all/random/target_drop": (0.5, 0.4, 0.6)}, "No units were found"),
        ({"exclusive/all/none/target_drop": (0.5, None, None)}, "no intervals, hence no verdict"),
    ],
)
def test_the_headline_follows_from_intervals(changes: dict[str, Any], headline: str):
    assert headline in mask_finding(masks(changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"remask/all/none/recovery": (0.2, 0.1, 0.3)}, "not easily replaced by others"),
        ({"remask/all/none/recovery": (0.5, 0.4, 0.6)}, "leaves open"),
        ({"free/all/none/recovery": (0.3, 0.2, 0.4)}, "says little, as first masks"),
    ],
)
def test_a_second_mask_is_judged_beside_the_first(changes: dict[str, Any], words: str):
    assert words in remask_says(masks(changes))


def test_without_a_second_mask_or_random_units_the_sentence_is_shorter():
    told = mask_finding(
        masks({"remask/all/none/recovery": None, "exclusive/all/random/target_drop": None})
    )

    assert "second" not in told
    assert "random" not in told
    assert told.endswith("other formats&#x27;.")


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "An answer that reasons first depends on other formats, a direct one does not:"),
        ({"other_worst/direct": (0.3, 0.2, 0.4)}, "both depend on other formats:"),
        ({"other_worst/cot": (0.08, 0.06, 0.1)}, "No dependence on other formats shows"),
    ],
)
def test_reasoning_is_judged_against_its_floor(changes: dict[str, Any], headline: str):
    told = plain(reasoning_finding(reasoning(**changes)))

    assert headline in told
    assert "(floor 5.0 %)" in told


def test_without_a_floor_nothing_is_beyond_it():
    told = reasoning_finding(reasoning(floor=None))

    assert "No dependence" in told
    assert told.count("floor not known") == 2


def test_nothing_measured_nothing_said():
    assert mask_finding(results([])) == ""
    assert reasoning_finding(results([])) == ""
    assert remask_says(results([])) == ""
