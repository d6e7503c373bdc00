"""Settings of the tokenizer, apart from it because importing it is slow."""

from dataclasses import dataclass


@dataclass
class TokenizerConfig:
    """``vocab_size`` counts bytes and special tokens. ``sample``: documents to train on."""

    vocab_size: int = 2048
    sample: int = 20_000
