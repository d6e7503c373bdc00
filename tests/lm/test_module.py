"""The loss and the learning rate, by hand."""

import math

import pytest
import torch

from coemerge.corpus.loader import IGNORE
from coemerge.lm.config import OptimizerConfig
from coemerge.lm.module import lr_factor, weighted_loss
from tests.tolerances import FLOAT32_LOSS

LOGITS = torch.tensor(
    [[[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]], [[0.0, 1.0, 0.0, 0.0], [9.0, 9.0, 0.0, 0.0]]]
)
UNIFORM = math.log(4)
CERTAIN = math.log(1 + math.exp(-1) + math.exp(-2) + math.exp(-3))  # label 3 of 1, 2, 3, 4
ONE_UP = math.log(1 + 3 * math.exp(-1))  # label 1 of 0, 1, 0, 0


@pytest.mark.parametrize(
    ("labels", "weights", "loss"),
    [
        ([[2, IGNORE], [IGNORE, IGNORE]], [[1, 1], [1, 1]], UNIFORM),
        ([[2, 3], [1, IGNORE]], [[1, 1], [1, 1]], (UNIFORM + CERTAIN + ONE_UP) / 3),
        ([[2, 3], [1, IGNORE]], [[1, 5], [2, 1]], (UNIFORM + 5 * CERTAIN + 2 * ONE_UP) / 8),
        ([[2, IGNORE], [1, IGNORE]], [[1, 99], [2, 99]], (UNIFORM + 2 * ONE_UP) / 3),
        ([[2, 3], [1, IGNORE]], [[0, 1], [1, 1]], (CERTAIN + ONE_UP) / 2),
        ([[2, 3], [IGNORE, IGNORE]], [[0.1, 0.3], [1, 1]], (0.1 * UNIFORM + 0.3 * CERTAIN) / 0.4),
    ],
    ids=["one label", "mean", "weights", "ignored weights", "weight zero", "small weights"],
)
def test_loss_is_the_weighted_mean_over_labelled_positions(
    labels: list[list[int]], weights: list[list[float]], loss: float
):
    found = weighted_loss(LOGITS, torch.tensor(labels), torch.tensor(weights).float())

    assert found.item() == pytest.approx(loss, abs=FLOAT32_LOSS)


def test_a_batch_without_labels_has_loss_and_gradient_zero():
    logits = LOGITS.clone().requires_grad_()

    loss = weighted_loss(logits, torch.full((2, 2), IGNORE), torch.ones(2, 2))
    loss.backward()

    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize("border", [0, 1, 2, 3])
def test_losses_and_gradients_of_the_parts_of_a_batch_add_up_to_those_of_the_whole(border: int):
    """However many labels each part has; one without any adds nothing. A mean of the parts' means
    would be another number."""
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 5, requires_grad=True)
    labels = torch.tensor([[1, 2, IGNORE, IGNORE], [0, 4, 3, 1], [IGNORE] * 4])
    weights = torch.tensor([[5.0, 1, 1, 1], [1, 1, 5, 1], [1, 1, 1, 1]])
    total = torch.tensor(5.0 + 1 + 1 + 1 + 5 + 1)
    whole = weighted_loss(logits, labels, weights)
    (wanted,) = torch.autograd.grad(whole, logits)

    parts = [
        weighted_loss(logits[rows], labels[rows], weights[rows], total)
        for rows in (slice(0, border), slice(border, 3))
    ]
    (found,) = torch.autograd.grad(parts[0] + parts[1], logits)

    assert (parts[0] + parts[1]).item() == pytest.approx(whole.item(), abs=FLOAT32_LOSS)
    assert torch.allclose(found, wanted, atol=FLOAT32_LOSS)
    assert all(torch.isfinite(part) for part in parts)
    if border == 1:
        means = [weighted_loss(logits[r], labels[r], weights[r]) for r in (slice(1), slice(1, 3))]
        assert abs(sum(means).item() / 2 - whole.item()) > 0.01


def test_loss_of_bfloat16_logits_is_float32():
    labels = torch.tensor([[2, 3], [1, IGNORE]])

    loss = weighted_loss(LOGITS.bfloat16(), labels, torch.ones(2, 2))

    assert loss.dtype == torch.float32


def config_with(**values: float) -> OptimizerConfig:
    return OptimizerConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, 0.1),  # the first step already learns
        (4, 0.5),
        (9, 1.0),  # the end of the warm-up
        (10, 1.0),
        (60, 0.1 + 0.9 * 0.5),  # half-way down the cosine
        (110, 0.1),
        (500, 0.1),  # past the end it stays
    ],
)
def test_learning_rate_warms_up_and_decays(step: int, factor: float):
    schedule = lr_factor(config_with(warmup_steps=10, final_lr=0.1), max_steps=110)

    assert schedule(step) == pytest.approx(factor)


def test_learning_rate_never_rises_after_the_warm_up():
    schedule = lr_factor(config_with(warmup_steps=10, final_lr=0.0), max_steps=100)

    factors = [schedule(step) for step in range(10, 101)]

    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(0.0)


def test_without_warm_up_it_starts_in_full():
    assert lr_factor(config_with(warmup_steps=0), max_steps=10)(0) == 1.0


def test_a_run_shorter_than_the_warm_up_never_reaches_the_full_rate():
    schedule = lr_factor(config_with(warmup_steps=100), max_steps=10)

    assert [schedule(s) for s in (0, 9)] == [0.01, 0.1]
