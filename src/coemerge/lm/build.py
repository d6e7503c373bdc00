"""A causal LM from settings: any transformers architecture, vocabulary and context as the data."""

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from coemerge.lm.config import ModelConfig

_FROM_DATA = {"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"}
_CONTEXT_KEYS = ("n_positions", "max_position_embeddings")


def build_model(
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerFast,
    context: int,
    attention: str,
    seed: int,
) -> PreTrainedModel:
    """A freshly initialised model in train mode, float32.

    Raises ValueError for an unknown architecture, a key that its configuration does not have, or a
    context shorter than the corpus rows.
    """
    context_key = _check(config, context)
    hf_config = AutoConfig.for_model(
        config.architecture,
        **{
            **config.config,
            context_key: config.config.get(context_key, context),
            "vocab_size": len(tokenizer),
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            hf_config, attn_implementation=attention, dtype=torch.float32
        )
    return model.train()


def _check(config: ModelConfig, context: int) -> str:
    """The name under which this architecture keeps its context length. Raises ValueError."""
    known: PretrainedConfig | None
    try:
        known = AutoConfig.for_model(config.architecture)
    except ValueError:
        known = None
    context_key = next((key for key in _CONTEXT_KEYS if hasattr(known, key)), None)
    if type(known) not in MODEL_FOR_CAUSAL_LM_MAPPING or context_key is None:
        raise ValueError(
            f"model.architecture: {config.architecture!r} is not a causal LM of transformers with "
            "a fixed context (packed documents need position ids)"
        )
    taken = sorted(_FROM_DATA & config.config.keys())
    if taken:
        raise ValueError(f"model.config: {', '.join(taken)} follow from the data; leave them out")
    unknown = [key for key in config.config if not hasattr(known, key)]
    if unknown:
        raise ValueError(f"model.config: {type(known).__name__} has no {', '.join(unknown)}")
    if config.config.get(context_key, context) < context:
        raise ValueError(
            f"model.config.{context_key}={config.config[context_key]} is shorter than "
            f"corpus.row_length={context}"
        )
    return context_key
