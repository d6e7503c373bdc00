"""A disk that is full (no file may grow beyond a limit), and directories that cannot be written to:
one message that names the file, and nothing that was there is lost."""

import os
import re
from pathlib import Path

import pytest

from tests.faults.comparison import assert_same_tables, leftovers
from tests.faults.processes import Ended
from tests.faults.runs import Workplace

pytestmark = pytest.mark.slow

# what does not fit -> bytes that a file may have, what the message names, the run's status
FULL = {
    "the data set": (120_000, r"data/[0-9a-f]+ could not be written", None),
    "a checkpoint": (400_000, r"checkpoints/step-00000000 could not be written", "failed"),
    "the resume state": (1_000_000, r"resume/last\.ckpt could not be written", "failed"),
}


def check_told(ended: Ended, message: str) -> None:
    assert ended.code == 2, ended.output[-3000:]
    (line,) = re.findall(r"^error: .*", ended.stderr, flags=re.MULTILINE)
    assert re.search(message, line), line
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_is_told_and_the_run_goes_on_later(
    expected: Workplace, fault, tmp_path: Path, what: str
):
    fault(f"full disk: {what}")
    limit, message, status = FULL[what]
    there = Workplace(tmp_path, None if status is None else expected.built)

    ended = there.train(limit=limit)

    check_told(ended, message)
    assert "File too large" in ended.stderr
    assert there.status() == status
    assert status is None or leftovers(there.run / "resume") == []
    there.resume(expected)


def test_a_full_disk_at_the_end_keeps_the_earlier_page(expected: Workplace, fault, tmp_path: Path):
    fault("full disk: the report")
    there = expected.copy(tmp_path)
    before = (there.run / "report" / "index.html").read_bytes()

    ended = there.analyze("study=report", limit=30_000)

    check_told(ended, r"run/report could not be written")
    assert (there.run / "report" / "index.html").read_bytes() == before
    assert_same_tables(there.run, expected.run)
    assert there.analyze("study=report").code == 0


@pytest.mark.parametrize("part", ["artifacts", "artifacts/runs/run"])
def test_a_directory_that_cannot_be_written_to_is_named(
    expected: Workplace, fault, tmp_path: Path, part: str
):
    fault("read-only directory")
    there = Workplace(tmp_path, expected.built)
    closed = tmp_path / part
    closed.mkdir(parents=True)
    os.chmod(closed, 0o555)

    ended = there.train()

    check_told(ended, re.escape(str(closed)))
    assert list(closed.iterdir()) == []
    os.chmod(closed, 0o755)
    there.resume(expected)
