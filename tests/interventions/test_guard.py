"""A model is left as it was found, or it is said what differs."""

import pytest
import torch
from torch import nn

from coemerge.interventions.guard import unchanged
from tests.interventions.models import make_model, tokens


@pytest.fixture
def model():
    return make_model("gpt2")


def test_modes_flags_and_gradients_are_restored(model):
    first, *others = model.parameters()
    first.requires_grad_(False)
    others[0].grad = kept = torch.ones_like(others[0])
    model.transformer.h[0].train()
    modes = [module.training for module in model.modules()]

    with unchanged(model):
        model.train()
        model.requires_grad_(True)
        model(tokens(1, 4), labels=tokens(1, 4)).loss.backward()

    assert [module.training for module in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == [False] + [True] * len(others)
    assert others[0].grad is kept
    assert torch.equal(kept, torch.ones_like(kept))
    assert all(p.grad is None for p in (first, *others[1:]))


def test_they_are_restored_when_the_block_raises_and_its_exception_is_seen(model):
    def analysis() -> None:
        model.train()
        model.requires_grad_(False)
        model.lm_head.register_forward_hook(lambda *_: None)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), unchanged(model):
        analysis()

    assert not any(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("weights", ["checksum", "bitwise"])
def test_a_changed_weight_is_named(model, weights):
    with (
        pytest.raises(RuntimeError, match=r"values of transformer.h.1.mlp.c_proj.weight$"),
        unchanged(model, weights),
        torch.no_grad(),
    ):
        model.transformer.h[1].mlp.c_proj.weight[3, 4] += 1e-6


@pytest.mark.parametrize("weights", ["checksum", "bitwise"])
def test_weights_that_were_put_back_are_unchanged(model, weights):
    weight = model.transformer.h[0].mlp.c_proj.weight

    with unchanged(model, weights), torch.no_grad():
        before = weight.clone()
        weight.mul_(2)
        weight.copy_(before)


def test_an_exchange_of_values_is_seen_bit_by_bit(model):
    weight = model.lm_head.weight

    with pytest.raises(RuntimeError, match="values of"), unchanged(model, "bitwise"):
        weight.data[[0, 1]] = weight.data[[1, 0]]


def test_unchecked_weights_are_not_looked_at(model):
    with unchanged(model, "unchecked"), torch.no_grad():
        model.lm_head.weight.add_(1)


def test_a_replaced_parameter_is_named(model):
    with pytest.raises(RuntimeError, match=r"lm_head\.weight"), unchanged(model):
        model.lm_head.weight = nn.Parameter(torch.zeros(60, 32))


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (lambda m: m.register_forward_hook(lambda *_: None), "forward hooks of transformer.h.0"),
        (lambda m: m.register_forward_pre_hook(lambda *_: None), "forward pre-hooks of transf"),
    ],
)
def test_a_hook_left_behind_is_named(model, register, message: str):
    with pytest.raises(RuntimeError, match=message), unchanged(model):
        register(model.transformer.h[0])


def test_hooks_that_were_there_before_are_no_fault(model):
    model.lm_head.register_forward_hook(lambda *_: None)

    with unchanged(model):
        model(tokens(1, 3))


def test_a_changed_attention_function_is_named(model):
    with pytest.raises(RuntimeError, match="attention implementation"), unchanged(model):
        model.set_attn_implementation("sdpa")
