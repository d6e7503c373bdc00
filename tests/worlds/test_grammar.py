"""Is a grammar's text grammatical and balanced, and do its pairs hold out what they say?"""

import copy
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coemerge.worlds.grammar import Grammar, load_grammar
from coemerge.worlds.grammar_sentences import (
    HELD_OUT_FRAMES,
    HELD_OUT_WORDS,
    SEEN,
    SPLITS,
    Sentences,
    grammar_pairs,
)
from tests.conftest import ROOT
from tests.tolerances import STANDARD_ERRORS

PATH = ROOT / "conf" / "world" / "grammar" / "default.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(PATH.read_text())
N = 6000
AGREEING = [("singular", "plural"), ("masculine", "feminine")]
Changed = Callable[[Callable[[dict[str, Any]], object]], Path]


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return load_grammar(PATH)


@pytest.fixture(scope="module")
def sentences(grammar) -> list[str]:
    rng, drawn = np.random.default_rng(0), Sentences(grammar)
    return [drawn.draw(rng) for _ in range(N)]


@pytest.fixture(scope="module")
def pairs(grammar):
    return list(grammar_pairs(grammar, seed=0))


@pytest.fixture
def changed(tmp_path) -> Changed:
    """``changed(edit)``: the grammar's file after ``edit(content)``."""

    def write(edit: Callable[[dict[str, Any]], object]) -> Path:
        content = copy.deepcopy(CONTENT)
        edit(content)
        path = tmp_path / "grammar.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text)


def forms() -> dict[str, tuple[str, int, int]]:
    """Read from the file: form -> (class, row, which form), of marked words."""
    return {
        form: (name, place, value)
        for feature in ("number", "gender")
        for name, rows in CONTENT[feature].items()
        for place, row in enumerate(rows)
        for value, form in enumerate(row)
    }


def is_grammatical(text: str) -> bool:
    """All marked words of a sentence show one form."""
    return len({FORMS[word][2] for word in words_of(text) if word in FORMS}) == 1


FORMS = forms()


def test_sentences_are_grammatical(sentences):
    assert all(is_grammatical(text) for text in sentences)


def test_sentences_open_alike_and_end_with_a_full_stop(sentences):
    assert all(re.fullmatch(r"Say: [a-z][a-z ,:?]*\.", text) for text in sentences)


def test_the_same_seed_gives_the_same_sentences(grammar):
    first, second = (
        [Sentences(grammar).draw(rng) for rng in [np.random.default_rng(5)] for _ in range(50)]
        for _ in range(2)
    )
    assert first == second


def test_both_forms_of_every_class_come_equally_often(sentences):
    """Exact odds: a fair coin for each sentence."""
    count = Counter(
        (FORMS[w][0], FORMS[w][2]) for t in sentences for w in set(words_of(t)) & {*FORMS}
    )
    for name in {name for name, _ in count}:
        n = count[name, 0] + count[name, 1]
        assert abs(count[name, 0] - n / 2) < STANDARD_ERRORS * (n / 4) ** 0.5


def test_neutral_determiners_tell_nothing_of_number(sentences):
    neutral, count = set(CONTENT["plain"]["neutral"]), Counter()
    for text in sentences:
        words = words_of(text)
        nouns = {FORMS[w][2] for w in words if w in FORMS and FORMS[w][0] == "noun"}
        count.update((w, value) for w in set(words) & neutral for value in nouns)
    for word in neutral:
        n = count[word, 0] + count[word, 1]
        assert n > 100
        assert abs(count[word, 0] - n / 2) < STANDARD_ERRORS * (n / 4) ** 0.5


def test_a_determiner_does_not_tell_the_noun_where_both_may_meet(grammar, sentences):
    """Of the nouns that meet every determiner, none meets one of them more than chance has it."""
    rows, every = CONTENT["number"], CONTENT["apart"]["every"]
    sizes = {name: len(rows[name]) for name in ("determiner", "noun")}
    free = [
        j for j in range(sizes["noun"]) if all((i + j) % every for i in range(sizes["determiner"]))
    ]
    count = Counter()
    for text in sentences:
        found = {FORMS[w][:2] for w in words_of(text) if w in FORMS}
        nouns = [row for name, row in found if name == "noun"]
        count.update((i, nouns[0]) for name, i in found if name == "determiner")
    assert len(free) == 4
    for i in range(sizes["determiner"]):
        n = sum(count[i, j] for j in free)
        for j in free:
            assert abs(count[i, j] - n / 4) < STANDARD_ERRORS * (n * 3 / 16) ** 0.5


def test_rows_kept_apart_never_meet(sentences):
    every, classes = CONTENT["apart"]["every"], CONTENT["apart"]["classes"]
    met = Counter()
    for text in sentences:
        found = {FORMS[w][:2] for w in words_of(text) if w in FORMS}
        for first, second in classes:
            for name, i in found:
                for other, j in found:
                    if (name, other) == (first, second):
                        met[(i + j) % every == 0] += 1
    assert met[False] > N / 2
    assert met[True] == 0


def test_words_differ_in_how_often_they_are_shown(sentences):
    """By their weights: so that shifts can be regressed on counts within a class."""
    count = Counter(w for t in sentences for w in words_of(t))
    assert count["this"] > 2 * count["every"]
    assert count["these"] > 2 * count["several"]


def test_held_out_frames_are_never_shown(sentences):
    shapes = {re.sub(r"\w+", lambda at: CLASS.get(at[0], at[0]), t) for t in sentences}
    shown = {
        f"Say: {re.sub(r'[][]', '', frame)}."
        for part in (*CONTENT["phenomena"].values(), {"frames": CONTENT["others"]})
        for frame in part["frames"]
    }
    assert shapes == shown


CLASS = {form: name for form, (name, _, _) in FORMS.items()} | {
    word: name for name, words in CONTENT["plain"].items() for word in words
}


def test_pairs_differ_in_exactly_one_word(pairs):
    for pair in pairs:
        good, bad = (words_of(pair.sentence(word)) for word in (pair.good, pair.bad))
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1


def test_the_good_sentence_is_grammatical_and_the_bad_one_is_not(pairs):
    for pair in pairs:
        assert is_grammatical(pair.sentence(pair.good))
        assert not is_grammatical(pair.sentence(pair.bad))


def test_the_cue_stands_before_its_target_and_alone_decides(pairs):
    for pair in pairs:
        marked = {word for word in words_of(pair.prefix) if word in FORMS}
        assert marked == {pair.cue}
        assert not pair.cue_follows
        assert FORMS[pair.cue][0] == CONTENT["phenomena"][pair.phenomenon]["cue"]


def test_there_are_as_many_pairs_of_every_kind_as_asked_for(pairs):
    count = Counter((p.phenomenon, p.split, p.word_class) for p in pairs)
    assert len(count) == len(CONTENT["phenomena"]) * len(SPLITS) * 2
    assert set(count.values()) == {CONTENT["pairs"] // 2}
    assert len(set(pairs)) == len(pairs)


def test_pairs_hold_out_what_they_say(pairs):
    every = CONTENT["apart"]["every"]
    for pair in pairs:
        apart = (FORMS[pair.cue][1] + FORMS[pair.good][1]) % every == 0
        shape = re.sub(r"\w+", lambda at: f"[{CLASS[at[0]]}]" if at[0] in CLASS else at[0],
                       pair.sentence(pair.good))  # fmt: skip
        frames = CONTENT["phenomena"][pair.phenomenon]
        assert apart == (pair.split == HELD_OUT_WORDS)
        part = "held_out" if pair.split == HELD_OUT_FRAMES else "frames"
        assert shape.removeprefix("Say: ").rstrip(".") in frames[part]


def test_no_held_out_sentence_is_ever_shown(pairs, sentences):
    """T-D3 of syntax; and the test can fail."""
    shown = set(sentences)
    goods = {split: {p.sentence(p.good) for p in pairs if p.split == split} for split in SPLITS}
    assert not shown & (goods[HELD_OUT_WORDS] | goods[HELD_OUT_FRAMES])
    assert shown & goods[SEEN]


def test_pairs_depend_on_the_seed_alone(grammar, pairs):
    assert list(grammar_pairs(grammar, seed=0)) == pairs
    assert list(grammar_pairs(grammar, seed=1)) != pairs


def test_without_rows_kept_apart_no_words_are_held_out(changed):
    path = changed(lambda c: c.pop("apart"))
    splits = Counter(p.split for p in grammar_pairs(load_grammar(path), seed=0))
    assert set(splits) == {SEEN, HELD_OUT_FRAMES}


def test_a_cue_that_follows_is_told(changed):
    frames = {"cue": "noun", "target": "determiner", "frames": ["we met [determiner] [noun]"],
              "held_out": ["near [determiner] [noun]"]}  # fmt: skip
    path = changed(lambda c: c["phenomena"].update(determiner_noun_2=frames))
    found = [
        p for p in grammar_pairs(load_grammar(path), seed=0) if p.phenomenon == "determiner_noun_2"
    ]
    assert found
    assert all(p.cue_follows for p in found)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(openning="x"), "openning: unknown; known: opening"),
        (lambda c: c.pop("opening"), "opening: needs text"),
        (lambda c: c["plain"].update(neutral=["the", False]), r"neutral: needs .*quote yes, no"),
        (lambda c: c["number"]["noun"].append(["cod"]), "number.noun: needs a list of lists of 2"),
        (lambda c: c["number"]["noun"].append(["cod", "cod"]), r"noun: \['cod'\] occur twice"),
        (lambda c: c["number"]["noun"].append(["the", "thes"]), r"\['the'\] occur twice"),
        (lambda c: c["plain"]["past"].append("ran off"), "'ran off' is not one word"),
        (lambda c: c["weights"].update(neutral=[1]), "weights.neutral: needs 6 positive"),
        (lambda c: c["weights"].update(nouns=[1]), "weights.nouns: no such class"),
        (lambda c: c["apart"].update(every=1), "apart.every: needs a whole number of 2"),
        (lambda c: c["apart"]["classes"].append(["noun", "nuon"]), r"unknown classes \['nuon'\]"),
        (lambda c: c["others"].append("we met [nuon]"), r"others: .* has unknown slots \['nuon'\]"),
        (lambda c: c["others"].append("we met [neutral]"), "needs words of number or of gender"),
        (lambda c: c["others"].append("[noun] met [person]"), "and not of both"),
        (lambda c: c["others"].append("the [noun]"), r"says \['the'\], words of a class"),
        (lambda c: frames_of(c, "subject_verb").append("[noun] [noun]"), "needs its cue, and its"),
        (
            lambda c: frames_of(c, "subject_verb").append("[determiner] [noun] [verb]"),
            r"\['determiner', 'noun'\] tell the target's form",
        ),
        (
            lambda c: frames_of(c, "subject_verb").append("they think [neutral] [noun] [verb] so"),
            "held_out .* begin as frames that training shows",
        ),
        (lambda c: c["phenomena"]["subject_verb"].pop("cue"), "subject_verb.cue: needs text"),
    ],
)  # fmt: skip
def test_a_faulty_grammar_is_refused_by_file_and_key(changed, edit, message):
    with pytest.raises(ValueError, match=rf"grammar\.yaml: .*{message}"):
        load_grammar(changed(edit))


def frames_of(content: dict[str, Any], phenomenon: str) -> list[str]:
    return content["phenomena"][phenomenon]["frames"]


def test_a_missing_grammar_is_named():
    with pytest.raises(ValueError, match=r"grammar_path: .*nowhere\.yaml: no such file"):
        load_grammar(Path("nowhere.yaml"))
