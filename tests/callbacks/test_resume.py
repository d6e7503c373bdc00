"""The state that a run goes on from: whole, or not used."""

from pathlib import Path
from typing import Any

import pytest
import torch

from coemerge.callbacks.resume import AtomicCheckpointIO, whole_state
from tests.callbacks.conftest import Trainer

STATE = {"weights": torch.arange(20_000.0), "epoch": 3, "names": ["a", "b"]}


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """A run's directory with two states."""
    for epoch in (1, 2, 3):
        AtomicCheckpointIO().save_checkpoint({**STATE, "epoch": epoch}, last(tmp_path))
    return tmp_path


def last(run: Path) -> Path:
    return run / "resume" / "last.ckpt"


def before(run: Path) -> Path:
    return run / "resume" / "before.ckpt"


def epoch(path: Path | None) -> Any:
    return torch.load(path, weights_only=True)["epoch"] if path else None


def damage(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    if place < 0:
        content = content[: len(content) // 2]
    else:
        content[place] ^= 4
    path.write_bytes(bytes(content))


def test_the_last_two_states_are_kept(states: Path):
    assert whole_state(states) == last(states)
    assert (epoch(last(states)), epoch(before(states))) == (3, 2)
    assert sorted(path.name for path in (states / "resume").iterdir()) == [
        "before.ckpt",
        "last.ckpt",
    ]


def test_without_a_state_a_run_starts_from_its_beginning(tmp_path: Path):
    assert whole_state(tmp_path) is None


@pytest.mark.parametrize("place", [-1, 900, 40_000], ids=["cut off", "early", "in the weights"])
def test_a_damaged_state_gives_way_to_the_one_before(states: Path, place: int, caplog):
    damage(last(states), place)

    assert epoch(whole_state(states)) == 2
    assert f"{last(states)} is damaged" in caplog.text

    damage(before(states), place)
    assert whole_state(states) is None


def test_torch_itself_would_not_notice(states: Path):
    """The tests above can fail."""
    damage(last(states), 40_000)

    loaded = torch.load(last(states), weights_only=True)
    assert not torch.equal(loaded["weights"], STATE["weights"])


def test_a_kill_between_both_renames_leaves_a_state(states: Path, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coemerge.files.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpointIO().save_checkpoint(STATE, last(states))

    assert epoch(whole_state(states)) == 3


def test_a_state_that_cannot_be_written_leaves_the_older_ones(states: Path, monkeypatch):
    def full(*_: object) -> None:
        raise RuntimeError("unexpected pos 704 vs 598")

    monkeypatch.setattr("coemerge.callbacks.resume.torch.save", full)
    with pytest.raises(OSError, match=r"resume/last\.ckpt could not be written: unexpected pos"):
        AtomicCheckpointIO().save_checkpoint(STATE, last(states))

    assert (epoch(last(states)), epoch(before(states))) == (3, 2)


def test_rows_that_a_logger_may_not_have_written_are_logged_again(train: Trainer, tmp_path: Path):
    plain = (
        "trainer.max_steps=4",
        "trainer.resume_every=2",
        "trainer.log_every=1",
        "callbacks.acquisition=null",
        "callbacks.localization=null",
    )
    rows = [({"step": 1, "train/loss": 2.5}, 1), ({"step": 2, "train/loss": 2.25}, 2)]

    first = train(tmp_path, *plain)
    state = torch.load(last(tmp_path), weights_only=True)
    assert state["recent_rows"] == [[]]  # the test's logger is sure of its rows

    state["recent_rows"] = [rows]
    torch.save(state, last(tmp_path))
    again = train(tmp_path, *plain, continues=True)

    assert [m for m in again.logged if m in [row for row, _ in rows]] == [row for row, _ in rows]
    assert first.weights == again.weights
