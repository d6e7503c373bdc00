"""A causal LM from settings, or a base model to be continued.

A fresh one takes any transformers architecture, with vocabulary and context as the data.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from coemerge.lm.base import CONTEXT_KEYS, Base
from coemerge.lm.checkpoint_manifest import promised_weights
from coemerge.lm.checkpoints import weights_sha256
from coemerge.lm.config import ModelConfig

disable_progress_bar()  # of loading weights, once per checkpoint; longer work has bars of its own
_FROM_DATA = {"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"}


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
    settings = {
        **config.config,
        context_key: config.config.get(context_key, context),
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = AutoModelForCausalLM.from_config(
                AutoConfig.for_model(config.architecture, **settings),
                attn_implementation=attention,
                dtype=torch.float32,
            )
        except Exception as error:  # sizes that do not fit are told in as many ways
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ValueError(
                f"model.config: {config.config} makes no {config.architecture}: {reason}"
            ) from error
    return model.train()


def load_base(base: Base, config: ModelConfig, attention: str) -> PreTrainedModel:
    """A base model in train mode, float32; ``config.config`` changes settings of its configuration.

    Raises ValueError for an architecture that cannot keep packed documents apart, a setting that it
    does not have or that changes weights, or weights that are not those of the manifest.
    """
    try:
        hf_config = _read_config(base.directory)
    except ValueError as error:
        raise ValueError(f"model.base: {error}") from error
    _apply_settings(hf_config, config)
    try:
        return _load(base.directory, hf_config, attention).train()
    except ValueError as error:
        raise ValueError(f"model.base: {error}") from error


def load_model(directory: Path, device: str) -> PreTrainedModel:
    """A saved model in eval mode, float32, to be analysed.

    Raises ValueError naming the folder if its weights cannot be read, do not fit, or are not those
    of its manifest.
    """
    hf_config = _read_config(directory)
    model = _load(directory, hf_config, None)
    model.to(torch.device(device))  # type: ignore[arg-type]
    return model.eval()


def _read_config(directory: Path) -> PretrainedConfig:
    """Of an architecture that transformers has; code that comes with a model is never run. Raises
    ValueError."""
    try:
        return AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # checks of single architectures raise whatever they do
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(
            f"{directory / 'config.json'}: no architecture that transformers brings itself; code "
            f"that comes with a model (auto_map) is never run ({reason})"
        ) from error


def _load(directory: Path, hf_config: PretrainedConfig, attention: str | None) -> PreTrainedModel:
    """Weights from safetensors into the architecture, all of them, and where a manifest promises
    some, those. Raises ValueError."""
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory,
            config=hf_config,
            dtype=torch.float32,
            attn_implementation=attention,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"the weights in {directory} do not fit or cannot be read: {reason}"
        ) from error
    model, report = loaded
    faults = {k: sorted(v)[:3] for k, v in report.items() if v and "key" in k}
    if faults:
        raise ValueError(f"the weights in {directory} do not fit: {faults}")
    assert isinstance(model, PreTrainedModel)
    promised = promised_weights(directory)
    if promised and weights_sha256(model) != promised:
        raise ValueError(
            f"the weights in {directory} are not those of its manifest (expected hash "
            f"{promised[:16]}, found {weights_sha256(model)[:16]}): use another checkpoint, or "
            "train again"
        )
    return model


def _apply_settings(hf_config: PretrainedConfig, config: ModelConfig) -> None:
    """Changes the base's configuration by ``config.config``. Raises ValueError."""
    if type(hf_config) not in MODEL_FOR_CAUSAL_LM_MAPPING or _context_key(hf_config) is None:
        raise ValueError(
            f"model.base: {hf_config.model_type!r} is not a causal LM of transformers with a fixed "
            "context (packed documents need position ids)"
        )
    unknown = [key for key in config.config if not hasattr(hf_config, key)]
    if unknown:
        raise ValueError(f"model.config: {type(hf_config).__name__} has no {', '.join(unknown)}")
    for key, value in config.config.items():
        setattr(hf_config, key, value)


def _context_key(hf_config: PretrainedConfig | None) -> str | None:
    return next((key for key in CONTEXT_KEYS if hasattr(hf_config, key)), None)


def _check(config: ModelConfig, context: int) -> str:
    """The name under which this architecture keeps its context length. Raises ValueError."""
    known: PretrainedConfig | None
    try:
        known = AutoConfig.for_model(config.architecture)
    except ValueError:
        known = None
    context_key = _context_key(known)
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
