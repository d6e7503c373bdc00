"""Two processes on one run directory: the second is refused, the first notices nothing."""

import time
from pathlib import Path

import pytest

from tests.faults.processes import Child, Ended
from tests.faults.runs import Workplace

pytestmark = pytest.mark.slow


def check_refused(ended: Ended, there: Workplace) -> None:
    assert ended.code == 2, ended.output[-3000:]
    assert f"error: {there.run} is in use by another process" in ended.stderr
    assert "Traceback" not in ended.output


def test_a_run_that_is_going_on_is_left_alone(expected: Workplace, fault, tmp_path: Path):
    fault("two trainings of one run")
    there = Workplace(tmp_path, expected.built)
    first = there.start()
    first.wait_until(lambda: any(there.run.glob("checkpoints/step-*/manifest.json")))

    for option in ("resume=true", "overwrite=true"):
        check_refused(there.train(option), there)

    assert first.end().code == 0
    there.check(expected)


def test_a_run_that_is_analysed_is_not_trained_anew(expected: Workplace, fault, tmp_path: Path):
    fault("a training where an analysis reads")
    there = expected.copy(tmp_path)
    first = there.start_analysis("study=co_emergence")
    before = len(list(there.run.glob("results/scores/*.parquet")))
    first.wait_until(lambda: len(list(there.run.glob("results/scores/*.parquet"))) > before)

    check_refused(there.train("overwrite=true"), there)

    assert first.end().code == 0
    assert there.status() == "finished"


def test_two_analyses_of_one_run_leave_what_one_leaves(
    expected: Workplace, analysed: Workplace, fault, tmp_path: Path
):
    fault("two analyses of one run")
    there = expected.copy(tmp_path)

    both: list[Child] = []
    for _ in range(2):
        both.append(there.start_analysis("study=co_emergence", "logger=none"))
        time.sleep(0.2)

    assert [child.end().code for child in both] == [0, 0]
    there.repeat("study=co_emergence", expected=analysed)
