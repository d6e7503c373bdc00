"""Number and gender agreement as a small grammar: sentences, and minimal pairs of one word.

The grammar of experiments that are not about syntax; ``grammar`` has one that is data.

Determiners and nouns are drawn independently of each other wherever grammar allows, so that which
noun meets which determiner is decided by number alone; counts per (class, word) are balanced.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_DETERMINERS = {"singular": ("this", "that"), "plural": ("these", "those")}
_NEUTRAL_DETERMINERS = ("the", "some", "any", "no")
_NOUNS = tuple(
    "farmer sailor hunter soldier nurse pilot teacher student king queen guest child".split()
)
_IRREGULAR = {"child": "children"}
_VERBS = tuple("walk sing rest sleep wait laugh wander travel".split())
_PLACES = tuple("river bridge market garden harbor forest".split())
_REFLEXIVES = {"masculine": ("king", "himself"), "feminine": ("queen", "herself")}
_REFLEXIVE_VERBS = ("sees", "knows", "likes", "trusts")


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """``prefix good suffix`` is grammatical, ``prefix bad suffix`` is not.

    The two differ in one span. Where ``cue_follows``, only the suffix tells which is right, so that
    whole sentences have to be compared; else the word after the prefix decides. ``cue`` is the word
    that decides between the two, where it is known; ``split`` says what was held out from training,
    where there was one (``grammar_sentences.SPLITS``).
    """

    phenomenon: str
    word_class: str
    prefix: str
    good: str
    bad: str
    suffix: str = ""
    cue_follows: bool = False
    cue: str = ""
    split: str = ""

    def sentence(self, word: str) -> str:
        """The whole sentence with ``good`` or ``bad`` as ``word``."""
        text = " ".join(part for part in (self.prefix, word, self.suffix) if part)
        return re.sub(r" ([.,;:!?])", r"\1", text)


def noun_form(noun: str, number: str) -> str:
    return noun if number == "singular" else _IRREGULAR.get(noun, noun + "s")


def verb_form(verb: str, number: str) -> str:
    """Third person: the singular carries the -s."""
    return verb + "s" if number == "singular" else verb


def agreement_sentence(rng: np.random.Generator) -> str:
    """One grammatical sentence, class drawn first so that classes are balanced."""
    pair = _draw(rng, str(rng.choice(PHENOMENA)), int(rng.integers(2)))
    ending = "" if pair.phenomenon == "anaphor_gender" else f" near the {_pick(rng, _PLACES)}"
    if pair.phenomenon == "determiner_noun":
        number = "singular" if pair.word_class == "singular" else "plural"
        ending = f" {verb_form(_pick(rng, _VERBS), number)}{ending}"
    return f"{pair.prefix} {pair.good}{ending}."


def minimal_pairs(phenomenon: str, count: int, seed: int) -> Iterator[MinimalPair]:
    """``count`` pairs, the two classes in turn. Raises ValueError for an unknown phenomenon."""
    if phenomenon not in PHENOMENA:
        raise ValueError(f"unknown phenomenon {phenomenon!r}; known: {list(PHENOMENA)}")
    rng = np.random.default_rng(seed)
    for position in range(count):
        yield _draw(rng, phenomenon, position % 2)


PHENOMENA = ("determiner_noun", "subject_verb", "anaphor_gender")


def _draw(rng: np.random.Generator, phenomenon: str, which: int) -> MinimalPair:
    if phenomenon == "anaphor_gender":
        classes = list(_REFLEXIVES)
        (noun, good), (_, bad) = _REFLEXIVES[classes[which]], _REFLEXIVES[classes[1 - which]]
        prefix = f"the {noun} {_pick(rng, _REFLEXIVE_VERBS)}"
        return MinimalPair(phenomenon, classes[which], prefix, good, bad)
    number, other = ("singular", "plural") if which == 0 else ("plural", "singular")
    noun = _pick(rng, _NOUNS)
    if phenomenon == "determiner_noun":
        prefix = _pick(rng, _DETERMINERS[number])
        good, bad = noun_form(noun, number), noun_form(noun, other)
        return MinimalPair(phenomenon, number, prefix, good, bad)
    determiners = (*_DETERMINERS[number], *_NEUTRAL_DETERMINERS)
    prefix = f"{_pick(rng, determiners)} {noun_form(noun, number)}"
    verb = _pick(rng, _VERBS)
    return MinimalPair(phenomenon, number, prefix, verb_form(verb, number), verb_form(verb, other))


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]
