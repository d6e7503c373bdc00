"""What became of the facts of the run that is continued."""

from pathlib import Path

import pytest

from coemerge.report.old_facts import format_old_facts, old_facts
from coemerge.statistics.intervals import wilson_mean
from tests.report.conftest import Row, Write

# Of each fact: score before and after. Emerged is above 0.6.
SCORES = {
    "openqa": [(0.9, 0.8), (0.9, 0.2), (0.7, 0.7), (0.1, 0.9), (0.6, 0.0)],
    "mcqa": [(0.0, 0.0), (0.2, 0.1)],
}


def rows_of(scores: dict[str, list[tuple[float, float]]]) -> list[Row]:
    """A step in between, which must not count, and two paraphrases around each score."""
    return [
        {
            "step": step,
            "fact_id": f"{task}-{k}",
            "task": task,
            "template_id": template,
            "score": score + off,
        }
        for task, facts in scores.items()
        for k, (before, after) in enumerate(facts)
        for step, score in ((0, before), (20, -3.0), (40, after))
        for template, off in ((7, -0.05), (8, 0.05))
    ]


@pytest.fixture
def tables(write: Write, tmp_path: Path) -> Path:
    write("old_facts", rows_of(SCORES))
    return tmp_path


def row_of(tables: Path, task: str) -> dict[str, object]:
    frame = old_facts(tables)
    (row,) = frame[frame["task"] == task].to_dict("records")
    return row


def test_shares_and_scores_are_those_of_the_first_and_the_last_step(tables: Path):
    row = row_of(tables, "openqa")
    assert row["facts"] == 5
    assert (row["emerged before"], row["after"]) == ("60%", "60%")
    assert (row["score before"], row["score after"]) == ("+0.64", "+0.52")


def test_kept_counts_only_what_had_emerged_before(tables: Path):
    """Two of three; the fourth emerged anew, the fifth sat at the threshold, which is not above."""
    share = wilson_mean([1.0, 0.0, 1.0], 0.0)
    assert row_of(tables, "openqa")["kept"] == f"67% [{share.low:.0%}, {share.high:.0%}] of 3"


def test_where_nothing_had_emerged_nothing_could_be_kept(tables: Path):
    row = row_of(tables, "mcqa")
    assert row["kept"] == "-"
    assert row["emerged before"] == "0%"


def test_the_text_holds_every_task(tables: Path):
    text = format_old_facts(tables)
    assert "before and after" in text
    for task in SCORES:
        assert task in text


def test_a_run_that_continues_none_says_nothing(tmp_path: Path):
    assert old_facts(tmp_path).empty
    assert format_old_facts(tmp_path) == ""
