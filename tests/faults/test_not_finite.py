"""A loss that is no number: the run stops, says where, and keeps what was good."""

from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.faults.comparison import contents
from tests.faults.runs import Workplace

pytestmark = pytest.mark.slow


def test_a_run_whose_loss_overflows_stops_and_keeps_what_was_good(
    expected: Workplace, fault, tmp_path: Path
):
    fault("loss is no number")
    there = Workplace(tmp_path, expected.built)
    wild = ("optimizer.lr=1e8", "optimizer.warmup_steps=0", "callbacks.localization=null")

    ended = there.train(*wild)
    again = there.train(*wild, "resume=true")

    for process in (ended, again):
        assert process.code == 2, process.output[-3000:]
        assert "Traceback" not in process.output
        assert "is not a finite number at optimizer step" in process.stderr
        assert "documents, of " in process.stderr
        assert there.status() == "failed"
    assert contents(there.run, "not_finite.json")
    kept = list(there.run.glob("checkpoints/step-*/model.safetensors"))
    assert kept
    for path in kept:
        assert all(abs(weights).max() < float("inf") for weights in load_file(path).values())
    assert not (there.run / "resume").exists()
