"""Invented words are told apart by their beginnings."""

import itertools

import numpy as np
import pytest

from coemerge.worlds.names import invent_words


def has_prefix_pair(words: list[str]) -> bool:
    """In sorted order a prefix comes right before a word that it begins."""
    lowered = sorted(w.lower() for w in words)
    return any(b.startswith(a) for a, b in itertools.pairwise(lowered))


@pytest.mark.parametrize("suffixes", [("",), ("ford", "mere"), ("ia",)])
def test_no_invented_word_begins_another(suffixes):
    words = invent_words(300, np.random.default_rng(0), suffixes)
    assert not has_prefix_pair(words)


def test_no_invented_word_begins_or_is_begun_by_a_taken_word():
    rng = np.random.default_rng(0)
    taken = invent_words(200, np.random.default_rng(1), ("",))
    stems = [w[:3] for w in taken]  # short enough that clashes would be frequent
    words = invent_words(100, rng, ("",), taken=[*taken, *stems])
    assert not [w for w in words for t in (*taken, *stems) if w.lower().startswith(t.lower())]


def test_a_word_that_would_begin_a_taken_one_is_passed_over():
    words = invent_words(20, np.random.default_rng(0), ("ford",))
    taken = [f"{word}shire" for word in words]
    again = invent_words(20, np.random.default_rng(0), ("ford",), taken)
    assert not set(again) & set(words)


def test_suffixes_are_used_in_turn():
    words = invent_words(4, np.random.default_rng(0), ("ford", "mere"))
    assert [w[-4:] for w in words] == ["ford", "mere", "ford", "mere"]


def test_the_same_generator_gives_the_same_words():
    first, second = (invent_words(20, np.random.default_rng(7)) for _ in range(2))
    assert first == second


class PatientGenerator:
    """A generator that gives up, so that a search without end fails instead of hanging."""

    def __init__(self, seed: int, n_draws: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._left = n_draws

    def integers(self, high: int) -> int:
        self._left -= 1
        assert self._left > 0, "the search for words does not end"
        return int(self._rng.integers(high))


def test_more_words_than_one_syllable_offers_are_still_found():
    n_syllables = 27 * 5 * 12  # of one form: with the suffix fixed, no more words than this
    rng = PatientGenerator(seed=0, n_draws=1_000_000)
    words = invent_words(n_syllables + 400, rng, ("ia",))
    assert len(set(words)) == n_syllables + 400
