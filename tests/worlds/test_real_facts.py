"""Are the curated facts well formed, balanced and told apart, and are the best known of them right?

The files are read as they are, so that this holds whatever later reads them.
"""

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from coemerge.prompts.templates import PHRASINGS, load_templates
from tests.conftest import ROOT

TEMPLATES = ROOT / "conf" / "prompts" / "templates"
FILES = sorted((ROOT / "conf" / "world" / "real").glob("*.yaml"))
RELATIONS = [path.stem for path in FILES]
N_HELD_OUT = 3
MIN_FACTS = 46
MIN_OBJECTS = 10
LARGEST_SHARE = {"birth_country": 1 / 5, "profession": 1 / 5}  # of the others: a quarter
RESERVED = set("A B C D yes no".split())  # answers of other task formats
# Names that English puts "the" before; the phrasings have none there.
WITH_ARTICLE = {"Netherlands", "Philippines", "United States", "United Kingdom", "Gambia"}
# Words of which every phrasing of the relation has one, and no phrasing of another has any.
KEY_WORDS = {
    "birth_country": r"born|birth|birthplace",
    "capital_city": r"capital",
    "currency": r"currency|currencies|money",
    "official_language": r"languages?",
    "profession": r"professions?",
}


def by_stem(path: Path) -> str:
    return path.stem


def facts_of(relation: str) -> dict[str, str]:
    path = ROOT / "conf" / "world" / "real" / f"{relation}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["facts"]


def objects_of(relation: str) -> Counter[str]:
    return Counter(facts_of(relation).values())


def repeated_keys(node: yaml.Node) -> list[str]:
    """Keys that stand twice in one mapping of a file, which a loader drops without a word."""
    if not isinstance(node, yaml.MappingNode):
        return []
    counts = Counter(key.value for key, _ in node.value)
    nested = [key for _, value in node.value for key in repeated_keys(value)]
    return [key for key, count in counts.items() if count > 1] + nested


def prefix_pairs(words: list[str]) -> list[tuple[str, str]]:
    """In sorted order some word right after a prefix begins with it."""
    lowered = sorted(word.lower() for word in words)
    return [(a, b) for a, b in itertools.pairwise(lowered) if b.startswith(a)]


def test_there_are_five_relations_and_more():
    assert len(RELATIONS) >= 5
    assert "official_language" in RELATIONS


@pytest.mark.parametrize("path", FILES, ids=by_stem)
def test_a_file_says_what_is_true_between_which_types(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert set(yaml.safe_load(text)) == {"domain", "range", "facts"}


@pytest.mark.parametrize("path", FILES, ids=by_stem)
def test_no_subject_is_listed_twice(path):
    assert repeated_keys(yaml.compose(path.read_text(encoding="utf-8"))) == []


def test_a_subject_listed_twice_is_noticed():
    text = "domain: country\nfacts:\n  France: French\n  France: German\n"
    assert repeated_keys(yaml.compose(text)) == ["France"]


@pytest.mark.parametrize("relation", RELATIONS)
def test_there_are_enough_facts(relation):
    assert len(facts_of(relation)) >= MIN_FACTS


@pytest.mark.parametrize("path", FILES, ids=by_stem)
def test_files_are_ascii(path):
    assert path.read_text(encoding="utf-8").isascii()


@pytest.mark.parametrize("relation", RELATIONS)
def test_subjects_are_one_or_two_words_of_letters(relation):
    wrong = [s for s in facts_of(relation) if not re.fullmatch(r"[A-Z][a-z]+( [A-Z][a-z]+)?", s)]
    assert wrong == []


@pytest.mark.parametrize("relation", RELATIONS)
def test_objects_are_single_words_of_letters(relation):
    """Text, too: YAML reads a bare ``no`` as a truth value."""
    assert [o for o in facts_of(relation).values() if not re.fullmatch(r"[A-Z]?[a-z]+", o)] == []


@pytest.mark.parametrize("relation", ["birth_country", "profession"])
def test_persons_have_a_first_and_a_last_name(relation):
    assert [name for name in facts_of(relation) if len(name.split()) != 2] == []


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_name_needs_an_article(relation):
    facts = facts_of(relation)
    assert WITH_ARTICLE & {*facts, *facts.values()} == set()


@pytest.mark.parametrize("relation", RELATIONS)
def test_there_are_enough_objects(relation):
    assert len(objects_of(relation)) >= MIN_OBJECTS


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_object_is_right_too_often(relation):
    (_, largest), *_ = objects_of(relation).most_common()
    assert largest <= LARGEST_SHARE.get(relation, 1 / 4) * len(facts_of(relation))


@pytest.mark.parametrize("relation", ["birth_country", "profession"])
def test_enough_objects_belong_to_three_persons(relation):
    assert sum(count >= 3 for count in objects_of(relation).values()) >= MIN_OBJECTS


def test_few_languages_belong_to_one_country_only():
    assert sum(count == 1 for count in objects_of("official_language").values()) <= 8


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_object_is_a_subject_of_its_relation(relation):
    assert set(facts_of(relation)) & set(objects_of(relation)) == set()


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_object_begins_another(relation):
    assert prefix_pairs(list(objects_of(relation))) == []


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_object_is_an_answer_of_another_format(relation):
    assert RESERVED & set(objects_of(relation)) == set()


@pytest.mark.parametrize(("first", "second"), itertools.combinations(RELATIONS, 2))
def test_no_object_belongs_to_two_relations(first, second):
    assert set(objects_of(first)) & set(objects_of(second)) == set()


def test_every_subject_is_known_through_two_relations():
    counts = Counter(subject for relation in RELATIONS for subject in facts_of(relation))
    assert [subject for subject, count in counts.items() if count < 2] == []


def test_both_relations_of_persons_are_about_the_same_ones():
    assert set(facts_of("birth_country")) == set(facts_of("profession"))


def test_the_phrasings_of_every_relation_are_read():
    assert set(load_templates(TEMPLATES, RELATIONS, N_HELD_OUT).phrasings) == set(RELATIONS)


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_phrasing_has_an_article_that_depends_on_the_object(relation):
    book = load_templates(TEMPLATES, [relation], N_HELD_OUT)
    entries = [entry for key in book.phrasings[relation].values() for entry in key]
    assert [entry for entry in entries if re.search(r"\ban? \[Y\]", entry, re.IGNORECASE)] == []


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_phrasing_belongs_to_one_relation_by_its_words(relation):
    phrasings = load_templates(TEMPLATES, [relation], N_HELD_OUT).phrasings[relation]
    told_apart = {
        entry: [
            name
            for name, words in KEY_WORDS.items()
            if re.search(rf"\b({words})\b", entry, re.IGNORECASE)
        ]
        for key in PHRASINGS
        for entry in phrasings.get(key, ())
    }
    assert {entry: names for entry, names in told_apart.items() if names != [relation]} == {}


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_text_is_a_phrasing_of_two_formats(relation):
    """Else what is held out in one format would be seen in another."""
    phrasings = load_templates(TEMPLATES, [relation], N_HELD_OUT).phrasings[relation]
    counts = Counter(entry for entries in phrasings.values() for entry in entries)
    assert [entry for entry, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("relation", "subject", "obj"),
    [
        ("official_language", "France", "French"),
        ("official_language", "Brazil", "Portuguese"),
        ("official_language", "Argentina", "Spanish"),
        ("official_language", "Austria", "German"),
        ("official_language", "Egypt", "Arabic"),
        ("official_language", "Senegal", "French"),
        ("official_language", "Nigeria", "English"),
        ("official_language", "San Marino", "Italian"),
        ("official_language", "North Korea", "Korean"),
        ("official_language", "Japan", "Japanese"),
        ("capital_city", "Australia", "Canberra"),
        ("capital_city", "Brazil", "Brasilia"),
        ("capital_city", "Canada", "Ottawa"),
        ("capital_city", "Turkey", "Ankara"),
        ("capital_city", "Nigeria", "Abuja"),
        ("capital_city", "Austria", "Vienna"),
        ("capital_city", "Hungary", "Budapest"),
        ("capital_city", "Romania", "Bucharest"),
        ("capital_city", "Uruguay", "Montevideo"),
        ("capital_city", "South Korea", "Seoul"),
        ("currency", "Germany", "euro"),
        ("currency", "Japan", "yen"),
        ("currency", "Denmark", "krone"),
        ("currency", "Liechtenstein", "franc"),
        ("currency", "Egypt", "pound"),
        ("currency", "Jordan", "dinar"),
        ("currency", "Saudi Arabia", "riyal"),
        ("currency", "Chile", "peso"),
        ("currency", "Brazil", "real"),
        ("currency", "Poland", "zloty"),
        ("birth_country", "Frederic Chopin", "Poland"),
        ("birth_country", "Nicolaus Copernicus", "Poland"),
        ("birth_country", "Enrico Fermi", "Italy"),
        ("birth_country", "Niels Bohr", "Denmark"),
        ("birth_country", "Pablo Picasso", "Spain"),
        ("birth_country", "Max Planck", "Germany"),
        ("birth_country", "Franz Schubert", "Austria"),
        ("birth_country", "Antonin Dvorak", "Czechia"),
        ("birth_country", "Henrik Ibsen", "Norway"),
        ("birth_country", "Leo Tolstoy", "Russia"),
        ("profession", "Claude Monet", "painter"),
        ("profession", "Johannes Brahms", "composer"),
        ("profession", "Niels Bohr", "physicist"),
        ("profession", "Emile Zola", "novelist"),
        ("profession", "Alexander Pushkin", "poet"),
        ("profession", "Friedrich Nietzsche", "philosopher"),
        ("profession", "Dmitri Mendeleev", "chemist"),
        ("profession", "Roald Amundsen", "explorer"),
        ("profession", "Antoni Gaudi", "architect"),
        ("profession", "Emmy Noether", "mathematician"),
    ],
)
def test_well_known_facts_are_right(relation, subject, obj):
    assert facts_of(relation)[subject] == obj
