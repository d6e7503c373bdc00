"""Invented, pronounceable words: people, places, languages and firms that no corpus holds; and
lists of words that users bring."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from coemerge.inputs import is_line, read_yaml

_ONSETS = "b br c d dr f fl g gr h j k l m n p pl pr r s sk st t tr v w z".split()
_VOWELS = "a e i o u".split()
_CODAS = "l m n r d k t rn ld nd sk x".split()
_PATIENCE = 1000  # failed tries after which words get one syllable more


def invent_words(
    count: int,
    rng: np.random.Generator,
    suffixes: Sequence[str] = ("",),
    taken: Collection[str] = (),
) -> list[str]:
    """``count`` distinct capitalised words, none a prefix of another or of a word in ``taken``.

    Suffixes are used in turn, so that a type of entity is recognisable (towns in "-ford").
    """
    words: list[str] = []
    seen = {w.lower() for w in taken}
    prefixes = {w[:k] for w in seen for k in range(1, len(w))}
    n_failed = 0
    while len(words) < count:
        suffix = suffixes[len(words) % len(suffixes)]
        stem = "".join(_syllable(rng) for _ in range(1 + n_failed // _PATIENCE))
        word = stem + (suffix or _syllable(rng))
        own_prefixes = {word[:k] for k in range(1, len(word))}
        if word in seen or word in prefixes or own_prefixes & seen:
            n_failed += 1
            continue
        seen.add(word)
        prefixes |= own_prefixes
        words.append(word.capitalize())
    return words


def read_lexicon(path: Path) -> dict[str, list[str]]:
    """Lists of words by name. Raises ValueError naming file and list."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected lists of words by name")
    for name, words in content.items():
        if not isinstance(words, list) or not all(is_line(word) and word.split() for word in words):
            raise ValueError(f"{path}: {name!r}: needs a list of words (quote yes, no, on and off)")
    return content


def _syllable(rng: np.random.Generator) -> str:
    return "".join(part[rng.integers(len(part))] for part in (_ONSETS, _VOWELS, _CODAS))
