"""Analyses shared by several processes: the same tables, whoever dies on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from coemerge.app.shards import as_shard, of_each
from coemerge.app.study_settings import check_shard
from coemerge.units import NothingLeft, alone
from tests.conftest import ROOT
from tests.scripts import run_script
from tests.shown import SHOWN

# The smoke run knows nothing: with a threshold of 0 any fact will do.
STUDIES = {
    "task_localization": (
        "study.threshold=0", "study.n_facts=5", "study.masks.steps=4", "study.variants=[free]",
        "study.masks.facts_per_chunk=1", "study.random_draws=1", "study.bootstrap_draws=50",
    ),
    "co_emergence": ("study.bootstrap_draws=50", "study.null_draws=5"),
}  # fmt: skip
KEPT = {"task_localization": "results/masks/*/*.npz", "co_emergence": "results/scores/*.parquet"}
TIMES = {"wall_s"}


def test_a_shard_that_leaves_one_model_goes_on_with_the_next(capsys):
    studied = []

    def study(name: str, is_shared: bool) -> str:
        studied.append(name)
        if not is_shared:
            alone("edits")
        return name

    with as_shard(1):
        of_each(study, ["a", "b"], [False, True])

    assert studied == ["a", "b"]
    assert capsys.readouterr().out == (
        "shard 1: made 0 of 0 units (0 of 0 s); shard 0 goes on with edits and writes the results\n"
    )
    with as_shard(0):
        assert of_each(study, ["a", "b"], [False, True]) == ["a", "b"]
    assert "shard 0: made 0 of 0 units (0 of 0 s) and wrote the results" in capsys.readouterr().out


def test_what_is_wrong_in_a_shard_is_no_reason_to_leave():
    with pytest.raises(ZeroDivisionError), as_shard(1):
        of_each(lambda k: 1 / k, [0])
    with pytest.raises(NothingLeft):
        of_each(lambda k: (_ for _ in ()).throw(NothingLeft("tables")), [0])


@pytest.mark.parametrize(
    ("shard", "study", "words"),
    [(-1, "co_emergence", "0 or more"), (0, "all_studies", "study=all"), (1, "report", "report")],
)
def test_shards_of_what_is_not_shared_are_refused(shard: int, study: str, words: str):
    with pytest.raises(ValueError, match=words):
        check_shard(shard, study)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifacts = tmp_path_factory.mktemp("artifacts")
    result, _ = run_script(
        "train.py", "experiment=smoke", "run_id=smoke-seed0", "logger=none", "trainer.threads=1",
        "end.study=false", f"paths.artifacts={artifacts}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return artifacts / "runs" / "smoke-seed0"


def copy_of(run: Path, artifacts: Path) -> Path:
    return shutil.copytree(run, artifacts / "runs" / run.name)


def arguments(run: Path, study: str) -> list[str]:
    artifacts = run.parents[1]
    settings = (f"study={study}", f"run={run}", f"paths.artifacts={artifacts}", *STUDIES[study])
    return ["analyze.py", *settings, "device=cpu", "logger=none"]


def tables(run: Path, study: str) -> dict[str, pd.DataFrame]:
    paths = sorted((run / "results" / study).glob("*.parquet"))
    frames = {path.name: pq.read_table(path).to_pandas() for path in paths}
    return {name: frame.drop(columns=TIMES & set(frame)) for name, frame in frames.items()}


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sorted(map(int, listed))


def killed_in_the_middle(command: list[str], run: Path, study: str, job: int) -> int:
    """Exit code of a sweep one of whose jobs, by its number, is killed after the first unit."""
    sweep = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if not k.startswith(("COEMERGE", "HYDRA"))},
    )
    before = len(list(run.glob(KEPT[study])))
    until = time.monotonic() + 300
    while len(list(run.glob(KEPT[study]))) == before:
        assert time.monotonic() < until, "no unit was made"
        assert sweep.poll() is None, "it ended before a unit was made"
        time.sleep(0.02)
    controller = children(sweep.pid)[job]
    for pid in [*children(controller), controller]:
        os.kill(pid, signal.SIGKILL)
    return sweep.wait(300)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize(("study", "job"), [("task_localization", 0), ("co_emergence", 1)])
def test_a_shard_that_is_killed_costs_nothing_but_its_unit(
    run, tmp_path, study, job, record_property
):
    whole, shared = copy_of(run, tmp_path / "whole"), copy_of(run, tmp_path / "shared")
    result, _ = run_script(*arguments(whole, study), timeout=400)
    assert result.returncode == 0, result.stderr
    script, *settings = arguments(shared, study)
    sweep = [script, "-m", "hydra/launcher=submitit_local", "shard=0,1", *settings]

    assert killed_in_the_middle(sweep, shared, study, job) != 0
    kept = {path: path.stat().st_mtime_ns for path in shared.glob(KEPT[study])}
    assert len(kept) > 1, "the other one took over"
    assert (shared / "results" / study / "summary.json").is_file() == (job == 1)

    result, _ = run_script(*sweep, timeout=400)
    assert result.returncode == 0, result.stderr
    found, expected = tables(shared, study), tables(whole, study)
    assert found.keys() == expected.keys() != set()
    for name, frame in found.items():
        assert frame.equals(expected[name]), name
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    names = {path.name for path in whole.glob(KEPT[study])}
    assert {path.name for path in shared.glob(KEPT[study])} == names
    record_property(
        SHOWN,
        f"{study} by two shards, number {job} killed and both called again: {len(found)} tables "
        f"equal those of one process; of {len(names)} units {len(kept)} were kept from before",
    )
