"""Grammars, worlds by hand, word lists and texts gone wrong: read soundly, or told by file."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coemerge.corpus.own_texts import read_texts
from coemerge.worlds.curated import CuratedWorldConfig
from coemerge.worlds.grammar import load_grammar
from coemerge.worlds.grammar_sentences import Sentences, grammar_pairs
from coemerge.worlds.synthetic import EntityTypeConfig, RelationConfig, SyntheticWorldConfig
from tests.properties import attempted, gone_wrong, often, put, values

GRAMMAR: dict[str, Any] = {
    "opening": "Here,",
    "number": {
        "noun": [["dog", "dogs"], ["cat", "cats"]],
        "verb": [["runs", "run"], ["sleeps", "sleep"]],
    },
    "gender": {"name": [["Tom", "Ann"]], "self": [["himself", "herself"]]},
    "plain": {"place": ["here", "there"]},
    "weights": {"noun": [1, 2]},
    "apart": {"every": 2, "classes": [["noun", "verb"]]},
    "pairs": 4,
    "phenomena": {
        "sv": {
            "cue": "noun",
            "target": "verb",
            "frames": ["the [noun] [verb]", "the [noun] [place] [verb]"],
            "held_out": ["a [noun] [verb]"],
        },
        "reflexive": {
            "cue": "name",
            "target": "self",
            "frames": ["[name] sees [self]"],
            "held_out": ["[name] knows [self]"],
        },
    },
    "others": ["the [noun] is [place]"],
}
FACTS: dict[str, Any] = {
    "domain": "country",
    "range": "city",
    "facts": {"Orvania": "Telk", "Suneth": "Port Amel", "Brel": "Vost"},
}
WORDS: dict[str, Any] = {"jobs": ["baker", "pilot", "judge"], "towns": ["Telk", "Amel"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("any")


def written(folder: Path, content: Any) -> Path:
    path = folder / "r.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def check_grammar(path: Path) -> bool:
    """Whether it is read; then it makes sentences without slots, and pairs that differ."""
    grammar = attempted(lambda: load_grammar(path), path)
    if grammar is None:
        return False
    rng, sentences = np.random.default_rng(0), Sentences(grammar)
    for _ in range(10):
        text = sentences.draw(rng)
        assert text.startswith(grammar.opening)
        assert not any(f"[{name}]" in text for name in grammar.classes)
    for pair in itertools.islice(grammar_pairs(grammar, 0), 12):
        assert pair.good != pair.bad
        assert pair.sentence(pair.good) != pair.sentence(pair.bad)
    return True


def check_facts(folder: Path, path: Path) -> bool:
    config = CuratedWorldConfig(facts_dir=str(folder), use=[path.stem])
    try:
        world = config.build()
    except ValueError as error:
        refusal = str(error)
    else:
        assert all(f.subject and f.object and f.subject != f.object for f in world.facts)
        return True
    assert str(path) in refusal or "invalid world" in refusal
    assert "\n" not in refusal
    return False


def check_words(path: Path) -> bool:
    types = {
        "person": EntityTypeConfig(size=6, words=2),
        "job": EntityTypeConfig(size=3, lexicon="jobs"),
    }
    relations = {"job": RelationConfig("person", "job")}
    config = SyntheticWorldConfig(0, str(path), types, relations, ["job"])
    world = attempted(config.build, path)
    return world is not None and len(world.facts) == 6


def test_what_is_sound_is_read(folder: Path):
    assert check_grammar(written(folder, GRAMMAR))
    assert check_facts(folder, written(folder, FACTS))
    assert check_words(written(folder, WORDS))


@given(changed=gone_wrong(GRAMMAR))
@often
def test_grammars_gone_wrong_are_read_or_told(folder: Path, changed):
    check_grammar(written(folder, changed))


@given(changed=gone_wrong(FACTS))
@often
def test_facts_gone_wrong_are_read_or_told(folder: Path, changed):
    check_facts(folder, written(folder, changed))


@given(changed=gone_wrong(WORDS))
@often
def test_word_lists_gone_wrong_are_read_or_told(folder: Path, changed):
    check_words(written(folder, changed))


@given(content=st.binary(max_size=30) | values().map(lambda value: yaml.safe_dump(value).encode()))
@often
def test_any_bytes_are_read_or_told(folder: Path, content: bytes):
    path = folder / "r.yaml"
    path.write_bytes(content)

    check_grammar(path)
    check_facts(folder, path)
    check_words(path)


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
@given(content=st.binary(max_size=30) | st.lists(values()).map(str).map(str.encode))
@often
def test_texts_of_any_bytes_are_text_or_told(folder: Path, suffix: str, content: bytes):
    path = put(folder, f"t.{suffix}", content)

    for text in attempted(lambda: list(read_texts(path)), path) or ():
        assert text.strip()
        assert text.encode()
