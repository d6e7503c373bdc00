"""Prompts that ask about nobody, or about somebody else: the subject's tokens replaced one by one.

Lengths and positions stay, so that the clean and the corrupted run align token by token.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


def placeholder_token(tokenizer: PreTrainedTokenizerBase, text: str = "xx") -> int:
    """The one token that stands for each subject token (methods 2.7): the first of ``text``.

    Raises ValueError if the vocabulary cannot spell it.
    """
    ids = tokenizer.encode(text, add_special_tokens=False)
    if not ids or ids[0] == tokenizer.unk_token_id:
        raise ValueError(
            f"the placeholder {text!r} is not in the vocabulary: choose another text, or swap "
            "subjects (masks.corruption=swap)"
        )
    return ids[0]


def with_placeholder(ids: Sequence[int], span: tuple[int, int], token: int) -> list[int]:
    """``ids`` with every token of the subject [start, stop) replaced by ``token``."""
    start, stop = span
    return [*ids[:start], *[token] * (stop - start), *ids[stop:]]


def with_subject(
    ids: Sequence[int], span: tuple[int, int], other: Sequence[int], subject: str
) -> list[int]:
    """``ids`` with the subject's tokens replaced by those of another one.

    Raises ValueError, naming ``subject``, if their numbers differ.
    """
    start, stop = span
    if len(other) != stop - start:
        raise ValueError(
            f"subject {subject!r} has {stop - start} tokens and cannot be swapped with one of "
            f"{len(other)}: positions would no longer align"
        )
    return [*ids[:start], *other, *ids[stop:]]
