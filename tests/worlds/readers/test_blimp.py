"""BLiMP: whatever two sentences there are, the parts of a pair give them back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.readers.blimp import read
from tests.worlds.readers.support import pair, write_lines

sentences = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join)
different = st.lists(sentences, min_size=2, max_size=2, unique=True)


def split(folder, good: str, bad: str) -> MinimalPair:
    (found,) = read(write_lines(folder / "pairs.jsonl", pair(good, bad))).pairs
    return found


def joined(*spans: str) -> str:
    return " ".join(filter(None, spans))


@given(two=different)
def test_the_parts_give_both_sentences_back(tmp_path_factory, two):
    found = split(tmp_path_factory.getbasetemp(), *two)
    assert joined(found.prefix, found.good, found.suffix) == two[0]
    assert joined(found.prefix, found.bad, found.suffix) == two[1]


@given(two=different)
def test_what_differs_is_never_empty(tmp_path_factory, two):
    found = split(tmp_path_factory.getbasetemp(), *two)
    assert found.good
    assert found.bad


@given(two=different)
def test_what_differs_is_as_short_as_it_can_be(tmp_path_factory, two):
    """No word more could be common to both, each keeping one."""
    found = split(tmp_path_factory.getbasetemp(), *two)
    good, bad = found.good.split(), found.bad.split()
    if min(len(good), len(bad)) > 1:
        assert good[0] != bad[0]
        assert good[-1] != bad[-1]


def test_a_span_of_two_words_is_one_answer(tmp_path):
    found = split(tmp_path, "Every dog has been running.", "Every dog have being running.")
    parts = (found.prefix, found.good, found.bad, found.suffix)
    assert parts == ("Every dog", "has been", "have being", "running.")


@pytest.mark.parametrize(
    ("paradigm", "good", "bad", "cue"),
    [
        (
            "determiner_noun_agreement_1",
            "That man saw these dogs",
            "That man saw these dog",
            "these",
        ),
        ("anaphor_gender_agreement", "Ann has seen herself", "Ann has seen himself", "Ann"),
        ("anaphor_gender_agreement", "A lot of girls met her", "A lot of girls met him", "girls"),
        ("regular_plural_subject_verb_agreement_1", "Most men sing", "Most men sings", "men"),
        ("some_island_1", "Who did men see", "Who did men saw", ""),
        ("determiner_noun_agreement_2", "Men saw this dog", "Men saw these dog", ""),
    ],
)
def test_the_deciding_word_is_told_in_the_paradigms_studied(tmp_path, paradigm, good, bad, cue):
    line = pair(good, bad, UID=paradigm)
    (found,) = read(write_lines(tmp_path / "pairs.jsonl", line)).pairs
    assert found.cue == cue
