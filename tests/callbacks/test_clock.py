"""What callbacks cost: measured, summed over tries, printed."""

from pathlib import Path
from typing import Any

import pytest

from coemerge.app.closing import show_run
from coemerge.app.run_directory import read_run_manifest, update_manifest
from coemerge.callbacks import clock
from coemerge.callbacks.clock import CallbackClock
from tests.callbacks.conftest import Interrupt, Recorder, Trainer

SHORT = ("trainer.max_steps=2", "trainer.resume_every=1", "callbacks.acquisition=null")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless a test moves it."""
    times = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: times[0])
    return times


def test_hooks_within_a_hook_are_not_counted_twice(now: list[float]):
    measured = CallbackClock({"SaveResumeState": "resume"})

    with measured.profile("[Callback]SaveResumeState.on_train_batch_end"):
        now[0] += 1
        with measured.profile("[Callback]TrainingLog.on_save_checkpoint"):
            now[0] += 10
        now[0] += 2
    with measured.profile("[Callback]SaveResumeState.on_train_end"):
        now[0] += 4

    assert measured.seconds == {"resume": 7, "TrainingLog": 10}


def test_what_is_no_callback_is_not_counted(now: list[float]):
    measured = CallbackClock()

    with measured.profile("run_training_batch"):
        now[0] += 5

    assert measured.seconds == {}


def test_a_hook_that_raises_is_counted(now: list[float]):
    measured = CallbackClock()

    def fail() -> None:
        with measured.profile("[Callback]C.setup"):
            now[0] += 5
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert measured.seconds == {"C": 5}


def test_a_training_says_what_its_callbacks_took(
    train: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Slow(Recorder):
        def at_step(self, trainer: Any, module: Any, step: int) -> None:
            times[0] += 100

    times = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: times[0])

    def slow(job: Any) -> list[Any]:
        return [Slow(job)]

    with pytest.raises(RuntimeError, match="interrupted by the test"):
        train(tmp_path, *SHORT, first=slow, last=lambda job: [Interrupt(1)])
    first = dict((read_run_manifest(tmp_path) or {})["callbacks_wall_s"])
    train(tmp_path, *SHORT, first=slow, continues=True)
    manifest = read_run_manifest(tmp_path) or {}

    slow_key = next(name for name in first if name.endswith("Slow"))
    assert first[slow_key] == 200  # at steps 0 and 1
    assert manifest["callbacks_wall_s"][slow_key] == pytest.approx(300 + 100 * (len(times) - 1))
    assert {"training_log", "exposure", "checkpoints", "localization", "resume"} <= set(first)


@pytest.fixture(scope="module")
def run(train: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run"), *SHORT).directory


def test_the_share_is_printed(run: Path, capsys: pytest.CaptureFixture[str]):
    update_manifest(
        run, wall_s=400.0, callbacks_wall_s={"acquisition": 45.2, "idle": 0.01, "exposure": 4}
    )

    show_run(run)

    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "callbacks 49 s of 400 s (12%): acquisition 45 s, exposure 4.0 s" in printed


def test_a_run_that_was_not_timed_is_shown_too(run: Path, capsys: pytest.CaptureFixture[str]):
    update_manifest(run, callbacks_wall_s={})

    show_run(run)

    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith("callbacks ")]
