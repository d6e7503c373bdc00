"""A prompt about a subject and an object, with another object in its place.

An edit from the relation's side asks about (s, o*), a pair that no prompt of the table need show
(methods 4.2): it is made from one that shows (s, o).
"""

import re
from collections.abc import Iterable

from coemerge.prompts.encoding import Encoder, encode_documents
from coemerge.prompts.render import Rendered, Span

_ANSWER = "none"  # prompts are cut from whole documents; what follows them changes no id of theirs
Swap = tuple[str, str, str, str]


class Pairing:
    """Prompts as the table of prompts has them, about other pairs; in a chat if ``encoder`` is."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def ids(self, text: str, subject: str, old: str, new: str) -> tuple[list[int], Span]:
        """(token ids of the prompt ``text`` with ``new`` in the place of ``old``, token span of the
        subject in them); see ``with_object``."""
        return self.many([(text, subject, old, new)])[0]

    def many(self, swaps: Iterable[Swap]) -> list[tuple[list[int], Span]]:
        """The same of each (text, subject, old, new), in one batch."""
        asked = [
            Rendered(text, _ANSWER, subject, (0, len(text)))
            for text, subject in (with_object(*swap) for swap in swaps)
        ]
        encoded = encode_documents(self._encoder, asked)
        return [(item.ids[: item.answer[0]], item.subject) for item in encoded]


def with_object(text: str, subject: str, old: str, new: str) -> tuple[str, Span]:
    """(text with ``new`` for ``old``, characters of the subject in it). Both are sought as whole
    words, and apart from each other: an object may stand within its subject's name, or hold it.

    Raises ValueError naming them unless they are found so in just one way.
    """
    pairs = [
        (named, shown)
        for named in _places(text, subject)
        for shown in _places(text, old)
        if named[1] <= shown[0] or shown[1] <= named[0]
    ]
    if len(pairs) != 1:
        raise ValueError(
            f"{text!r}: the object {old!r} is found in {len(pairs)} ways beside the subject "
            f"{subject!r}; each must be there once"
        )
    ((start, end), (first, stop)) = pairs[0]
    shift = len(new) - len(old) if first < start else 0
    return text[:first] + new + text[stop:], (start + shift, end + shift)


def _places(text: str, words: str) -> list[Span]:
    """Where ``words`` stand as whole words, overlapping or not; nowhere if there are none."""
    if not words:
        return []
    return [
        (at.start(), at.start() + len(words))
        for at in re.finditer(rf"(?<!\w)(?={re.escape(words)}(?!\w))", text)
    ]
