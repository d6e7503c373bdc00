"""ParaRel: facts and patterns from two folders, by relation."""

import re

import pytest

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.pararel import read
from coemerge.worlds.readers.records import RelationInfo, Triple
from tests.worlds.readers import notes, parts, real, without, write, write_lines

FACTS = [
    {"sub_label": "Velmar", "obj_label": "Ostra", "uuid": "1"},
    {"sub_label": "New Kell", "obj_label": "Port  Sind", "uuid": "2"},
]
PATTERNS = [
    {"pattern": "The capital of [X] is [Y] .", "lemma": "capital", "extended_lemma": "capital-of"},
    {"pattern": "[Y] is the capital of [X].", "lemma": "capital", "extended_lemma": "capital-of"},
]
LAYOUTS = [("facts", "patterns"), ("trex_lms_vocab", "graphs_json")]
layouts = pytest.mark.parametrize(("facts", "patterns"), LAYOUTS)


def data_set(folder, facts="facts", patterns="patterns", records=FACTS, wordings=PATTERNS):
    """P36 in one of the layouts."""
    write_lines(folder / facts / "P36.jsonl", records)
    write_lines(folder / patterns / "P36.jsonl", wordings)
    return folder


@layouts
def test_facts_are_read_from_either_layout(tmp_path, facts, patterns):
    reading = read(data_set(tmp_path, facts, patterns))
    assert parts(reading.triples) == [("P36", "Velmar", "Ostra"), ("P36", "New Kell", "Port Sind")]


@layouts
def test_patterns_are_read_from_either_layout(tmp_path, facts, patterns):
    reading = read(data_set(tmp_path, facts, patterns))
    statements = ("The capital of [X] is [Y].", "[Y] is the capital of [X].")
    assert reading.wordings == {"P36": Wordings(statements)}


@layouts
def test_the_patterns_of_a_single_file_are_found_beside_it(tmp_path, facts, patterns):
    folder = data_set(tmp_path, facts, patterns)
    assert read(folder / facts / "P36.jsonl") == read(folder)


def test_a_single_file_leaves_other_relations_out(tmp_path):
    data_set(tmp_path)
    write_lines(tmp_path / "facts" / "P37.jsonl", FACTS)
    assert set(read(tmp_path / "facts" / "P36.jsonl").relations) == {"P36"}


def test_a_file_of_facts_alone_has_no_wordings(tmp_path):
    reading = read(write_lines(tmp_path / "here" / "facts" / "P36.jsonl", FACTS))
    assert (len(reading.triples), reading.wordings) == (2, {})


def test_a_triple_says_where_it_stands(tmp_path):
    reading = read(data_set(tmp_path))
    where = f"{tmp_path / 'facts' / 'P36.jsonl'}:2"
    assert reading.triples[1] == Triple("P36", "New Kell", "Port Sind", where)


def test_a_relation_is_named_after_most_of_its_patterns(tmp_path):
    more = [*PATTERNS, {"pattern": "[X], whose seat is [Y].", "extended_lemma": "seat"}]
    reading = read(data_set(tmp_path, wordings=more))
    assert reading.relations == {"P36": RelationInfo("capital of")}


def test_a_relation_without_patterns_is_named_by_its_id(tmp_path):
    reading = read(write_lines(tmp_path / "P36.jsonl", FACTS))
    assert reading.relations == {"P36": RelationInfo("P36")}


def test_all_formats_make_sense(tmp_path):
    assert read(data_set(tmp_path)).formats == {}


def test_a_sound_data_set_has_nothing_to_note(tmp_path):
    assert notes(read(data_set(tmp_path))) == {}


def test_patterns_without_both_slots_are_passed_over_and_counted(tmp_path):
    more = [*PATTERNS, {"pattern": "[X] has a capital."}, {"pattern": "[X], [X], [Y]."}]
    reading = read(data_set(tmp_path, wordings=more))
    assert len(reading.wordings["P36"].statements) == 2
    assert notes(reading) == {"patterns without [X] and [Y] once each": 2}


def test_patterns_that_are_the_same_but_for_spaces_are_kept_once(tmp_path):
    more = [*PATTERNS, {"pattern": "The capital  of [X] is [Y]."}]
    reading = read(data_set(tmp_path, wordings=more))
    assert len(reading.wordings["P36"].statements) == 2
    assert notes(reading) == {"duplicate patterns": 1}


@pytest.mark.parametrize("name", ["sub_label", "obj_label"])
def test_facts_without_a_name_are_passed_over_and_counted(tmp_path, name):
    reading = read(data_set(tmp_path, records=[*FACTS, {**FACTS[0], name: " "}]))
    assert len(reading.triples) == 2
    assert notes(reading) == {"facts without a subject or object": 1}


def test_patterns_of_a_relation_without_facts_are_counted(tmp_path):
    data_set(tmp_path)
    write_lines(tmp_path / "patterns" / "P37.jsonl", PATTERNS)
    reading = read(tmp_path)
    assert set(reading.wordings) == {"P36"}
    assert notes(reading) == {"pattern files without facts": 1}


def test_files_of_something_else_are_counted(tmp_path):
    data_set(tmp_path)
    write_lines(tmp_path / "facts" / "vocabulary.jsonl", [{"word": "x"}])
    assert notes(read(tmp_path)) == {"files that hold neither facts nor patterns": 1}


def test_a_byte_order_mark_and_blank_lines_are_accepted(tmp_path):
    write(
        tmp_path / "facts" / "P36.jsonl",
        '\ufeff\n{"sub_label": "Velmar", "obj_label": "Ostra"}\n\n',
    )
    assert parts(read(tmp_path).triples) == [("P36", "Velmar", "Ostra")]


def test_malformed_json_on_line_2_is_refused_there(tmp_path):
    path = data_set(tmp_path) / "facts" / "P36.jsonl"
    write(path, '{"sub_label": "Velmar", "obj_label": "Ostra"}\n{"sub_label": \n')
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}:2: not a JSON object"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["sub_label", "obj_label"])
def test_a_missing_field_is_refused_by_its_line(tmp_path, name):
    data_set(tmp_path, records=[FACTS[0], without(FACTS[1], name)])
    with pytest.raises(ValueError, match=rf"facts/P36\.jsonl:2: '{name}' is missing"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["sub_label", "obj_label"])
def test_a_name_that_is_no_text_is_refused_by_its_line(tmp_path, name):
    data_set(tmp_path, records=[FACTS[0], {**FACTS[1], name: 7}])
    with pytest.raises(ValueError, match=rf"P36\.jsonl:2: '{name}' must be text, found int"):
        read(tmp_path)


def test_a_missing_pattern_is_refused_by_its_line(tmp_path):
    data_set(tmp_path, wordings=[PATTERNS[0], without(PATTERNS[1], "pattern")])
    with pytest.raises(ValueError, match=r"patterns/P36\.jsonl:2: 'pattern' is missing"):
        read(tmp_path)


def test_a_pattern_that_is_no_text_is_refused_by_its_line(tmp_path):
    data_set(tmp_path, wordings=[PATTERNS[0], {"pattern": ["[X] is [Y]."]}])
    with pytest.raises(ValueError, match=r"patterns/P36\.jsonl:2: 'pattern' must be text"):
        read(tmp_path)


def test_a_file_of_something_else_is_refused_with_the_layouts(tmp_path):
    path = write_lines(tmp_path / "x" / "pairs.jsonl", [{"sentence_good": "a"}])
    with pytest.raises(ValueError, match=r"pairs\.jsonl:1: neither.*facts/P36\.jsonl"):
        read(path)


def test_the_real_files_are_read():
    reading = read(real("pararel"))
    assert {t.relation_id for t in reading.triples} == {"P36", "P37", "P101", "P106", "P1376"}
    assert len(reading.triples) == 2942
    assert len(reading.wordings["P37"].statements) == 9
    assert reading.relations["P36"].name == "capital of"
    assert notes(reading) == {}
