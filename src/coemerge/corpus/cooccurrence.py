"""How often training shows two words together: exact counts over every document (methods 2.12).

Memory is the square of the words, whatever the number of documents. A user's text that is longer
than a row is counted whole, though it is cut when it is packed.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from coemerge.worlds.grammar import WORD


class Cooccurrence:
    """``words``: each word -> (its class, its form). ``before[i, j]`` counts the documents in which
    word i stands somewhere before word j, ``adjacent`` those in which j is the next word, ``total``
    those with the word; int64."""

    def __init__(self, words: Mapping[str, tuple[str, str]]) -> None:
        self.words = dict(words)
        self._place = {word: place for place, word in enumerate(self.words)}
        size = len(self.words)
        self.before = np.zeros((size, size), dtype=np.int64)
        self.adjacent = np.zeros((size, size), dtype=np.int64)
        self.total = np.zeros(size, dtype=np.int64)

    def add(self, texts: Iterable[str]) -> None:
        for text in texts if self.words else ():
            self._add(text)

    def _add(self, text: str) -> None:
        found = [self._place.get(word, -1) for word in WORD.findall(text)]
        first = {word: at for at, word in reversed(list(enumerate(found))) if word >= 0}
        last = {word: at for at, word in enumerate(found) if word >= 0}
        for word, start in first.items():
            self.total[word] += 1
            for other, end in last.items():
                self.before[word, other] += start < end
        for word, other in set(itertools.pairwise(found)):
            if word >= 0 and other >= 0:
                self.adjacent[word, other] += 1

    def columns(self) -> dict[str, Any]:
        """Rows of the table ``cooccurrence``, for every two words."""
        words = np.array([*self.words], dtype=object)
        classes, forms = (np.array([v[k] for v in self.words.values()], object) for k in range(2))
        size = len(words)
        i, j = np.repeat(np.arange(size), size), np.tile(np.arange(size), size)
        return {
            "first": words[i],
            "first_class": classes[i],
            "first_form": forms[i],
            "second": words[j],
            "second_class": classes[j],
            "second_form": forms[j],
            "n_documents": self.before.ravel(),
            "n_adjacent": self.adjacent.ravel(),
            "n_first": self.total[i],
            "n_second": self.total[j],
        }
