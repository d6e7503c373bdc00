"""Score by number of exposures, and by the order of two formats."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from coemerge.report.dose import dose_response, draw_dose, falls, format_dose, order_effect
from coemerge.statistics.intervals import bootstrap_mean
from tests.report.conftest import Row, Write, pictures

RISING = {0: [0.0, -0.1, 0.1], 1: [0.1, 0.2, 0.3], 10: [0.6, 0.7, 0.8], 100: [1.0, 0.9, 0.95]}


def dose_rows(task: str, doses: dict[int, Sequence[float]]) -> list[Row]:
    """Facts of A3 by the number of documents that showed them in this format; 0 are A5's."""
    return [
        {
            "fact_id": f"{task}-{dose}-{k}",
            "task": task,
            "arm": "A3_dose" if dose else "A5_never",
            "exposures": dose,
            "score": score,
        }
        for dose, scores in doses.items()
        for k, score in enumerate(scores)
    ]


def facts_of(rows: Sequence[Row]) -> list[Row]:
    known = {row["fact_id"]: row for row in rows}
    return [
        {"fact_id": name, "arm": row["arm"], "detail": row.get("detail", "")}
        for name, row in known.items()
    ]


@pytest.fixture
def tables(write: Write, tmp_path: Path) -> Path:
    """A3 in two formats, A4 in one pair, and rows that must not count."""
    rows = [*dose_rows("openqa", RISING), *dose_rows("completion", {1: [0.5], 3: [0.25, 0.75]})]
    shown = rows[-1]
    others: list[Row] = [
        {**shown, "step": 50, "score": -9.0},  # not the last step
        {**shown, "split": "seen_templates", "score": -9.0},
        {**shown, "options": "seen", "score": -9.0},
        {**shown, "task": "mcqa", "exposures": 0, "score": -9.0},  # never shown in this format
        {**shown, "fact_id": "full", "arm": "A0_full", "exposures": 3, "score": -9.0},
        {**shown, "fact_id": "never", "arm": "A5_never", "task": "fitb", "exposures": 0},
    ]
    write("acquisition", [*rows, *others, *order_rows()])
    write("facts", facts_of([*rows, *others, *order_rows()]))
    return tmp_path


def order_rows() -> list[Row]:
    """Two facts per order; what comes second is known better."""
    return [
        {
            "fact_id": f"{first}>{second}-{k}",
            "arm": "A4_order",
            "detail": f"{first}>{second}",
            "task": task,
            "exposures": 5,
            "score": {"first": 0.2, "second": 0.6}[place] + 0.1 * k,
        }
        for first, second in (("completion", "mcqa"), ("mcqa", "completion"))
        for task, place in ((first, "first"), (second, "second"))
        for k in range(2)
    ]


def test_each_dose_of_each_format_is_the_mean_over_its_facts(tables: Path):
    doses = dose_response(tables).set_index(["task", "dose"])
    for dose, scores in RISING.items():
        row, expected = doses.loc["openqa", dose], bootstrap_mean(scores)
        found = (row["score"], row["low"], row["high"], row["n"])
        assert found == (expected.mean, expected.low, expected.high, len(scores))


def test_only_held_out_paraphrases_at_the_last_step_count(tables: Path):
    doses = dose_response(tables).set_index(["task", "dose"])
    assert doses.loc[("completion", 3), "score"] == 0.5
    assert doses.loc[("completion", 3), "n"] == 2


def test_dose_zero_are_the_facts_never_shown_in_formats_that_have_doses(tables: Path):
    doses = dose_response(tables)
    assert set(doses["task"]) == {"openqa", "completion"}  # not fitb, which A5 alone is asked in
    assert doses[doses["dose"] == 0][["task", "n"]].to_numpy().tolist() == [["openqa", 3]]


def test_a_single_fact_has_no_interval(tables: Path):
    row = dose_response(tables).set_index(["task", "dose"]).loc[("completion", 1)]
    assert (row["score"], row["n"]) == (0.5, 1)
    assert row[["low", "high"]].isna().all()


def curve(*intervals: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [(10**k, low, high) for k, (low, high) in enumerate(intervals)],
        columns=["dose", "low", "high"],
    )


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.0, 0.2), (0.3, 0.5), (0.6, 0.9)], False),
        ([(0.3, 0.5), (0.2, 0.4)], False),  # lower, but within the intervals
        ([(0.3, 0.5), (0.1, 0.3)], False),  # they touch
        ([(0.3, 0.5), (0.0, 0.2)], True),
        ([(0.0, 0.2), (0.6, 0.9), (0.3, 0.5)], True),
        ([(0.6, 0.9), (0.5, 0.7), (0.3, 0.5)], False),  # each only against the dose before it
        ([(float("nan"), float("nan")), (0.0, 0.1)], False),  # one fact: no interval
        ([(0.1, 0.2)], False),
    ],
)
def test_a_curve_falls_where_intervals_do_not_meet(intervals, expected: bool):
    assert falls(curve(*intervals)) is expected


def test_a_curve_is_read_in_the_order_of_its_doses():
    assert not falls(curve((0.0, 0.2), (0.3, 0.5)).iloc[::-1])


def test_orders_are_compared_for_each_format_of_a_pair(tables: Path):
    orders = order_effect(tables).set_index(["task", "other", "place"])
    assert len(orders) == 4
    for task, other in (("completion", "mcqa"), ("mcqa", "completion")):
        assert orders.loc[(task, other, "first"), "score"] == pytest.approx(0.25)
        assert orders.loc[(task, other, "second"), "score"] == pytest.approx(0.65)
    assert set(orders["n"]) == {2}
    assert (orders["low"] < orders["score"]).all()
    assert (orders["score"] < orders["high"]).all()


def test_the_text_gives_means_intervals_and_whether_they_fall(tables: Path, write: Write):
    text = format_dose(tables)
    assert "0.20" in text
    assert "n=3" in text
    (line,) = [line for line in text.splitlines() if line.startswith("openqa ")]
    assert line.endswith("yes")
    for place in ("first", "second"):
        assert place in text


def test_a_falling_format_is_called_not_monotone(write: Write, tmp_path: Path):
    rows = dose_rows("openqa", {1: [0.8, 0.9, 1.0], 10: [0.1, 0.2, 0.3]})
    write("acquisition", rows)
    write("facts", facts_of(rows))
    (line,) = [line for line in format_dose(tmp_path).splitlines() if line.startswith("openqa ")]
    assert line.endswith("no")


def test_a_run_without_these_arms_says_nothing(write: Write, tmp_path: Path):
    rows = [{"fact_id": "a", "task": "openqa", "arm": "A0_full", "exposures": 4},
            {"fact_id": "b", "task": "openqa", "arm": "A5_never"}]  # fmt: skip
    write("acquisition", rows)
    write("facts", facts_of(rows))
    assert dose_response(tmp_path).empty
    assert order_effect(tmp_path).empty
    assert format_dose(tmp_path) == ""
    draw_dose(tmp_path, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_a_run_with_orders_alone_tells_of_these(write: Write, tmp_path: Path):
    write("acquisition", order_rows())
    write("facts", facts_of(order_rows()))
    assert dose_response(tmp_path).empty
    assert "second" in format_dose(tmp_path)


def test_the_picture_is_the_same_every_time(tables: Path, tmp_path: Path):
    for name in ("one", "two"):
        draw_dose(tables, tmp_path / name)
    drawn = pictures(tmp_path / "one")
    assert set(drawn) == {"dose.png", "dose.svg"}
    assert drawn["dose.png"].startswith(b"\x89PNG")
    assert drawn == pictures(tmp_path / "two")


@pytest.mark.parametrize("task", ["relation_naming", "multihop", "cot_fitb_mcqa"])
def test_formats_beyond_the_core_are_drawn_too(write: Write, tmp_path: Path, task: str):
    write("acquisition", [{"fact_id": "f", "arm": "A3_dose", "task": task, "exposures": 3}])

    draw_dose(tmp_path, tmp_path / "figures")

    assert len(pictures(tmp_path / "figures")) == 2
