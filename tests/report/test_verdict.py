"""What the page says came out: the words follow from the numbers."""

from typing import Any

import pandas as pd
import pytest

from coemerge.report.results import Results
from coemerge.report.verdict import is_at_chance, judge, verdict
from tests.report.made_up import summary, tables


def told(changes: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """The findings on the made-up summary, with rows of these names changed."""
    rows = [{**row, **(changes or {}).get(row["name"], {})} for row in summary()]
    results = Results(tables={"nulls": tables()["nulls"]}, summary=rows, manifests=[], missing=[])
    return [text.replace("\u00a0", " ") for text in verdict(results)]


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.01, 0.3, "replicates"),
        (-0.05, 0.2, "undecided (interval includes 0)"),
        (0.0, 0.2, "undecided (interval includes 0)"),
        (0.005, 0.03, "does not replicate (the difference is below 10 points)"),
        (-0.02, 0.03, "does not replicate (the difference is below 10 points)"),
        (-0.4, -0.1, "does not replicate (it is the other way round)"),
        (None, 0.2, "undecided (no interval)"),
        (None, None, "undecided (no interval)"),
    ],
)
def test_the_direction_is_judged_by_the_interval(low: float, high: float, word: str):
    assert judge(low, high) == word


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.41, 0.56, "replicates"), (-0.5, -0.2, "does not replicate"), (-0.1, 0.3, "undecided")],
)
def test_the_headline_says_it_as_plainly_either_way(low: float, high: float, word: str):
    first = told({"difference/into_generative/fresh": {"low": low, "high": high}})[0]

    assert first.startswith(f"<strong>The published asymmetry: {word}")


def test_the_contrast_stands_beside_both_published_ranges_and_seen_option_sets():
    first = told()[0]

    assert "40–90 %" in first
    assert "3–42 %" in first
    assert "generative → another generative format 90.0 % [85.0, 94.0]" in first
    assert "discriminative → generative 22.0 % [18.0, 27.0]" in first
    assert "+68.0 points [+60.0, +75.0]" in first


def test_across_kinds_luck_is_taken_off_before_it_is_judged():
    (across,) = (text for text in told() if "From one kind to the other" in text)

    assert "discriminative ones: replicates." in across
    assert "Generative → discriminative 71.0 % [66.0, 75.0]" in across
    assert "+49.0 points [+41.0, +56.0]" in across
    assert "training showed together +30.0 points [−10.0, +50.0]" in across
    assert "16.0 % [11.0, 21.0] of discriminative pairs of facts never shown pass by luck" in across
    assert "beyond luck it is +34.0 points [+25.0, +43.0]" in across


def test_facts_that_stay_within_their_kind_are_a_finding_only_where_intervals_are_apart():
    across = {"transfer/exposed/fresh/generative/discriminative": {"high": 0.73}}

    assert any("Facts stay within their kind" in text for text in told(across))
    assert not any("Facts stay within their kind" in text for text in told())


def test_the_control_that_was_shown_everything_is_judged():
    worse = told({"failure/0.6/A0_full": {"value": 0.3, "low": 0.2, "high": 0.4}})

    assert any("A0): 1.1 % [0.2, 2.1], near 0, as it should be." in text for text in told())
    assert any("A0): 30.0 % [20.0, 40.0], not near 0" in text for text in worse)


def test_the_interaction_stands_beside_its_null():
    assert any(
        "explains 18.4 % [17.1, 19.9]" in text and "It would be 55.0 %" in text for text in told()
    )


@pytest.mark.parametrize(
    ("score", "low", "high", "expected"),
    [
        (0.03, -0.01, 0.07, True),
        (0.04, 0.01, 0.07, False),  # 0 outside
        (0.08, -0.02, 0.18, True),  # few facts: within two standard errors
        (0.3, 0.2, 0.4, False),
    ],
)
def test_facts_never_shown_are_at_chance_or_not(
    score: float, low: float, high: float, expected: bool
):
    assert is_at_chance(score, low, high) is expected


def test_without_facts_shown_in_one_format_the_asymmetry_is_not_tested():
    rows = [
        {"id": "P1-c", "name": f"transfer/emerged/fresh/{kinds}", "value": value}
        for kinds, value in (("generative/discriminative", 0.5), ("discriminative/generative", 0.4))
    ]
    results = Results(tables={}, summary=rows, manifests=[], missing=[])
    (only,) = verdict(results)

    assert "not tested" in only
    assert "50.0" in only


def test_a_single_fact_never_shown_has_no_verdict():
    row = {"quantity": "score", "scale": "raw", "null": "never_shown", "value": 0.1,
           "low": float("nan"), "high": float("nan"), "n": 1}  # fmt: skip
    results = Results(tables={"nulls": pd.DataFrame([row])}, summary=[], manifests=[], missing=[])

    assert verdict(results) == []


def test_a_difference_that_luck_explains_is_undecided():
    beyond = {"difference/beyond_never/fresh": {"low": -0.12, "high": 0.11}}
    (across,) = (text for text in told(beyond) if "From one kind to the other" in text)

    assert "discriminative ones: undecided (interval includes 0)." in across
