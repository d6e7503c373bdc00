"""Is the agreement grammar grammatical, balanced, and does a minimal pair differ in one word?"""

from collections import Counter

import numpy as np
import pytest

from coemerge.worlds.agreement import (
    PHENOMENA,
    agreement_sentence,
    minimal_pairs,
    noun_form,
    verb_form,
)
from tests.tolerances import STANDARD_ERRORS

N = 2000
SINGULAR_DETERMINERS, PLURAL_DETERMINERS = {"this", "that"}, {"these", "those"}
NEUTRAL_DETERMINERS = {"the", "some", "any", "no"}
SINGULAR_NOUNS = set(
    "farmer sailor hunter soldier nurse pilot teacher student king queen guest child".split()
)
PLURAL_NOUNS = {n + "s" for n in SINGULAR_NOUNS - {"child"}} | {"children"}
PLURAL_VERBS = set("walk sing rest sleep wait laugh wander travel".split())
SINGULAR_VERBS = {v + "s" for v in PLURAL_VERBS}
REFLEXIVES = {"king": "himself", "queen": "herself"}


def is_grammatical(sentence: str) -> bool:
    """An independent parser of the little grammar."""
    words = sentence.rstrip(".").split()
    determiner, noun, verb, *rest = words
    if rest and rest[0] in REFLEXIVES.values():
        return determiner == "the" and REFLEXIVES[noun] == rest[0]
    if noun in SINGULAR_NOUNS:
        agreeing = determiner in SINGULAR_DETERMINERS | NEUTRAL_DETERMINERS
        agreeing = agreeing and verb in SINGULAR_VERBS
    else:
        assert noun in PLURAL_NOUNS, noun
        agreeing = determiner in PLURAL_DETERMINERS | NEUTRAL_DETERMINERS
        agreeing = agreeing and verb in PLURAL_VERBS
    return agreeing and rest[:2] == ["near", "the"] and len(rest) == 3


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    rng = np.random.default_rng(0)
    return [agreement_sentence(rng) for _ in range(N)]


def test_sentences_are_grammatical(sentences):
    assert [s for s in sentences if not is_grammatical(s)] == []


def test_the_parser_of_these_tests_refuses_a_wrong_number():
    assert not is_grammatical("these farmer walk near the river.")


def test_singular_and_plural_sentences_are_equally_frequent(sentences):
    numbered = [s.split()[1] for s in sentences if not s.rstrip(".").endswith("self")]
    n_plural = sum(noun in PLURAL_NOUNS for noun in numbered)
    standard_error = 0.5 * len(numbered) ** 0.5
    assert abs(n_plural - len(numbered) / 2) < STANDARD_ERRORS * standard_error


def test_phenomena_are_equally_frequent_in_sentences(sentences):
    n_gender = sum(s.rstrip(".").endswith("self") for s in sentences)
    share = 1 / len(PHENOMENA)
    standard_error = (N * share * (1 - share)) ** 0.5
    assert abs(n_gender - N * share) < STANDARD_ERRORS * standard_error


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_a_minimal_pair_differs_in_exactly_one_word(phenomenon):
    for pair in minimal_pairs(phenomenon, 200, seed=0):
        good, bad = (f"{pair.prefix} {end}".split() for end in (pair.good, pair.bad))
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_the_classes_of_minimal_pairs_are_balanced(phenomenon):
    counts = Counter(pair.word_class for pair in minimal_pairs(phenomenon, 200, seed=0))
    assert list(counts.values()) == [100, 100]


def test_in_determiner_noun_pairs_the_good_noun_has_the_determiners_number():
    for pair in minimal_pairs("determiner_noun", 200, seed=0):
        plural = pair.prefix in PLURAL_DETERMINERS
        assert (pair.good in PLURAL_NOUNS, pair.bad in PLURAL_NOUNS) == (plural, not plural)


def test_in_subject_verb_pairs_the_good_verb_has_the_nouns_number():
    for pair in minimal_pairs("subject_verb", 200, seed=0):
        plural = pair.prefix.split()[1] in PLURAL_NOUNS
        assert (pair.good in PLURAL_VERBS, pair.bad in PLURAL_VERBS) == (plural, not plural)


def test_in_gender_pairs_the_good_reflexive_fits_the_noun():
    for pair in minimal_pairs("anaphor_gender", 50, seed=0):
        assert REFLEXIVES[pair.prefix.split()[1]] == pair.good


def test_some_determiners_in_front_of_subjects_tell_no_number():
    """Else the determiner alone would settle the verb."""
    used = Counter(p.prefix.split()[0] for p in minimal_pairs("subject_verb", N, seed=0))
    assert set(used) == SINGULAR_DETERMINERS | PLURAL_DETERMINERS | NEUTRAL_DETERMINERS


def test_every_noun_meets_every_determiner_of_its_number():
    pairs = list(minimal_pairs("determiner_noun", N, seed=0))
    met = {(p.prefix, noun_form_of(p.good)) for p in pairs}
    assert len(met) == 4 * len(SINGULAR_NOUNS)


def noun_form_of(word: str) -> str:
    return next(n for n in SINGULAR_NOUNS if word in (n, noun_form(n, "plural")))


def test_the_same_seed_gives_the_same_pairs():
    first, second = (list(minimal_pairs("subject_verb", 20, seed=3)) for _ in range(2))
    assert first == second


def test_another_seed_gives_other_pairs():
    assert list(minimal_pairs("subject_verb", 20, 3)) != list(minimal_pairs("subject_verb", 20, 4))


def test_an_unknown_phenomenon_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'island'.*determiner_noun"):
        next(minimal_pairs("island", 1, seed=0))


def test_irregular_plurals_are_formed():
    assert noun_form("child", "plural") == "children"


def test_the_singular_verb_carries_the_ending():
    assert (verb_form("walk", "singular"), verb_form("walk", "plural")) == ("walks", "walk")
