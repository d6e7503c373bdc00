"""Tiny random models of every architecture and block form, and what the tests measure on them.

Every parameter is noise, biases and norms included, so that no term of a sum is trivially zero.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from coemerge.interventions.architecture import LAYOUTS
from tests.bases import ARCHITECTURES

D_VOCAB = 60
N_LAYERS, N_HEADS, D_HEAD, D_MODEL, D_MLP = 2, 4, 8, 32, 48
_SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
_EXTRA: dict[str, dict[str, Any]] = {
    "gpt2": {"n_inner": D_MLP},
    "gemma2": _SLIDING,
    "olmo3": {**ARCHITECTURES["olmo2"], **_SLIDING},
}
SEQUENTIAL_NEOX = "gpt_neox_sequential"
MODELS = (*sorted(LAYOUTS), SEQUENTIAL_NEOX)
PARALLEL = ("gpt_neox",)
POST_NORM = ("gemma2", "olmo2", "olmo3")

# Logits of 2-layer float32 models with another order of summation; they are of order 1 to 10.
SAME_LOGITS = 1e-5
PATCHED_LOGITS = 1e-4  # methods T-A2
PER_ROW_LOGITS = 1e-6  # relative, and the same absolute: a row in a batch against the row alone
RESIDUAL = 1e-5  # methods T-H2


@cache
def shared_model(name: str) -> PreTrainedModel:
    """One model per name for all tests, which must leave it as it is."""
    return make_model(name)


def make_model(name: str, attention: str = "eager") -> PreTrainedModel:
    architecture = name.removesuffix("_sequential")
    shape = {**ARCHITECTURES.get(architecture, {}), **_EXTRA.get(architecture, {})}
    special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    config = AutoConfig.for_model(architecture, **shape, **special, vocab_size=D_VOCAB)
    if name == SEQUENTIAL_NEOX:
        config.use_parallel_residual = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
    return model.eval()


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(D_VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits_of(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model(input_ids=ids, use_cache=False).logits


def n_hooks(model: PreTrainedModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def random_binary(*shape: int, seed: int = 0) -> Tensor:
    return (noise(*shape, seed=seed) > 0).float()
