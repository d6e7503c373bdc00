"""Reading activations, and their means."""

import pytest
import torch

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.capture import capture, mean_activation
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site, all_sites
from tests.interventions.models import (
    D_HEAD,
    D_MLP,
    MODELS,
    N_HEADS,
    logits_of,
    make_model,
    n_hooks,
    shared_model,
    tokens,
)

IDS = tokens(2, 6)
ACT, HEADS = Site("mlp_act", 0), Site("head_out", 1)


def test_values_are_detached_clones():
    model = shared_model("gpt2")

    with capture(model, [ACT]) as values:
        model(IDS)
    first = values[ACT]
    with capture(model, [ACT]) as values:
        model(IDS)

    assert not first.requires_grad
    assert first.data_ptr() != values[ACT].data_ptr()


def test_values_are_those_of_the_latest_pass():
    model, other = shared_model("gpt2"), tokens(1, 4, seed=1)

    with capture(model, [ACT]) as values:
        logits_of(model, IDS)
        logits_of(model, other)
    with capture(model, [ACT]) as alone:
        logits_of(model, other)

    assert torch.equal(values[ACT], alone[ACT])


@pytest.mark.parametrize("name", MODELS)
def test_with_the_graph_kept_logits_differentiate_through_every_site(name: str):
    """Each captured tensor is the one that the computation goes on with, not a copy aside."""
    model = shared_model(name)
    sites = all_sites(ModuleMap(model))

    with capture(model, sites, keep_graph=True) as values:
        logits = model(IDS).logits
    weights = torch.linspace(-1, 1, logits.shape[-1])
    gradients = torch.autograd.grad((logits[:, -1] * weights).sum(), [values[s] for s in sites])

    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_an_inner_capture_sees_what_the_outer_block_has_made():
    model = shared_model("llama")

    with intervene(model, {ACT: torch.zeros_like}), capture(model, [ACT]) as values:
        logits_of(model, IDS)

    assert not values[ACT].any()


@pytest.mark.parametrize("name", MODELS)
def test_means_are_over_all_rows_and_positions_of_all_batches(name: str):
    model = shared_model(name)
    batches = [tokens(2, 6), tokens(3, 4, seed=1), tokens(1, 9, seed=2)]

    means = mean_activation(model, batches, [ACT, HEADS])

    flat: dict[Site, list[torch.Tensor]] = {ACT: [], HEADS: []}
    for ids in batches:
        with capture(model, [ACT, HEADS]) as values:
            logits_of(model, ids)
        for site, value in values.items():
            flat[site].append(value.flatten(0, 1))
    for site, parts in flat.items():
        torch.testing.assert_close(means[site], torch.cat(parts).mean(0))
    assert means[ACT].shape == (D_MLP,)
    assert means[HEADS].shape == (N_HEADS, D_HEAD)


def test_the_mean_of_logits_counts_all_positions():
    model = shared_model("gpt2")

    means = mean_activation(model, [IDS], [Site("logits")])

    torch.testing.assert_close(means[Site("logits")], logits_of(model, IDS).mean((0, 1)))


def test_means_are_without_dropout_and_leave_the_mode():
    model = make_model("gpt2")
    expected = mean_activation(model, [IDS], [ACT])
    model.train()

    means = mean_activation(model, iter([IDS]), [ACT])

    assert torch.equal(means[ACT], expected[ACT])
    assert all(module.training for module in model.modules())
    assert n_hooks(model) == 0


def test_an_empty_reference_set_is_refused():
    with pytest.raises(ValueError, match="reference set is empty"):
        mean_activation(shared_model("gpt2"), [], [ACT])


def test_patterns_have_no_mean():
    with pytest.raises(ValueError, match="attn_pattern has no mean"):
        mean_activation(shared_model("gpt2"), [IDS], [Site("attn_pattern", 0)])
