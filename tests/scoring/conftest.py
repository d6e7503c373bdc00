"""Tiny random models of three architectures, and stubs whose answers are known."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from coemerge.scoring.forward import Question

VOCAB = 40
TINY = {
    "gpt2": {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 32},
    "gpt_neox": {
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
    },
    "llama": {
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
    },
}


def tiny_model(architecture: str, **changes: int) -> PreTrainedModel:
    """Random weights large enough for a distribution that is far from uniform; in train mode."""
    config = AutoConfig.for_model(
        architecture, **TINY[architecture] | changes, vocab_size=VOCAB, initializer_range=0.3
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return AutoModelForCausalLM.from_config(config).train()


@pytest.fixture(params=list(TINY))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny_model(request.param)


@pytest.fixture
def gpt2() -> PreTrainedModel:
    return tiny_model("gpt2")


@pytest.fixture
def questions() -> list[Question]:
    """Prompts of 1 to 9 tokens with answers of 1 to 4 tokens, lengths mixed; some share lengths."""
    generator = torch.Generator().manual_seed(5)
    lengths = [(4, 1), (9, 2), (1, 1), (4, 1), (6, 4), (4, 2), (9, 2), (4, 1), (2, 3)]
    made = []
    for n_prompt, n_answer in lengths:
        ids = torch.randint(VOCAB, (n_prompt + n_answer,), generator=generator).tolist()
        others = torch.randperm(VOCAB, generator=generator)[:n_prompt].tolist()
        candidates = sorted({ids[n_prompt], *others})
        made.append(Question(ids[:n_prompt], ids[n_prompt:], candidates))
    return made


class AlwaysSays(nn.Module):
    """Puts all probability on one token, whatever it is asked."""

    def __init__(self, token: int, vocab_size: int) -> None:
        super().__init__()
        logits = torch.full((vocab_size,), -torch.inf)
        logits[token] = 0.0
        self.logits = nn.Parameter(logits, requires_grad=False)

    def forward(self, input_ids: Tensor, use_cache: bool = False) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1))
