"""Relaxed gates (methods T-M4) and their gradients."""

import pytest
import torch

from coemerge.localization.relaxation import HardConcrete, StraightThrough, binarise

TWO_THIRDS = HardConcrete(temperature=2 / 3, low=-0.1, high=1.1)


@pytest.mark.parametrize(("logit", "p_open", "gate"), [(0.0, 0.8318, 0.5), (-3.0, 0.1976, 0.0)])
def test_hard_concrete_has_the_known_values(logit: float, p_open: float, gate: float):
    """T-M4."""
    logits = torch.tensor([logit])

    assert TWO_THIRDS.p_open(logits).item() == pytest.approx(p_open, abs=1e-4)
    assert TWO_THIRDS.deterministic(logits).item() == pytest.approx(gate, abs=1e-6)


def test_samples_are_open_as_often_as_stated():
    logits = torch.full((20_000,), -1.0)
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0))

    share = (TWO_THIRDS.sample(logits, uniform) > 0).float().mean()

    assert share.item() == pytest.approx(TWO_THIRDS.p_open(logits)[0].item(), abs=0.02)


def test_straight_through_is_binary_forward_and_a_sigmoid_backward():
    logits = torch.tensor([-2.0, -0.1, 0.1, 3.0], requires_grad=True)

    gates = StraightThrough().sample(logits)
    (gradient,) = torch.autograd.grad(gates.sum(), logits)

    assert gates.tolist() == [0, 0, 1, 1]
    soft = logits.detach().sigmoid()
    assert torch.equal(gradient, soft * (1 - soft))


@pytest.mark.parametrize("relaxation", [StraightThrough(), TWO_THIRDS])
def test_a_forbidden_component_stays_closed_and_gets_no_gradient(relaxation):
    logits = torch.tensor([5.0, 5.0], requires_grad=True)
    usable = logits.masked_fill(torch.tensor([True, False]), -torch.inf)

    gates = relaxation.sample(usable, torch.tensor([0.9, 0.2]))
    (gradient,) = torch.autograd.grad(gates.sum() + relaxation.p_open(usable).sum(), logits)

    assert gates[0] == 0
    assert relaxation.p_open(usable)[0] == 0
    assert gradient[0] == 0
    assert gradient[1] > 0
    assert binarise(relaxation, usable).tolist() == [False, True]


def test_a_deterministic_gate_of_one_half_is_not_in_the_mask():
    assert not binarise(TWO_THIRDS, torch.zeros(1)).any()
    assert not binarise(StraightThrough(), torch.zeros(1)).any()
