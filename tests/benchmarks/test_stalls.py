"""What makes the host wait for a GPU is counted, and inner loops do without it."""

from dataclasses import replace

import pytest
import torch

from benchmarks.pretended import Wait, pretended_device
from benchmarks.stalls import TINY, Loop, masks, training, waits, waits_per_step
from benchmarks.training import Job
from coemerge.app.settings import Settings
from coemerge.corpus.dataset import Dataset


def _looks(device: torch.device, n: int) -> None:
    """Two reads and an upload a step, and a read before."""
    weights = torch.ones(4, device=device)
    assert weights.sum().item() == 4
    for _ in range(n):
        chosen = weights[torch.tensor([0, 1])]
        if bool((chosen > 0).all()):
            weights = weights + weights[weights > 0].sum()


def _does_not_look(device: torch.device, n: int) -> None:
    weights = torch.ones(4, device=device, requires_grad=True)
    for step in range(n):
        rows = torch.tensor([0, step % 4]).to(device, non_blocking=True)
        loss = torch.where(weights > 0, weights, 0.0)[rows].sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights[weights < 0] = 1.0
            weights -= 0.1 * gradient


def test_every_step_that_waits_is_counted_with_its_kind() -> None:
    found = waits_per_step(Loop("made up", "step", _looks, n=3))
    kinds = {(wait.kind, wait.operation): n for wait, n in found.items()}
    assert kinds == {
        ("read", "_local_scalar_dense"): 3,
        ("read", "index"): 3,
        ("upload", "index"): 3,
    }
    assert all("test_stalls.py" in wait.where for wait in found)
    assert sum(waits(_looks, 3).values()) == 3 * 3 + 1


def test_steps_that_only_queue_work_do_not_wait() -> None:
    assert not waits_per_step(Loop("made up", "step", _does_not_look))


def test_numbers_are_those_of_the_cpu() -> None:
    values = torch.arange(6.0).view(2, 3)
    with pretended_device() as watch:
        there = values.to(watch.device)
        assert there.device.type != "cpu"
        assert torch.equal((there @ there.T).relu().cpu(), (values @ values.T).relu())
        assert there.tolist() == values.tolist()
        assert {wait.kind for wait in watch.waits} == {"upload", "read"}
        with pytest.raises(RuntimeError):
            there.numpy()


def test_a_step_of_training_does_not_wait(smoke_settings: Settings, smoke_dataset: Dataset) -> None:
    job = replace(Job(smoke_settings, smoke_dataset), model=TINY, batch_rows=2)
    _assert_none(waits_per_step(training(job)))


def test_a_step_of_training_masks_does_not_wait(smoke_dataset: Dataset) -> None:
    _assert_none(waits_per_step(masks(smoke_dataset)))


def _assert_none(found: dict[Wait, int]) -> None:
    assert not found, "\n".join(f"{n} x {wait}" for wait, n in found.items())
