"""Tiny base models with tokenizers of their own, as folders that users would bring."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

CONTEXT = 192
_COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": CONTEXT,
}
_GROUPED = {**_COMMON, "num_key_value_heads": 2}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT},
    "gpt_neox": _COMMON,
    "llama": _GROUPED,
    "olmo2": _GROUPED,
    "gemma2": {**_GROUPED, "head_dim": 8, "sliding_window": 64, "query_pre_attn_scalar": 8},
    "qwen3": {**_GROUPED, "head_dim": 8},
}
WITH_BOS = ("llama", "gemma2")  # their tokenizers mark spaces and put a token before each text


def make_base(
    folder: Path, architecture: str, texts: Iterator[str] | list[str], **config: Any
) -> Path:
    """Saves a random model of the architecture and a tokenizer trained on ``texts``."""
    tokenizer = make_tokenizer(texts, architecture in WITH_BOS)
    shape = {
        **ARCHITECTURES[architecture],
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **config,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **shape))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(texts: Iterator[str] | list[str], with_bos: bool) -> PreTrainedTokenizerFast:
    """Byte-level, as GPT-2's; or with marked spaces and a first token, as Llama's."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=with_bos, unk_token="<unk>"))
    special = ["<unk>", "<s>", "</s>"] if with_bos else ["<unk>", "<|end|>"]
    if with_bos:
        marked = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([marked, pre_tokenizers.Punctuation()])
        tokenizer.decoder = decoders.Metaspace()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    alphabet = [] if with_bos else sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if not with_bos:
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
