"""What is read at each site is what its name says (methods T-H1 to T-H5)."""

import pytest
import torch

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.attention import EAGER
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site, all_sites
from tests.interventions.models import (
    D_HEAD,
    D_MLP,
    D_MODEL,
    D_VOCAB,
    MODELS,
    N_HEADS,
    N_LAYERS,
    PARALLEL,
    POST_NORM,
    RESIDUAL,
    logits_of,
    make_model,
    n_hooks,
    shared_model,
    tokens,
)

IDS = tokens(3, 9)


def read_all(name: str) -> dict[str, torch.Tensor]:
    model = shared_model(name)
    with capture(model, all_sites(ModuleMap(model))) as values:
        logits_of(model, IDS)
    return {str(site): value for site, value in values.items()}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("identity", [lambda x: x, torch.clone], ids=["same", "copy"])
def test_identity_functions_at_all_sites_change_no_bit(name: str, identity):
    """T-H1."""
    model = shared_model(name)
    before = logits_of(model, IDS)

    with intervene(model, dict.fromkeys(all_sites(ModuleMap(model)), identity)) as counts:
        inside = logits_of(model, IDS)

    assert torch.equal(inside, before)
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_adds_its_two_outputs_to_the_residual(name: str):
    """T-H2."""
    values = read_all(name)

    for layer in range(N_LAYERS):
        added = values[f"resid_post.{layer}"] - values[f"resid_pre.{layer}"]
        parts = values[f"attn_out.{layer}"] + values[f"mlp_out.{layer}"]
        torch.testing.assert_close(added, parts, rtol=0, atol=RESIDUAL)
        if name not in PARALLEL:
            first = values[f"resid_mid.{layer}"] - values[f"resid_pre.{layer}"]
            torch.testing.assert_close(first, values[f"attn_out.{layer}"], rtol=0, atol=RESIDUAL)


@pytest.mark.parametrize("name", MODELS)
def test_heads_through_their_slices_of_the_projection_are_the_attention_output(name: str):
    """T-H3, with the post-norm on top where there is one."""
    modules, values = ModuleMap(shared_model(name)), read_all(name)

    for layer in range(N_LAYERS):
        projection = modules.output_projection(layer)
        w_o = projection_matrix(projection).unflatten(0, (N_HEADS, D_HEAD))
        heads = values[f"head_out.{layer}"]
        total = sum(heads[:, :, h] @ w_o[h] for h in range(N_HEADS))
        if projection.bias is not None:
            total = total + projection.bias
        if name in POST_NORM:
            total = modules.attn_out(layer)(total)
        torch.testing.assert_close(total, values[f"attn_out.{layer}"], rtol=0, atol=RESIDUAL)


@pytest.mark.parametrize("name", MODELS)
def test_neurons_through_the_down_projection_are_the_mlp_output(name: str):
    modules, values = ModuleMap(shared_model(name)), read_all(name)

    for layer in range(N_LAYERS):
        total = modules.down_projection(layer)(values[f"mlp_act.{layer}"])
        if name in POST_NORM:
            total = modules.mlp_out(layer)(total)
        torch.testing.assert_close(total, values[f"mlp_out.{layer}"], rtol=0, atol=RESIDUAL)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_left_on_the_model(name: str):
    """T-H4."""
    model = shared_model(name)
    n_before, modules = n_hooks(model), ModuleMap(model)

    with capture(model, all_sites(modules)):
        n_inside = n_hooks(model)
        logits_of(model, IDS)

    assert n_inside > n_before
    assert n_hooks(model) == n_before == 0
    assert model.config._attn_implementation == EAGER
    assert not any(vars(modules.attention(i)).get("pattern_functions") for i in range(N_LAYERS))


@pytest.mark.parametrize("name", MODELS)
def test_patterns_are_causal_distributions(name: str):
    """T-H5."""
    values = read_all(name)

    for layer in range(N_LAYERS):
        pattern = values[f"attn_pattern.{layer}"]
        torch.testing.assert_close(pattern.sum(-1), torch.ones(3, N_HEADS, 9))
        assert not pattern.triu(1).any()


@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_the_documented_ones(name: str):
    shapes = {site: list(value.shape) for site, value in read_all(name).items()}

    assert shapes["embed"] == shapes["resid_post.1"] == shapes["mlp_out.0"] == [3, 9, D_MODEL]
    assert shapes["attn_pattern.1"] == [3, N_HEADS, 9, 9]
    assert shapes["head_out.0"] == [3, 9, N_HEADS, D_HEAD]
    assert shapes["mlp_act.0"] == [3, 9, D_MLP]
    assert shapes["logits"] == [3, 9, D_VOCAB]


@pytest.mark.parametrize("name", MODELS)
def test_residuals_connect_the_layers(name: str):
    values = read_all(name)

    assert torch.equal(values["embed"], values["resid_pre.0"])
    assert torch.equal(values["resid_post.0"], values["resid_pre.1"])
    assert torch.equal(values["logits"], logits_of(shared_model(name), IDS))


@pytest.mark.parametrize("name", MODELS)
def test_reading_agrees_with_the_hidden_states_and_attentions_of_transformers(name: str):
    values = read_all(name)
    model = make_model(name)  # transformers puts permanent hooks of its own on it when asked

    with torch.no_grad():
        out = model(IDS, output_hidden_states=True, output_attentions=True)

    for layer in range(N_LAYERS):
        read, same = values[f"resid_pre.{layer}"], {"rtol": 0, "atol": RESIDUAL}
        torch.testing.assert_close(read, out.hidden_states[layer], **same)
        pattern = values[f"attn_pattern.{layer}"]
        torch.testing.assert_close(pattern, out.attentions[layer], **same)


@pytest.mark.parametrize("name", MODELS)
def test_a_head_is_the_one_whose_pattern_it_is(name: str):
    """Changing the pattern of head 2 reaches the mixture of head 2 and of no other."""
    model, before = shared_model(name), read_all(name)["head_out.0"]
    double = torch.ones(N_HEADS, 1, 1).index_fill(0, torch.tensor(2), 2.0)

    with (
        intervene(model, {Site("attn_pattern", 0): lambda p: p * double}),
        capture(model, [Site("head_out", 0)]) as values,
    ):
        logits_of(model, IDS)

    after = values[Site("head_out", 0)]
    torch.testing.assert_close(after[:, :, 2], 2 * before[:, :, 2])
    assert torch.equal(after[:, :, [0, 1, 3]], before[:, :, [0, 1, 3]])


@pytest.mark.parametrize("name", MODELS)
def test_the_norms_that_read_the_residual_are_those_of_the_table(name: str):
    """What enters the attention's and the MLP's first module is resid_pre and the middle."""
    modules, values = ModuleMap(shared_model(name)), read_all(name)
    entered: list[torch.Tensor] = []
    path = modules.layout.attn_pre_norm
    entries = [modules.mlp_entry(1), *([modules.layer(1).get_submodule(path)] if path else [])]
    handles = [
        m.register_forward_pre_hook(lambda _, args: entered.append(args[0])) for m in entries
    ]
    logits_of(shared_model(name), IDS)
    for handle in handles:
        handle.remove()

    read_by_mlp = values["resid_pre.1" if name in PARALLEL else "resid_mid.1"]
    assert torch.equal(entered[-1], read_by_mlp)
    assert not path or torch.equal(entered[0], values["resid_pre.1"])
