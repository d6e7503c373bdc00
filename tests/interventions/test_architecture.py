"""The contract of ``LAYOUTS``: every entry is checked on a real, tiny model of its architecture."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Model

from coemerge.interventions.architecture import LAYOUTS, ModuleMap, projection_matrix
from tests.interventions.models import (
    D_HEAD,
    D_MLP,
    D_MODEL,
    MODELS,
    N_HEADS,
    N_LAYERS,
    PARALLEL,
    make_model,
    shared_model,
)


@pytest.mark.parametrize("name", MODELS)
def test_sizes_are_those_of_the_weights(name: str):
    modules = ModuleMap(shared_model(name))

    assert (modules.n_layers, modules.n_heads, modules.d_head) == (N_LAYERS, N_HEADS, D_HEAD)
    assert (modules.d_model, modules.d_mlp) == (D_MODEL, D_MLP)
    assert modules.is_parallel == (name in PARALLEL)


def test_sizes_follow_the_weights_and_not_a_formula():
    config = AutoConfig.for_model(
        "gemma2",
        hidden_size=20,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        intermediate_size=13,
        vocab_size=11,
    )
    modules = ModuleMap(AutoModelForCausalLM.from_config(config))

    assert (modules.d_model, modules.d_head, modules.d_mlp) == (20, 6, 13)


@pytest.mark.parametrize("name", MODELS)
def test_embedding_and_unembedding_are_the_model_s_own(name: str):
    model = shared_model(name)
    modules = ModuleMap(model)

    assert modules.embedding is model.get_input_embeddings()
    assert modules.unembedding is model.get_output_embeddings()
    assert "norm" in type(modules.final_norm).__name__.lower()


@pytest.mark.parametrize("name", MODELS)
def test_every_path_of_a_layout_exists_in_every_layer(name: str):
    modules = ModuleMap(shared_model(name))

    for layer in range(N_LAYERS):
        assert projection_matrix(modules.output_projection(layer)).shape == (32, D_MODEL)
        assert projection_matrix(modules.down_projection(layer)).shape == (D_MLP, D_MODEL)
        assert modules.attention(layer) is not modules.mlp(layer)
        for path in (modules.layout.attn_pre_norm, modules.layout.mlp_pre_norm):
            norm = modules.layer(layer).get_submodule(path) if path else None
            assert norm is None or "norm" in type(norm).__name__.lower()


@pytest.mark.parametrize("name", MODELS)
def test_the_projection_matrix_multiplies_from_the_right(name: str):
    projection = ModuleMap(shared_model(name)).down_projection(1)
    x = torch.randn(3, D_MLP)

    bias = 0 if projection.bias is None else projection.bias
    torch.testing.assert_close(projection(x), x @ projection_matrix(projection) + bias)


def test_an_unknown_architecture_is_refused_with_the_known_ones_and_the_table():
    shape = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 9}
    config = AutoConfig.for_model("mistral", **shape, num_key_value_heads=1, intermediate_size=8)
    model = AutoModelForCausalLM.from_config(config)

    with pytest.raises(ValueError, match=r"'mistral'.*gemma2, gpt2.*LAYOUTS in coemerge"):
        ModuleMap(model)


def test_a_plain_module_is_refused_by_its_class():
    with pytest.raises(ValueError, match="'Linear'"):
        ModuleMap(nn.Linear(1, 1))


def test_a_model_without_the_language_head_is_refused():
    inner = make_model("gpt2").transformer
    assert isinstance(inner, GPT2Model)

    with pytest.raises(ValueError, match=r"GPT2Model has no 'transformer.h'"):
        ModuleMap(inner)


def test_every_supported_architecture_is_tested():
    assert set(LAYOUTS) <= set(MODELS)
