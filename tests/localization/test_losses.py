"""The terms of the objective on numbers done by hand."""

import math

import pytest
import torch

from coemerge.localization.losses import (
    answer_nll,
    necessity_kl_to_uniform,
    necessity_nll_of_rest,
    sparsity,
    specificity_kl,
)

ROUNDING = 1e-6  # float32 logarithms
LOGITS = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()
PAIR = torch.tensor([[0, 3]])


def test_necessity_is_the_divergence_from_chance_among_the_candidates():
    p, q = 5 / 6, 1 / 6
    expected = 0.5 * math.log(0.5 / p) + 0.5 * math.log(0.5 / q)

    padded = torch.tensor([[0, 3, -1]])

    assert necessity_kl_to_uniform(LOGITS, PAIR).item() == pytest.approx(expected, abs=ROUNDING)
    assert necessity_kl_to_uniform(LOGITS, padded).item() == pytest.approx(expected, abs=ROUNDING)
    even = torch.tensor([[1, 2]])
    assert necessity_kl_to_uniform(LOGITS, even).item() == pytest.approx(0, abs=ROUNDING)


def test_necessity_rises_when_another_answer_is_installed():
    flipped = LOGITS[:, [3, 1, 2, 0]]

    assert necessity_kl_to_uniform(flipped, PAIR) > 0.1


def test_nll_of_rest_is_normalised_by_chance_and_ends_there():
    four = torch.tensor([[0, 1, 2, 3]])
    answer = torch.tensor([0])
    expected = -math.log(1 - (0.5 - 0.25) / 0.75)

    assert necessity_nll_of_rest(LOGITS, answer, four).item() == pytest.approx(expected, abs=1e-6)
    assert necessity_nll_of_rest(LOGITS, torch.tensor([3]), four).item() == 0


def test_a_certain_answer_still_has_a_gradient_to_lose():
    logits = torch.tensor([[60.0, 0.0]], requires_grad=True)

    loss = necessity_nll_of_rest(logits, torch.tensor([0]), torch.tensor([[0, 1]]))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)

    assert gradient[0, 0].item() == pytest.approx(1, abs=ROUNDING)


def test_sufficiency_is_the_answers_negative_log_probability():
    assert answer_nll(LOGITS, torch.tensor([3])).item() == pytest.approx(-math.log(0.1), abs=1e-6)


def test_specificity_is_zero_for_the_same_output_and_the_divergence_else():
    clean = LOGITS.log_softmax(1)
    uniform = torch.zeros(1, 4)
    expected = sum(p * math.log(p / 0.25) for p in (0.5, 0.2, 0.2, 0.1))

    assert specificity_kl(LOGITS + 7, clean).item() == pytest.approx(0, abs=ROUNDING)
    assert specificity_kl(uniform, clean).item() == pytest.approx(expected, abs=ROUNDING)


def test_heads_and_neurons_are_normalised_separately():
    heads, neurons = torch.ones(2, 3, 4), torch.zeros(2, 3, 100)
    neurons[1] = 0.5

    assert sparsity(heads, neurons, 2.0, 4.0).tolist() == [2.0, 4.0]
