"""Prompts behind texts about other facts."""

from collections.abc import Sequence

Ids = Sequence[int]


def statement(prompt: Ids, answer: Ids, separator: Ids) -> list[int]:
    """A prompt with its answer, as a text that another one may follow."""
    return [*prompt, *answer, *separator]


def behind(text: Ids, prompt: Ids, opening: int | None) -> list[int]:
    """``prompt`` after ``text``, without the token that opens a document, which the text before it
    has."""
    return [*text, *(prompt[1:] if prompt[0] == opening else prompt)]
