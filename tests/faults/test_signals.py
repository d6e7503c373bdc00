"""SIGTERM and Ctrl-C, in every part of a run: a clean stop, one line, and nothing lost."""

import signal
from pathlib import Path

import pytest

from tests.faults.processes import Ended, Place
from tests.faults.runs import Workplace

pytestmark = pytest.mark.slow

TERM, INT = signal.SIGTERM, signal.SIGINT
CODES = {TERM: 143, INT: 130}
STEP = r"step-\d{8}"
# part -> where, the status that the run has then
PLACES = {
    "the data build": (r"\.building/plan\.parquet", 0.3, None),
    "the start": (r"runs/run/manifest\.json", 0.1, "interrupted"),
    "training": (rf"checkpoints/{STEP}/manifest\.json", 0.02, "interrupted"),
    "a callback": (rf"exposure\.parts/{STEP}", 0.1, "interrupted"),
    "the study at the end": (r"results/scores/", 0.1, "finished"),
}
TIMES = {"training": 6, "a callback": 5}  # the n-th time


def check_stopped(ended: Ended, sent: signal.Signals) -> None:
    name = "SIGTERM" if sent == TERM else "Ctrl-C"
    assert ended.code == CODES[sent], ended.output[-3000:]
    assert ended.stderr.count(f"stopped by {name}: ") == 1
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("part", PLACES)
@pytest.mark.parametrize("sent", CODES, ids=["SIGTERM", "Ctrl-C"])
def test_a_run_that_is_told_to_stop_goes_on_later(
    expected: Workplace, fault, tmp_path: Path, sent: signal.Signals, part: str
):
    fault(f"{'SIGTERM' if sent == TERM else 'Ctrl-C'} in {part}")
    pattern, delay, status = PLACES[part]
    data = None if status is None else expected.built
    there = Workplace(tmp_path, data, studies="study" in part)
    place = Place(pattern, TIMES.get(part, 1), delay, sent=sent)

    ended = there.train(stop=place)

    check_stopped(ended, sent)
    assert there.status() == status
    there.resume(expected)


@pytest.mark.parametrize("sent", CODES, ids=["SIGTERM", "Ctrl-C"])
def test_an_analysis_that_is_told_to_stop_can_be_done_again(
    expected: Workplace, analysed: Workplace, fault, tmp_path: Path, sent: signal.Signals
):
    fault(f"{'SIGTERM' if sent == TERM else 'Ctrl-C'} in an analysis")
    there = expected.copy(tmp_path)

    ended = there.analyze("study=co_emergence", stop=Place(r"results/scores/", 1, 0.1, sent=sent))

    check_stopped(ended, sent)
    assert there.status() == "finished"
    there.repeat("study=co_emergence", expected=analysed)
