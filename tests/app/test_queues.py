"""Jobs that submitit starts: what SLURM is asked for, and how they end when they are told to."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
import submitit
from hydra.utils import instantiate
from omegaconf import OmegaConf
from submitit.slurm.slurm import SlurmExecutor

from coemerge.app.queues import in_queue
from tests.test_configs import composed

ASKED = (signal.SIGTERM, signal.SIGUSR2)


def submitted(monkeypatch, tmp_path, launcher: str, primary: str, *overrides: str) -> list[str]:
    """Lines of the file that sbatch would get for a sweep of two jobs."""
    texts = []

    def kept(executor, function, *arguments) -> list:
        assert len(arguments[0]) == 2
        inner = executor._executor
        inner.map_count = 2
        texts.append(inner._make_submission_file_text("python -u -m submitit.core._submit", "id"))
        return []

    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda _: 1))  # there is no srun
    monkeypatch.setattr(submitit.AutoExecutor, "map_array", kept)
    named = (f"hydra/launcher={launcher}", f"paths.artifacts={tmp_path}", *overrides)
    config = composed(primary, *named, with_hydra=True)
    plugin = instantiate(config.hydra.launcher)
    plugin.setup(hydra_context=None, task_function=lambda _: None, config=config)
    plugin.launch([["seed=0"], ["seed=1"]], 0)
    return texts[0].splitlines()


@pytest.mark.parametrize("launcher", ["submitit_slurm", "slurm"])
@pytest.mark.parametrize("primary", ["train", "analyze"])
def test_slurm_is_asked_for_what_the_launcher_says(monkeypatch, tmp_path, launcher, primary):
    lines = submitted(
        monkeypatch, tmp_path, launcher, primary,
        "hydra.launcher.partition=short", "hydra.launcher.cpus_per_task=4",
    )  # fmt: skip

    for wanted in (
        "--time=240", "--signal=USR2@120", "--cpus-per-task=4", "--gpus-per-node=1", "--mem=32GB",
        "--nodes=1", "--ntasks-per-node=1", "--partition=short",
    ):  # fmt: skip
        assert f"#SBATCH {wanted}" in lines
    logs = [line for line in lines if line.startswith("#SBATCH --output=")]
    assert len(logs) == 1
    assert str(tmp_path / "multirun" / "submitit") in logs[0]


def test_jobs_of_one_machine_have_time_and_their_logs_a_place(tmp_path):
    config = composed("analyze", "hydra/launcher=submitit_local", f"paths.artifacts={tmp_path}",
                      with_hydra=True)  # fmt: skip
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert launcher["_target_"].endswith("LocalLauncher")
    assert launcher["submitit_folder"] == str(tmp_path / "multirun" / "submitit" / "%j")
    assert launcher["timeout_min"] > 24 * 60


def test_an_analysis_in_a_sweep_gets_as_many_processes_as_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert composed("analyze", with_hydra=True).hydra.launcher.n_jobs == 6
    one = composed("train", "trainer.threads=3", with_hydra=True)
    assert one.hydra.launcher.n_jobs == 2


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A process as submitit leaves it: SIGTERM is passed by, SIGUSR2 queues the job again and
    exits. The list tells how often it was queued."""
    queued: list[int] = []

    def queue(number: int, frame: object) -> None:
        queued.append(number)
        raise SystemExit(144)

    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    before = [signal.getsignal(number) for number in ASKED]
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGUSR2, queue)
    yield queued
    for number, handler in zip(ASKED, before, strict=True):
        signal.signal(number, handler)


def told(number: signal.Signals) -> Callable[[], None]:
    def main() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    return main


def test_a_job_that_is_told_to_stop_unwinds_and_leaves_the_handlers_as_they_were(job):
    before = [signal.getsignal(number) for number in ASKED]
    with pytest.raises(SystemExit) as ended:
        in_queue(told(signal.SIGTERM))()
    assert ended.value.code == 143
    assert job == []
    assert [signal.getsignal(number) for number in ASKED] == before


def test_a_job_that_is_warned_is_queued_once_and_unwinds(job):
    with pytest.raises(SystemExit) as ended:
        in_queue(told(signal.SIGUSR2))()
    assert ended.value.code == 144  # by which submitit knows
    assert job == [signal.SIGUSR2]


def test_a_trainer_in_a_job_that_is_warned_ends_its_step(job):
    steps = []

    def main() -> None:
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: ours(number, frame))
        os.kill(os.getpid(), signal.SIGUSR2)
        steps.append("ended")
        raise SystemExit(143)  # as app.training.fit does then

    with pytest.raises(SystemExit) as ended:
        in_queue(main)()
    assert (steps, ended.value.code, len(job)) == (["ended"], 144, 1)


def test_a_job_that_ran_out_of_time_too_often_unwinds_and_says_so(job):
    def enough(number: int, frame: object) -> None:
        raise submitit.core.utils.UncompletedJobError("timed-out too many times")

    signal.signal(signal.SIGUSR2, enough)
    with pytest.raises(submitit.core.utils.UncompletedJobError, match="too many times"):
        in_queue(told(signal.SIGUSR2))()


def test_outside_of_submitit_nothing_changes(job, monkeypatch):
    monkeypatch.delenv("SUBMITIT_EXECUTOR")
    seen = []
    in_queue(lambda: seen.append([signal.getsignal(number) for number in ASKED]))()
    assert seen == [[signal.getsignal(number) for number in ASKED]]
