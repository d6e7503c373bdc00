"""A model from settings: reproducible, shaped by the data, and faulty settings named."""

import random

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from coemerge.lm.build import build_model
from coemerge.lm.checkpoints import weights_sha256
from coemerge.lm.config import ModelConfig
from tests.lm.conftest import CONTEXT, SHAPES, small_model

Tokenizer = PreTrainedTokenizerFast


@pytest.mark.parametrize("architecture", SHAPES)
def test_a_seed_gives_the_same_model_and_another_a_different_one(
    tokenizer: Tokenizer, architecture: str
):
    first, again, other = (
        weights_sha256(small_model(tokenizer, architecture, seed)) for seed in (7, 7, 8)
    )

    assert first == again
    assert first != other


def test_the_seed_alone_decides_not_the_state_of_torch(tokenizer: Tokenizer):
    torch.manual_seed(1)
    first = weights_sha256(small_model(tokenizer))
    torch.manual_seed(2)

    assert weights_sha256(small_model(tokenizer)) == first


def test_global_random_states_are_untouched(tokenizer: Tokenizer):
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())

    small_model(tokenizer)

    assert torch.get_rng_state().equal(before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


@pytest.mark.parametrize("architecture", SHAPES)
def test_vocabulary_and_context_come_from_the_data(tokenizer: Tokenizer, architecture: str):
    model = small_model(tokenizer, architecture)

    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    logits = model(torch.zeros(1, CONTEXT, dtype=torch.long)).logits
    assert logits.shape == (1, CONTEXT, len(tokenizer))
    assert model.config.max_position_embeddings == CONTEXT
    assert model.config.eos_token_id == tokenizer.eos_token_id


def test_the_model_is_float32_and_in_train_mode(tokenizer: Tokenizer):
    model = small_model(tokenizer)

    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(module.training for module in model.modules())


def build(tokenizer: Tokenizer, architecture: str = "gpt2", **config: object) -> None:
    build_model(ModelConfig(architecture, config), tokenizer, CONTEXT, "eager", 0)


@pytest.mark.parametrize(
    "architecture",
    [
        "gpt9",
        "vit",  # known to transformers, but no causal language model
        "bloom",  # no fixed number of positions: a context cannot be given
    ],
)
def test_an_architecture_that_cannot_be_used_is_named(tokenizer: Tokenizer, architecture: str):
    with pytest.raises(ValueError, match=r"model\.architecture.*" + architecture):
        build(tokenizer, architecture)


def test_an_unknown_key_of_the_architecture_is_named(tokenizer: Tokenizer):
    with pytest.raises(ValueError, match=r"model\.config.*n_layr"):
        build(tokenizer, n_layr=2, n_embd=16)


@pytest.mark.parametrize("key", ["vocab_size", "eos_token_id"])
def test_a_key_that_the_data_decide_is_named(tokenizer: Tokenizer, key: str):
    """It would have no effect; style 4.11."""
    with pytest.raises(ValueError, match=key):
        build(tokenizer, **SHAPES["gpt2"], **{key: 17})


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("gpt2", "n_positions"),
        ("gpt_neox", "max_position_embeddings"),
        ("llama", "max_position_embeddings"),
    ],
)
def test_a_context_shorter_than_the_rows_is_named(
    tokenizer: Tokenizer, architecture: str, key: str
):
    with pytest.raises(ValueError, match=rf"{key}=16.*row_length={CONTEXT}"):
        build(tokenizer, architecture, **SHAPES[architecture], **{key: 16})


def test_a_longer_context_is_kept(tokenizer: Tokenizer):
    config = ModelConfig("gpt2", {**SHAPES["gpt2"], "n_positions": 2 * CONTEXT})

    model = build_model(config, tokenizer, CONTEXT, "eager", 0)

    assert model.config.n_positions == 2 * CONTEXT
