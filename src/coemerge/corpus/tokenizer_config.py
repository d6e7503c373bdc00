"""Settings of the tokenizer, apart from it because importing it is slow."""

from dataclasses import dataclass

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
_SMALLEST = 300  # every byte, the special tokens, and a few merges
_LARGEST = 1_000_000


@dataclass
class TokenizerConfig:
    """``vocab_size`` counts bytes and special tokens. ``sample``: documents to train on."""

    vocab_size: int = 2048
    sample: int = 20_000


def check_tokenizer_config(config: TokenizerConfig) -> None:
    """Raises ValueError naming the key."""
    if not _SMALLEST <= config.vocab_size <= _LARGEST:
        raise ValueError(
            f"corpus.tokenizer.vocab_size: {config.vocab_size} is below {_SMALLEST} "
            f"(256 bytes, special tokens and some merges), or above {_LARGEST:,}"
        )
    if config.sample < 1:
        raise ValueError(f"corpus.tokenizer.sample: must be positive, got {config.sample}")
