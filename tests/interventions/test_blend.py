"""The arithmetic of one gate, without a model."""

import pytest
import torch

from coemerge.interventions.blend import blend, freeze
from coemerge.interventions.sites import Site
from tests.interventions.models import noise

HEADS = noise(3, 5, 4, 2)  # [B,T,H,d_h]
NEURONS = noise(3, 5, 6)  # [B,T,m]
FLOAT32 = 1e-6  # one multiplication and one addition of numbers of order 1


@pytest.mark.parametrize("x", [HEADS, NEURONS], ids=["heads", "neurons"])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_it_is_exact_at_both_ends(x: torch.Tensor, scale: float):
    other = scale * noise(*x.shape, seed=1)

    assert torch.equal(blend(torch.zeros(x.shape[2]), other)(x), x)
    assert torch.equal(blend(torch.ones(x.shape[2]), other)(x), other)


def test_it_is_the_formula_in_between():
    gate, other = torch.rand(3, 4), noise(*HEADS.shape, seed=1)

    g = gate[:, None, :, None]
    expected = (1 - g) * HEADS + g * other
    torch.testing.assert_close(blend(gate, other)(HEADS), expected, rtol=0, atol=FLOAT32)


def test_each_component_has_its_own_gate():
    blended = blend(torch.tensor([0.0, 1.0, 0.0, 1.0]))(HEADS)

    assert torch.equal(blended[:, :, [0, 2]], HEADS[:, :, [0, 2]])
    assert not blended[:, :, [1, 3]].any()


def test_each_row_has_its_own_gates():
    gate = torch.zeros(3, 6)
    gate[1, 2] = 1

    blended = blend(gate)(NEURONS)

    assert not blended[1, :, 2].any()
    assert torch.equal(blended[[0, 2]], NEURONS[[0, 2]])


@pytest.mark.parametrize("x", [HEADS, NEURONS], ids=["heads", "neurons"])
def test_a_mean_serves_all_rows_and_positions(x: torch.Tensor):
    mean = noise(*x.shape[2:], seed=1)

    assert torch.equal(blend(torch.ones(x.shape[2]), mean)(x), mean.expand_as(x))


def test_one_run_serves_all_rows():
    one = noise(1, 5, 6, seed=1)

    assert torch.equal(blend(torch.ones(6), one)(NEURONS), one.expand_as(NEURONS))


def test_positions_limit_it():
    positions = torch.zeros(3, 5, dtype=torch.bool)
    positions[0, 2] = True

    blended = blend(torch.ones(4), 0.0, positions)(HEADS)

    assert not blended[0, 2].any()
    assert torch.equal(blended[~positions], HEADS[~positions])


def test_gradients_reach_gate_activation_and_reference():
    gate = torch.full((4,), 0.25, requires_grad=True)
    x, other = HEADS.clone().requires_grad_(), noise(*HEADS.shape, seed=1).requires_grad_()

    blend(gate, other)(x).sum().backward()

    assert gate.grad is not None
    torch.testing.assert_close(gate.grad, (other - x).sum((0, 1, 3)), rtol=1e-5, atol=1e-5)
    assert torch.equal(x.grad, torch.full_like(x, 0.75))
    assert torch.equal(other.grad, torch.full_like(x, 0.25))


def test_the_type_of_the_activation_is_kept():
    x = NEURONS.bfloat16()

    blended = blend(torch.zeros(6), noise(6))(x)

    assert blended.dtype == torch.bfloat16
    assert torch.equal(blended, x)


def test_nothing_is_written_in_place():
    x = NEURONS.clone()

    blend(torch.ones(6))(x)
    freeze({Site("mlp_act", 0): noise(3, 5, 6)})[Site("mlp_act", 0)](x)

    assert torch.equal(x, NEURONS)


@pytest.mark.parametrize(
    ("gate", "reference", "positions", "message"),
    [
        (torch.ones(5), 0.0, None, r"gate of shape \[5\] does not fit: needs \[6\]"),
        (torch.ones(2, 6), 0.0, None, r"gate of shape \[2, 6\].*\[3, 6\] with one mask per row"),
        (torch.ones(6), noise(5), None, r"reference of shape \[5\]"),
        (torch.ones(6), noise(3, 1, 6), None, r"reference of shape \[3, 1, 6\].*one to one"),
        (torch.ones(6), 0.0, torch.ones(3, 4).bool(), r"bool \[3, 5\].*\[3, 4\]"),
        (torch.ones(6), 0.0, torch.ones(3, 5), r"bool \[3, 5\].*float32"),
    ],
)
def test_shapes_that_do_not_fit_are_named(gate, reference, positions, message: str):
    with pytest.raises(ValueError, match=message):
        blend(gate, reference, positions)(NEURONS)


def test_frozen_sites_hold_their_values_where_asked():
    site, value = Site("mlp_act", 0), noise(1, 5, 6, seed=1)
    positions = torch.zeros(1, 5, dtype=torch.bool)
    positions[0, 3] = True

    everywhere = freeze({site: value})[site](NEURONS)
    at_three = freeze({site: value}, positions)[site](NEURONS)

    assert torch.equal(everywhere, value.expand(3, -1, -1))
    assert torch.equal(at_three[:, 3], value[:, 3].expand(3, -1))
    assert torch.equal(at_three[:, :3], NEURONS[:, :3])
