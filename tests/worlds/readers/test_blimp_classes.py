"""BLiMP: the class of the right word, told from the words of the pair."""

from collections import Counter

import pytest

from coemerge.worlds.readers.blimp import read
from tests.worlds.readers.support import pair, real, write_lines

VERBS = "regular_plural_subject_verb_agreement_1"
SUBJECTS = "irregular_plural_subject_verb_agreement_2"
NOUNS = "determiner_noun_agreement_1"
ADJECTIVES = "determiner_noun_agreement_with_adj_irregular_1"
DETERMINERS = "determiner_noun_agreement_2"
GENDER, NUMBER = "anaphor_gender_agreement", "anaphor_number_agreement"


def class_of(folder, paradigm: str, good: str, bad: str) -> str:
    line = pair(good, bad, UID=paradigm)
    return read(write_lines(folder / "pairs.jsonl", line)).pairs[0].word_class


@pytest.mark.parametrize(
    ("paradigm", "good", "bad", "expected"),
    [
        (VERBS, "Ann sees Bo.", "Ann see Bo.", "singular"),
        (VERBS, "Some men see Bo.", "Some men sees Bo.", "plural"),
        (VERBS, "Bo passes Ann.", "Bo pass Ann.", "singular"),
        (VERBS, "Men pass Ann.", "Men passes Ann.", "plural"),
        (VERBS, "Bo worries Ann.", "Bo worry Ann.", "singular"),
        (VERBS, "Men worry Ann.", "Men worries Ann.", "plural"),
        (VERBS, "Men haven't left.", "Men hasn't left.", "plural"),
        (VERBS, "Bo isn’t here.", "Bo aren’t here.", "singular"),
        (VERBS, "Bo does sing.", "Bo do sing.", "singular"),
        (VERBS, "Men were here.", "Men was here.", "plural"),
        (VERBS, "Men sing.", "Men sings.", "plural"),
        (VERBS, "Bo went home.", "Bo gone home.", ""),
        ("distractor_agreement_relative_clause", "Boys that hear Bo rest.",
         "Boys that hear Bo rests.", "plural"),
        ("distractor_agreement_relational_noun", "A plan of dogs does matter.",
         "A plan of dogs do matter.", "singular"),
        (SUBJECTS, "The woman hasn't left.", "The women hasn't left.", "singular"),
        (SUBJECTS, "The women leave.", "The woman leave.", "plural"),
        (SUBJECTS, "The child sees Bo.", "The children sees Bo.", "singular"),
        (SUBJECTS, "These women pass Bo.", "These woman pass Bo.", "plural"),
        (NOUNS, "That man saw these dogs", "That man saw these dog", "plural"),
        (NOUNS, "Those men saw this dog.", "Those men saw this dogs.", "singular"),
        (ADJECTIVES, "Bo met these lost women.", "Bo met these lost woman.", "plural"),
        (DETERMINERS, "Men saw this dog", "Men saw these dog", "singular"),
        (DETERMINERS, "Bo saw those dogs.", "Bo saw that dogs.", "plural"),
        (GENDER, "Ann has seen herself.", "Ann has seen himself.", "feminine"),
        (GENDER, "Bo hid himself.", "Bo hid itself.", "masculine"),
        (GENDER, "A rock hid itself.", "A rock hid himself.", "neuter"),
        (NUMBER, "Ann hid herself.", "Ann hid themselves.", "singular"),
        (NUMBER, "Most men hid themselves.", "Most men hid himself.", "plural"),
        ("principle_A_case_1", "Ann said she met herself.", "Ann said she met himself.", ""),
        ("some_island_1", "Who did men see", "Who did men saw", ""),
    ],
)  # fmt: skip
def test_the_class_is_told_from_the_words(tmp_path, paradigm, good, bad, expected):
    assert class_of(tmp_path, paradigm, good, bad) == expected


@pytest.mark.parametrize(
    ("paradigm", "expected"),
    [
        (VERBS, {"singular", "plural"}),
        (DETERMINERS, {"singular", "plural"}),
        (GENDER, {"masculine", "feminine", "neuter"}),
    ],
)
def test_every_pair_of_the_real_paradigms_has_a_class(paradigm, expected):
    pairs = read(real("blimp") / f"{paradigm}.jsonl").pairs
    assert set(Counter(pair.word_class for pair in pairs)) == expected
