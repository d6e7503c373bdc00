"""Gain per injection, and how fast it is lost again, from curves whose answers are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coemerge.report.forgetting import (
    draw_forgetting,
    forgetting,
    format_forgetting,
    log_probabilities,
)
from tests.report.conftest import Row, Write, pictures

MOMENTS = [(100, 101), (300, 300)]
STEPS = [0, 99, *range(100, 151), *range(160, 300, 10), 299, *range(300, 351), *range(360, 501, 10)]
SPLITS = ("seen_templates", "held_out_templates")
Curve = Callable[[int], float]


def decaying(peaks: dict[int, float], slope: float, before: float = -5.0) -> Curve:
    """Log-probability of a fact: up to a height at each peak, from there down by ``slope`` of the
    whole gain per decade of steps."""

    def at(step: int) -> float:
        past = [peak for peak in peaks if peak <= step]
        if not past:
            return before
        gain = peaks[past[-1]] - before
        return before + gain * (1 - slope * np.log10(max(1, step - past[-1])))

    return at


CURVES: dict[str, Curve] = {
    "once": decaying({101: -2.0}, 0.2),
    "repeated": decaying({101: -3.0, 301: -1.0}, 0.2),
    "reworded": decaying({101: -3.0, 301: -1.0}, 0.1),
}
N_FACTS = 3


def score_rows(curves: dict[str, Curve], steps: list[int] = STEPS) -> list[Row]:
    """Three facts per variant, 0.5 apart; other wordings lie 1 lower, two of them around that."""
    return [
        {
            "step": step,
            "fact_id": f"{variant}-{k}",
            "task": "completion",
            "split": split,
            "template_id": template,
            "nll": -(curve(step) + 0.5 * (k - 1) - lower),
        }
        for variant, curve in curves.items()
        for k in range(N_FACTS)
        for step in steps
        for split, template, lower in (
            ("seen_templates", 0, 0.0),
            ("held_out_templates", 7, 0.5),
            ("held_out_templates", 8, 1.5),
        )
    ]


def fact_rows(variants: list[str]) -> list[Row]:
    injected: list[Row] = [
        {"fact_id": f"{variant}-{k}", "arm": "A8_wordings", "detail": variant}
        for variant in variants
        for k in range(N_FACTS)
    ]
    return [*injected, {"fact_id": "other", "arm": "A0_full"}]


def moment_rows(moments: list[tuple[int, int]]) -> list[Row]:
    return [
        {"injection": number, "first_step": first, "last_step": last}
        for number, (first, last) in enumerate(moments, start=1)
    ]


@pytest.fixture
def tables(write: Write, tmp_path: Path) -> Path:
    write("injections", score_rows(CURVES))
    write("facts", fact_rows(list(CURVES)))
    write("injection_steps", moment_rows(MOMENTS))
    return tmp_path


def row_of(tables: Path, variant: str, asked_in: str = "injected wording") -> dict[str, str]:
    frame = forgetting(tables)
    (row,) = frame[(frame["variant"] == variant) & (frame["asked in"] == asked_in)].to_dict(
        "records"
    )
    return row


def test_log_probabilities_are_means_over_the_wordings_of_a_split(tables: Path):
    frame = log_probabilities(tables)
    assert set(frame["variant"]) == set(CURVES)
    cell = frame[(frame["fact_id"] == "once-1") & (frame["step"] == 101)].set_index("split")
    assert cell["log_p"].to_dict() == pytest.approx(
        {"seen_templates": -2.0, "held_out_templates": -3.0}
    )
    assert not frame.duplicated(["step", "fact_id", "split"]).any()


def test_there_is_a_row_for_each_variant_and_kind_of_wording(tables: Path):
    frame = forgetting(tables)
    assert {(r["variant"], r["asked in"]) for r in frame.to_dict("records")} == {
        (variant, kind) for variant in CURVES for kind in ("injected wording", "other wordings")
    }
    assert set(frame["facts"]) == {N_FACTS}


def test_gains_are_over_the_step_before_each_injection(tables: Path):
    """Once: 3 nats. Repeated: first 2; what is left of them before the second is added to."""
    assert row_of(tables, "once")["gain per injection"] == "+3.00 [+3.00, +3.00]"
    before_second = CURVES["repeated"](299)
    mean = (2.0 + (-1.0 - before_second)) / 2
    assert row_of(tables, "repeated")["gain per injection"].startswith(f"{mean:+.2f} ")


def test_facts_that_gain_differently_widen_the_interval(write: Write, tables: Path):
    rows = [
        {**row, "nll": row["nll"] * (1 + 0.2 * int(str(row["fact_id"])[-1]))}
        for row in score_rows(CURVES)
    ]
    write("injections", rows)
    assert row_of(tables, "once")["gain per injection"] == "+3.60 [+3.00, +4.20]"


def test_before_is_the_step_before_the_first_injection(tables: Path):
    assert row_of(tables, "repeated")["before"] == "-5.00"
    assert row_of(tables, "repeated", "other wordings")["before"] == "-6.00"


def test_what_is_left_before_the_next_is_that_of_each_injection_but_the_last(tables: Path):
    left = (CURVES["repeated"](299) + 5.0) / 2.0
    assert row_of(tables, "repeated")["left before the next"] == f"{left:.0%}"


def test_the_decay_after_the_last_injection_is_found(tables: Path):
    assert row_of(tables, "repeated")["slope per decade"] == "-0.20"
    assert row_of(tables, "reworded")["slope per decade"] == "-0.10"
    assert row_of(tables, "once")["slope per decade"] == "-0.20"


def test_what_is_left_at_the_end_is_of_all_that_was_gained(tables: Path):
    for variant in CURVES:
        base, peak = -5.0, -2.0 if variant == "once" else -1.0
        at_end = CURVES[variant](500)
        row = row_of(tables, variant)
        assert row["left at the end"] == f"{(at_end - base) / (peak - base):.0%}"
        assert row["at the end"] == f"{at_end:+.2f}"


def test_facts_shown_once_know_only_the_first_injection(tables: Path):
    """Whatever the others' second injection does to them, it is no gain of theirs."""
    assert (
        row_of(tables, "once")["left before the next"] == row_of(tables, "once")["left at the end"]
    )


def test_the_text_explains_its_columns(tables: Path):
    text = format_forgetting(tables)
    for word in (*CURVES, "gain per injection", "95 % interval", "other wordings"):
        assert word in text


def test_a_run_without_injections_says_nothing(write: Write, tmp_path: Path):
    write("facts", fact_rows([]))
    assert log_probabilities(tmp_path).empty
    assert forgetting(tmp_path).empty
    assert format_forgetting(tmp_path) == ""
    draw_forgetting(tmp_path, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_the_picture_is_the_same_every_time(tables: Path, tmp_path: Path):
    for name in ("one", "two"):
        draw_forgetting(tables, tmp_path / name)
    drawn = pictures(tmp_path / "one")
    assert set(drawn) == {"forgetting.png", "forgetting.svg"}
    assert drawn["forgetting.png"].startswith(b"\x89PNG")
    assert drawn == pictures(tmp_path / "two")


def close_curve(step: int) -> float:
    """Two injections 20 steps apart, each worth 2 nats at its peak, half a nat lost in between."""
    if step < 100:
        return -5.0
    return -3.0 - 0.025 * (step - 100) if step < 120 else -1.5 - 0.025 * (step - 120)


def test_a_gain_is_that_of_its_own_injection_however_soon_the_next_comes(
    write: Write, tmp_path: Path
):
    write("injections", score_rows({"repeated": close_curve}, list(range(99, 200))))
    write("facts", fact_rows(["repeated"]))
    write("injection_steps", moment_rows([(100, 100), (120, 120)]))
    gain = ((-3.0 + 5.0) + (-1.5 - close_curve(119))) / 2
    assert row_of(tmp_path, "repeated")["gain per injection"].startswith(f"{gain:+.2f} ")


@pytest.mark.parametrize("n_after", [0, 1])
def test_a_training_that_ends_right_after_the_last_injection_is_told_of(
    write: Write, tmp_path: Path, n_after: int
):
    """Closing such a run must not fail: it is trained to its end by then."""
    curve = decaying({100: -2.0}, 0.2)
    write("injections", score_rows({"once": curve}, list(range(99, 101 + n_after))))
    write("facts", fact_rows(["once"]))
    write("injection_steps", moment_rows([(100, 100)]))
    assert "once" in format_forgetting(tmp_path)


def test_a_run_that_ends_before_the_first_injection_says_nothing(write: Write, tmp_path: Path):
    write("injections", score_rows({"once": lambda step: -5.0}, [50]))
    write("facts", fact_rows(["once"]))
    write("injection_steps", [])
    assert format_forgetting(tmp_path) == ""
    draw_forgetting(tmp_path, tmp_path / "figures")
