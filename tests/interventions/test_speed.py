"""Faster passes give the same logits where they are read, and leave nothing behind."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.sites import Site
from coemerge.interventions.speed import (
    fast_passes,
    fused_activations,
    last_positions_alone,
    positions_alone,
)
from tests.interventions.models import (
    D_MLP,
    MODELS,
    N_LAYERS,
    SAME_LOGITS,
    make_model,
    shared_model,
    tokens,
)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return shared_model(request.param)


@torch.no_grad()
def logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model(input_ids=ids, use_cache=False).logits


def test_fast_passes_give_the_same_logits(model: PreTrainedModel):
    ids = tokens(3, 7)
    with unchanged(model), fast_passes(model):
        fast = logits(model, ids)

    torch.testing.assert_close(fast, logits(model, ids), atol=SAME_LOGITS, rtol=SAME_LOGITS)


@pytest.mark.parametrize("n", [1, 3, 7, 9])
def test_the_last_positions_alone_are_what_they_were(model: PreTrainedModel, n: int):
    ids = tokens(3, 7)
    with unchanged(model), last_positions_alone(model, n):
        cut = logits(model, ids)

    whole = logits(model, ids)
    torch.testing.assert_close(cut[:, -n:], whole[:, -n:], atol=SAME_LOGITS, rtol=SAME_LOGITS)
    same_elsewhere = torch.isclose(cut[:, :-n], whole[:, :-n]).all(-1)
    assert not same_elsewhere.any()  # the others were spared


def test_positions_alone_are_what_they_were(model: PreTrainedModel):
    ids = tokens(3, 7)
    rows, columns = torch.tensor([[0], [2], [2]]), torch.tensor([[1, 6], [0, 3], [3, 4]])
    with unchanged(model), positions_alone(model, rows, columns):
        some = logits(model, ids)

    expected = logits(model, ids)[rows, columns]
    assert some.shape == expected.shape
    torch.testing.assert_close(some, expected, atol=SAME_LOGITS, rtol=SAME_LOGITS)


@pytest.mark.parametrize("has_gradient", [False, True])
def test_gelu_is_joined_with_the_map_before_it_unless_gradients_are_wanted(has_gradient: bool):
    model, ids = make_model("gpt2").requires_grad_(has_gradient), tokens(3, 7)
    with torch.set_grad_enabled(has_gradient), fused_activations(model):
        with torch.profiler.profile() as profile:
            fast = model(input_ids=ids, use_cache=False).logits
        joined = any("linear_pointwise" in event.name for event in profile.events())

    assert joined is not has_gradient
    assert fast.requires_grad is has_gradient
    torch.testing.assert_close(fast, logits(model, ids), atol=SAME_LOGITS, rtol=SAME_LOGITS)


def test_a_map_that_is_read_is_not_joined():
    model, ids, seen = make_model("gpt2"), tokens(3, 7), []
    linear = model.get_submodule("transformer.h.0.mlp.c_fc")
    handle = linear.register_forward_hook(lambda _module, _args, output: seen.append(output))
    logits(model, ids)
    with torch.no_grad(), fused_activations(model):
        logits(model, ids)
    handle.remove()

    torch.testing.assert_close(seen[0], seen[1])


def test_an_mlp_that_is_read_runs_whole():
    model, ids, site = shared_model("gpt2"), tokens(3, 7), Site("mlp_act", N_LAYERS - 1)
    with capture(model, [site]) as seen, last_positions_alone(model, 1):
        inside = logits(model, ids)

    assert list(seen[site].shape) == [3, 7, D_MLP]
    assert inside.equal(logits(model, ids))


def test_models_of_unknown_architecture_run_whole():
    model, ids = make_model("gpt2"), tokens(3, 7)
    model.config.model_type = "unheard_of"
    with last_positions_alone(model, 1):
        inside = logits(model, ids)

    assert inside.equal(logits(model, ids))


def test_nothing_is_left_behind_when_the_pass_raises(monkeypatch: pytest.MonkeyPatch):
    model = make_model("gpt2")
    monkeypatch.setattr(model.get_submodule("transformer.ln_f"), "forward", lambda *_: 1 / 0)
    with (
        unchanged(model),
        pytest.raises(ZeroDivisionError),
        fused_activations(model),
        last_positions_alone(model, 1),
    ):
        logits(model, tokens(3, 7))
