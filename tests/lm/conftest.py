"""Small models of three architectures, built by the code under test."""

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from coemerge.corpus.dataset import Dataset
from coemerge.lm.build import build_model
from coemerge.lm.config import ModelConfig

CONTEXT = 32
SHAPES = {
    "gpt2": {"n_layer": 2, "n_embd": 16, "n_head": 2},
    "gpt_neox": {
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
    "llama": {
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "tie_word_embeddings": True,
    },
}


@pytest.fixture(scope="session")
def tokenizer(smoke_dataset: Dataset) -> PreTrainedTokenizerFast:
    return smoke_dataset.tokenizer


def small_model(
    tokenizer: PreTrainedTokenizerFast, architecture: str = "gpt2", seed: int = 0
) -> PreTrainedModel:
    config = ModelConfig(architecture, dict(SHAPES[architecture]))
    return build_model(config, tokenizer, CONTEXT, "eager", seed)
