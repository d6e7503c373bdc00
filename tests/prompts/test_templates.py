"""Are the phrasings that we ship, and those that a user may write, fit to be asked?"""

import itertools
from pathlib import Path

import pytest
import yaml

from coemerge.prompts.tasks import TASKS, get_task
from coemerge.prompts.templates import (
    OBJECT,
    PAIR,
    PHRASINGS,
    SUBJECT,
    TemplateBook,
    load_templates,
    word_distance,
)
from tests.conftest import ROOT

TEMPLATES = ROOT / "conf" / "prompts" / "templates"
FILES = sorted(TEMPLATES.glob("*.yaml"))
RELATION_FILES = [f for f in FILES if f.stem != "drill"]
N_HELD_OUT = 3
MIN_DISTANCE = 3


def content_of(path: Path) -> dict[str, list[str]]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {key: content[key] for key in PHRASINGS if key in content}


def by_stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", RELATION_FILES, ids=by_stem)
def test_every_task_has_ten_phrasings(path):
    assert {
        key: len(entries) for key, entries in content_of(path).items() if len(entries) != 10
    } == {}


@pytest.mark.parametrize("path", FILES, ids=by_stem)
def test_phrasings_of_a_task_differ_by_three_words(path):
    close = {
        (first, second): distance
        for entries in content_of(path).values()
        for first, second in itertools.combinations(entries, 2)
        if (distance := word_distance(first, second)) < MIN_DISTANCE
    }
    assert close == {}


@pytest.mark.parametrize("path", FILES, ids=by_stem)
def test_slots_are_where_each_task_needs_them(path):
    load_templates(TEMPLATES, [path.stem], N_HELD_OUT)


@pytest.mark.parametrize("path", FILES, ids=by_stem)
def test_a_file_is_named_after_its_relation(path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["relation"] == path.stem


@pytest.mark.parametrize("path", RELATION_FILES, ids=by_stem)
def test_no_held_out_phrasing_is_part_of_a_seen_one(path):
    """Cut where the prompt ends: a held-out prompt must not be the beginning of a seen document."""
    repeated = [
        (held_out, seen)
        for key, entries in content_of(path).items()
        for held_out in entries[-N_HELD_OUT:]
        for seen in entries[:-N_HELD_OUT]
        if (held_out.split(OBJECT)[0] if key == "statement" else held_out).strip(" .?") in seen
    ]
    assert repeated == []


@pytest.mark.parametrize("relation", ["birthplace", "capital", "capital_of"])
def test_the_relations_of_a_shipped_world_have_templates(relation):
    assert (TEMPLATES / f"{relation}.yaml") in FILES


def test_every_configured_relation_has_a_template_file(smoke_spec):
    relations = list(smoke_spec.world.relations)
    assert set(load_templates(TEMPLATES, relations, N_HELD_OUT).phrasings) == set(relations)


def test_only_a_relation_with_a_bridge_has_two_hop_questions():
    with_multihop = {p.stem for p in RELATION_FILES if "multihop" in content_of(p)}
    assert with_multihop == {"birthplace"}


def test_the_last_phrasings_are_held_out():
    book = load_templates(TEMPLATES, ["birthplace"], N_HELD_OUT)
    task = get_task("openqa")
    seen, held_out = book.seen("birthplace", task), book.held_out("birthplace", task)
    assert (list(seen), list(held_out)) == (list(range(7)), [7, 8, 9])


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("[X] was born in [Y].", "[X] was born in [Y].", 0),
        ("[X] was born in [Y].", "[X] was raised in [Y].", 1),
        ("Which city is it?", "which City, is it", 0),
        ("a b c", "", 3),
        ("a b c d", "b c d e", 2),
    ],
)
def test_word_distance_counts_changed_words(first, second, distance):
    assert word_distance(first, second) == distance


def test_word_distance_is_symmetric():
    first, second = "a b c d e", "c d x"
    assert word_distance(first, second) == word_distance(second, first)


@pytest.fixture
def good() -> dict[str, list[str]]:
    """A template file's content, right in every respect."""
    return {
        "statement": [f"{w} {SUBJECT} is {OBJECT}." for w in ("One", "Two", "Three", "Four")],
        "cloze": [f"{w} {OBJECT} is {SUBJECT}." for w in ("One", "Two", "Three", "Four")],
        "question": [f"{w}: who is {SUBJECT}?" for w in ("One", "Two", "Three", "Four")],
        "choice": [f"{w}: which is {SUBJECT}?" for w in ("One", "Two", "Three", "Four")],
        "negated": [f"{w}: which is not {SUBJECT}?" for w in ("One", "Two", "Three", "Four")],
        "claim": [f"{w} claims {SUBJECT} is {OBJECT}." for w in ("One", "Two", "Three", "Four")],
    }


def load(directory: Path, content: object) -> TemplateBook:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (directory / "hobby.yaml").write_text(text, encoding="utf-8")
    return load_templates(directory, ["hobby"], N_HELD_OUT)


def test_a_users_own_template_file_is_read(tmp_path, good):
    assert load(tmp_path, good).phrasing("hobby", get_task("openqa"), 1) == good["question"][1]


@pytest.mark.parametrize(
    ("key", "entry", "reason"),
    [
        ("statement", "It is [Y].", r"\[X\] 1 time"),
        ("statement", "[X] is it.", r"\[Y\] 1 time"),
        ("statement", "[X] has [Y] here.", r"end with \[Y\]"),
        ("cloze", "[X] is it.", r"\[Y\] 1 time"),
        ("question", "Who is [X] to [Y]?", r"\[Y\] 0 time"),
        ("claim", "[X] and [X] are [Y].", r"\[X\] 1 time"),
        ("negated", 7, "text"),
    ],
)
def test_a_faulty_entry_is_named_by_file_and_position(tmp_path, good, key, entry, reason):
    good[key][1] = entry
    with pytest.raises(ValueError, match=rf"hobby\.yaml: {key} entry 2 .*{reason}"):
        load(tmp_path, good)


def test_every_faulty_entry_is_listed(tmp_path, good):
    good["question"][0] = "Who?"
    good["claim"][3] = "So?"
    with pytest.raises(ValueError, match=r"question entry 1 .*claim entry 4 "):
        load(tmp_path, good)


@pytest.mark.parametrize("key", ["statement", "claim"])
def test_a_missing_list_is_named(tmp_path, good, key):
    del good[key]
    with pytest.raises(ValueError, match=rf"hobby\.yaml: '{key}' needs a list of more than 3"):
        load(tmp_path, good)


def test_a_list_without_any_seen_phrasing_is_refused(tmp_path, good):
    good["choice"] = good["choice"][:N_HELD_OUT]
    with pytest.raises(ValueError, match=r"hobby\.yaml: 'choice' needs a list of more than 3"):
        load(tmp_path, good)


def test_two_hop_questions_may_be_left_out(tmp_path, good):
    assert not load(tmp_path, good).has("hobby", get_task("multihop"))


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"hobby\.yaml:1: not valid YAML"):
        load(tmp_path, "statement: [unclosed")


def test_a_file_that_is_no_mapping_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"hobby\.yaml: expected a mapping"):
        load(tmp_path, "- one\n- two\n")


def test_a_missing_file_is_named_with_its_relation(tmp_path):
    with pytest.raises(ValueError, match=r"hobby\.yaml: missing.*'hobby'"):
        load_templates(tmp_path, ["hobby"], N_HELD_OUT)


def test_a_mistyped_task_key_is_refused(tmp_path, good):
    good["multhop"] = good["question"]
    with pytest.raises(ValueError, match=r"hobby\.yaml.*multhop"):
        load(tmp_path, good)


def test_a_held_out_phrasing_that_repeats_a_seen_one_is_refused(tmp_path, good):
    good["question"][3] = good["question"][0]
    with pytest.raises(ValueError, match=r"hobby\.yaml: question entry 4 "):
        load(tmp_path, good)


def test_every_task_has_its_phrasings_under_a_known_key():
    """Of a relation's file, or of the one that serves all relations."""
    assert {task.phrasing for task in TASKS.values()} == {*PHRASINGS, PAIR}
