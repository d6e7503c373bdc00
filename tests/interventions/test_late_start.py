"""Passes that begin at a later layer give what whole passes give."""

import pytest
import torch

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.late_start import start_after, start_at
from coemerge.interventions.sites import Site
from tests.interventions.models import (
    MODELS,
    N_LAYERS,
    SAME_LOGITS,
    logits_of,
    shared_model,
    tokens,
)

TOKENS = tokens(2, 6)


@pytest.mark.parametrize("name", MODELS)
def test_a_late_start_from_the_own_residual_changes_nothing(name):
    model = shared_model(name)
    residuals = [Site("resid_pre", layer) for layer in range(N_LAYERS)]
    with capture(model, residuals) as seen:
        expected = logits_of(model, TOKENS)

    for site in residuals:
        with start_at(model, site.layer, seen[site]):
            assert torch.allclose(logits_of(model, TOKENS), expected, atol=SAME_LOGITS, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_start_after_a_layer_from_what_it_left_changes_nothing(name):
    model = shared_model(name)
    residuals = [Site("resid_post", layer) for layer in range(N_LAYERS)]
    with capture(model, residuals) as seen:
        expected = logits_of(model, TOKENS)

    for site in residuals:
        with start_after(model, site.layer, seen[site]):
            assert torch.allclose(logits_of(model, TOKENS), expected, atol=SAME_LOGITS, rtol=0)


def test_layers_below_are_not_computed():
    model = shared_model("gpt2")
    residual = torch.zeros(1, 1, ModuleMap(model).d_model)
    sites = {Site("mlp_act", layer): lambda x: x for layer in range(N_LAYERS)}

    with (
        pytest.raises(RuntimeError, match=r"never fired.*: mlp_act\.0$"),
        start_at(model, 1, residual),
        intervene(model, sites),
    ):
        found = logits_of(model, TOKENS)

    with start_at(model, 1, residual):
        assert torch.equal(logits_of(model, TOKENS.flip(0)), found)  # no token is seen any more


def test_the_layers_are_back_however_the_block_ends():
    model = shared_model("llama")
    own = ModuleMap(model).layer(0).forward
    expected = logits_of(model, TOKENS)

    with unchanged(model), pytest.raises(KeyError), start_at(model, 1, torch.zeros(1)):
        raise KeyError

    assert ModuleMap(model).layer(0).forward == own
    assert torch.equal(logits_of(model, TOKENS), expected)


def test_a_layer_that_is_not_there_is_refused():
    beyond = start_at(shared_model("gpt2"), N_LAYERS, torch.zeros(1))

    with pytest.raises(ValueError, match="the model's layers are 0 to"), beyond:
        pass
