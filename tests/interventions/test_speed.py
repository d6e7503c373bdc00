"""Faster passes give the same logits where they are read, and leave nothing behind."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.sites import Site
from coemerge.interventions.speed import fast_passes, fused_activations, last_positions_alone
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
