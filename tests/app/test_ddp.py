"""Two processes on this machine's CPU train the model that one would have trained."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file

from coemerge.app.ranks import BY_FIRST
from tests.conftest import ROOT
from tests.shown import SHOWN

pytestmark = pytest.mark.slow

# 537 rows, 64 to a step: the ninth ends a pass with 25 rows, of which the second process has 9 and
# none in its last micro-batch.
N_STEPS = 11
SETTINGS = (
    "experiment=smoke",
    "trainer.batch_rows=32",
    "trainer.accumulate=2",
    f"trainer.max_steps={N_STEPS}",
    "trainer.threads=1",
    "trainer.precision=32-true",
    "trainer.resume_every=4",
    "trainer.log_every=1",
    "callbacks.localization=null",
    "callbacks.progress=null",
    "callbacks.exposure.schedule.count=3",
    "end.study=false",
    "logger=none",
)
DDP = ("trainer=ddp", "trainer.devices=2")
FSDP = ("trainer=fsdp", "trainer.devices=2")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
LOSS, WEIGHT = 1e-5, 2e-3  # largest differences; AdamW's steps are of 3e-3 for any gradient
LIMIT_S = 500.0


@dataclass(frozen=True)
class Workplace:
    artifacts: Path

    def start(
        self,
        run: str,
        *overrides: str,
        launcher: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        where = (f"paths.artifacts={self.artifacts}", f"paths.data={self.artifacts / 'none'}")
        given = (*SETTINGS, f"run_id={run}", *where, *overrides)
        return subprocess.Popen(
            [sys.executable, *launcher, str(ROOT / "train.py"), *given],
            cwd=self.artifacts,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, run: str, *overrides: str, **options: Any) -> str:
        """What it printed."""
        process = self.start(run, *overrides, **options)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, err[-4000:]
        return out + err

    def path(self, run: str) -> Path:
        return self.artifacts / "runs" / run

    def manifest(self, run: str) -> dict[str, Any]:
        return json.loads((self.path(run) / "manifest.json").read_text())

    def table(self, run: str, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.path(run) / "tables" / f"{name}.parquet")

    def wait_for(self, run: str, pattern: str, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not list(self.path(run).glob(pattern)):
            assert process.poll() is None, (process.stderr or sys.stdin).read()[-4000:]
            assert time.monotonic() < deadline, "took too long"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """With a run of one process, called ``one``."""
    workplace = Workplace(tmp_path_factory.mktemp("artifacts"))
    workplace.train("one")
    return workplace


def check_same(there: Workplace, run: str, expected: str = "one") -> str:
    """Tables, checkpoints and weights, up to rounding; every row and file once. Tells how far they
    differ."""
    found, wanted = (there.table(r, "training") for r in (run, expected))
    assert found["step"].tolist() == list(range(1, N_STEPS + 1))
    for name in ("tokens_seen", "lr"):
        assert found[name].tolist() == wanted[name].tolist()
    gaps = {name: (found[name] - wanted[name]).abs().max() for name in ("loss", "grad_norm")}
    assert all(gap < LOSS for gap in gaps.values()), gaps
    pd.testing.assert_frame_equal(
        there.table(run, "exposure"), there.table(expected, "exposure"), check_exact=True
    )
    found, wanted = (there.table(r, "prompt_scores") for r in (run, expected))
    keys = ["step", "fact_id", "task", "template_id", "split", "options", "n_rotations"]
    assert found[keys].equals(wanted[keys])
    assert (found["p_full"] - wanted["p_full"]).abs().max() < WEIGHT
    folders = [there.path(r) / "checkpoints" for r in (run, expected)]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    weights = []
    for name in names[0]:
        states = [load_file(folder / name / "model.safetensors") for folder in folders]
        assert states[0].keys() == states[1].keys()
        weights.append(max((states[0][k] - states[1][k]).abs().max().item() for k in states[0]))
        assert weights[-1] < WEIGHT, name
        configs = [(folder / name / "config.json").read_text() for folder in folders]
        assert configs[0] == configs[1]
    assert there.manifest(run)["status"] == "finished"
    return (
        f"in {N_STEPS} steps the loss differs by {gaps['loss']:.0e} at most, the gradient's norm "
        f"by {gaps['grad_norm']:.0e}, weights by {max(weights):.0e}; exposure is equal"
    )


def test_two_processes_train_as_one_does(there: Workplace, record_property):
    said = there.train("two", *DDP)

    record_property(SHOWN, f"ddp, two processes against one: {check_same(there, 'two')}")
    assert there.manifest("two")["devices"] == [2]
    assert said.count("Facts emerged") == 1


def test_a_model_that_is_spread_trains_as_one_that_is_whole_started_by_torchrun(
    there: Workplace, record_property
):
    said = there.train("spread", *FSDP, launcher=TORCHRUN)

    record_property(SHOWN, f"fsdp, two processes against one: {check_same(there, 'spread')}")
    assert said.count("Facts emerged") == 1


def test_sigterm_stops_both_and_one_process_goes_on(there: Workplace):
    process = there.start("stopped", *DDP)
    there.wait_for("stopped", "resume/last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 143, err[-4000:]
    assert err.count("stopped by SIGTERM") == 1
    assert "Traceback" not in err
    assert there.manifest("stopped")["status"] == "interrupted"
    assert not others_of(process.pid)

    said = there.train("stopped", "resume=true")
    check_same(there, "stopped")
    assert there.manifest("stopped")["devices"] == [2, 1]
    assert "devices: 2, then 1" in said


def test_when_one_dies_the_other_ends_and_says_so_and_two_go_on(there: Workplace):
    process = there.start("killed", *DDP)
    there.wait_for("killed", "resume/last.ckpt", process)
    (other,) = others_of(process.pid)
    os.kill(other, signal.SIGSTOP)  # and so the first waits for it
    second, err_of_second = run_second(there)
    os.kill(other, signal.SIGKILL)
    _, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 2, err[-4000:]
    assert err.count("error: another process of this training has ended") == 1
    assert "Traceback" not in err
    assert there.manifest("killed")["status"] == "failed"
    assert second == 2
    assert "is in use by another process" in err_of_second

    there.train("killed", *DDP, "resume=true")
    check_same(there, "killed")


def run_second(there: Workplace) -> tuple[int, str]:
    """A training of the same run, by somebody else."""
    process = there.start("killed", *DDP, "resume=true")
    _, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, err


def others_of(first: int) -> list[int]:
    """Processes that the first has started, by what it wrote in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:  # ended, or somebody else's
            continue
        if f"{BY_FIRST}=1 2 {first}".encode() in variables:
            found.append(int(path.parent.name))
    return found


def test_a_loss_that_is_no_number_is_told_once(there: Workplace):
    process = there.start("diverged", *DDP, "optimizer.lr=1e8", "callbacks.acquisition=null")
    _, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 2, err[-4000:]
    assert err.count("is not a finite number") == 1
    assert json.loads((there.path("diverged") / "not_finite.json").read_text())["documents"]
    assert there.manifest("diverged")["status"] == "failed"


def test_tasks_of_srun_find_each_other_and_part_where_nothing_is_to_be_done(there: Workplace):
    """By the variables that SLURM sets; there is none here."""
    job = {
        "SLURM_JOB_ID": str(10_000 + os.getpid() % 10_000),
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_JOB_NAME": "test",
        "SLURM_NODEID": "0",
    }
    before = there.manifest("one")
    processes = [
        there.start(
            "one",
            *DDP,
            "resume=true",
            environment={**job, "SLURM_PROCID": rank, "SLURM_LOCALID": rank},
        )
        for rank in ("1", "0")
    ]
    said = [process.communicate(timeout=LIMIT_S) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], said
    assert ["Facts emerged" in out for out, _ in said] == [False, True]
    assert there.manifest("one") == before
