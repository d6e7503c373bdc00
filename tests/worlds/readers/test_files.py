"""Records out of files: what is accepted, and that what is not is named by file and line."""

import re

import pytest

from coemerge.worlds.readers import READERS
from coemerge.worlds.readers.files import (
    files_under,
    json_document,
    json_lines,
    json_list,
    mapping_field,
    slots,
    slug,
    text_field,
    texts_field,
    tsv_rows,
)
from tests.worlds.readers import write, write_json, write_lines

SUFFIXES = {
    "pararel": ".jsonl",
    "lre": ".json",
    "counterfact": ".json",
    "popqa": ".tsv",
    "known_facts": ".json",
    "fictional_knowledge": ".json",
    "blimp": ".jsonl",
}
BOM = "\ufeff"


def test_every_reader_is_tried_here():
    assert set(SUFFIXES) == set(READERS)


@pytest.mark.parametrize(("name", "suffix"), SUFFIXES.items())
def test_an_empty_file_is_refused_by_its_path(tmp_path, name, suffix):
    path = write(tmp_path / f"P36{suffix}", "")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        READERS[name](path)


@pytest.mark.parametrize(("name", "suffix"), SUFFIXES.items())
def test_a_file_of_white_space_is_refused_by_its_path(tmp_path, name, suffix):
    path = write(tmp_path / f"P36{suffix}", "\n \n\n")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        READERS[name](path)


@pytest.mark.parametrize(("name", "suffix"), SUFFIXES.items())
def test_a_file_that_is_not_utf_8_is_refused_by_its_path(tmp_path, name, suffix):
    path = tmp_path / f"P36{suffix}"
    path.write_bytes('{"subject": "Bras\u00edlia"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*UTF-8"):
        READERS[name](path)


@pytest.mark.parametrize(("name", "suffix"), SUFFIXES.items())
def test_a_folder_of_something_else_is_refused_with_what_was_expected(tmp_path, name, suffix):
    write(tmp_path / "notes.md", "hello")
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))}.*{re.escape(suffix)}"):
        READERS[name](tmp_path)


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_path_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="absent"):
        READERS[name](tmp_path / "absent")


def test_a_file_stands_for_itself_whatever_its_suffix(tmp_path):
    path = write(tmp_path / "facts.txt", "x")
    assert files_under(path, (".json",), "JSON") == [path]


def test_files_in_folders_below_are_found_in_order(tmp_path):
    second = write(tmp_path / "b" / "x.json", "{}")
    first = write(tmp_path / "a" / "y.json", "{}")
    write(tmp_path / "a" / "y.md", "other")
    assert files_under(tmp_path, (".json",), "JSON") == [first, second]


def test_a_folder_named_like_a_file_is_no_file(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(ValueError, match=r"holds no \.json file; expected a list"):
        files_under(tmp_path, (".json",), "a list")


def test_each_line_comes_with_its_number(tmp_path):
    path = write_lines(tmp_path / "x.jsonl", [{"a": 1}, {"a": 2}])
    assert list(json_lines(path)) == [({"a": 1}, f"{path}:1"), ({"a": 2}, f"{path}:2")]


def test_blank_lines_are_passed_over_and_still_counted(tmp_path):
    path = write(tmp_path / "x.jsonl", '{"a": 1}\n\n  \n{"a": 2}\n')
    assert [where for _, where in json_lines(path)] == [f"{path}:1", f"{path}:4"]


def test_line_ends_of_windows_are_accepted(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": "b"}\r\n{"a": "c"}\r\n')
    assert [record for record, _ in json_lines(path)] == [{"a": "b"}, {"a": "c"}]


@pytest.mark.parametrize("text", ["{broken", '{"a": 1} {"a": 2}', "[1"])
def test_malformed_json_on_line_2_is_refused_there(tmp_path, text):
    path = write(tmp_path / "x.jsonl", f'{{"a": 1}}\n{text}\n')
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}:2: not a JSON object"):
        list(json_lines(path))


@pytest.mark.parametrize(("text", "found"), [("[1]", "list"), ("1", "int"), ('"a"', "str")])
def test_a_line_that_is_no_object_is_refused_there(tmp_path, text, found):
    path = write(tmp_path / "x.jsonl", f'{{"a": 1}}\n{text}\n')
    with pytest.raises(ValueError, match=rf":2: expected an object, found {found}"):
        list(json_lines(path))


@pytest.mark.xfail(
    strict=True, reason="lines are split at every Unicode line separator, not only at \\n"
)
@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_line_separator_within_a_text_does_not_end_the_line(tmp_path, separator):
    path = write(tmp_path / "x.jsonl", f'{{"a": "b{separator}c"}}\n')
    assert [record for record, _ in json_lines(path)] == [{"a": f"b{separator}c"}]


def test_each_record_of_a_list_comes_with_its_number(tmp_path):
    path = write_json(tmp_path / "x.json", [{"a": 1}, {"a": 2}])
    assert list(json_list(path)) == [({"a": 1}, f"{path}: record 1"), ({"a": 2}, f"{path}: record 2")]


def test_a_record_that_is_no_object_is_refused_by_its_number(tmp_path):
    path = write_json(tmp_path / "x.json", [{"a": 1}, "b"])
    with pytest.raises(ValueError, match=r"x\.json: record 2: expected an object, found str"):
        list(json_list(path))


def test_an_object_in_place_of_a_list_is_refused(tmp_path):
    path = write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match=r"x\.json: expected a list of records, found dict"):
        list(json_list(path))


def test_an_empty_list_is_refused(tmp_path):
    path = write_json(tmp_path / "x.json", [])
    with pytest.raises(ValueError, match=r"x\.json: the list is empty"):
        list(json_list(path))


def test_malformed_json_in_a_list_is_refused_by_its_line(tmp_path):
    path = write(tmp_path / "x.json", '[\n{"a": 1},\n{"a" 2}\n]')
    with pytest.raises(ValueError, match=r"x\.json:3: not JSON"):
        json_document(path)


@pytest.mark.parametrize(
    "read",
    [
        lambda path: [record for record, _ in json_lines(path)],
        lambda path: [json_document(path)],
    ],
    ids=["lines", "document"],
)
def test_a_byte_order_mark_and_blank_lines_are_accepted(tmp_path, read):
    path = write(tmp_path / "x.json", f'{BOM}\n\n{{"a": 1}}\n\n')
    assert read(path) == [{"a": 1}]


def test_a_row_comes_with_its_columns_and_its_line(tmp_path):
    path = write(tmp_path / "x.tsv", "a\tb\n1\t2\n3\t4\n")
    rows = [({"a": "1", "b": "2"}, f"{path}:2"), ({"a": "3", "b": "4"}, f"{path}:3")]
    assert list(tsv_rows(path, ("a",))) == rows


def test_a_table_with_a_byte_order_mark_and_blank_lines_is_accepted(tmp_path):
    path = write(tmp_path / "x.tsv", f"{BOM}a\tb\n\n1\t2\n\n")
    assert list(tsv_rows(path, ("a", "b"))) == [({"a": "1", "b": "2"}, f"{path}:3")]


def test_columns_that_are_missing_are_all_named(tmp_path):
    path = write(tmp_path / "x.tsv", "a\tb\n1\t2\n")
    with pytest.raises(ValueError, match=r"x\.tsv:1: the header lacks c, d; found \['a', 'b'\]"):
        list(tsv_rows(path, ("a", "c", "d")))


def test_a_row_of_another_length_is_refused_by_its_line(tmp_path):
    path = write(tmp_path / "x.tsv", "a\tb\n1\t2\n3\n")
    with pytest.raises(ValueError, match=r"x\.tsv:3: 1 fields, but the header names 2"):
        list(tsv_rows(path, ("a",)))


def test_a_header_without_rows_is_refused(tmp_path):
    path = write(tmp_path / "x.tsv", "a\tb\n")
    with pytest.raises(ValueError, match=r"x\.tsv: holds a header and no rows"):
        list(tsv_rows(path, ("a",)))


def test_quoted_cells_are_read_as_what_they_say(tmp_path):
    path = write(tmp_path / "x.tsv", 'a\tb\n"[""p""]"\t"x\ty"\n')
    assert [row for row, _ in tsv_rows(path, ("a",))] == [{"a": '["p"]', "b": "x\ty"}]


@pytest.mark.xfail(strict=True, reason="the lines of a quoted cell are joined without a break")
def test_a_line_break_within_a_quoted_cell_stays_a_break(tmp_path):
    path = write(tmp_path / "x.tsv", 'a\tb\n"New\nYork"\t2\n')
    assert [row["a"].split() for row, _ in tsv_rows(path, ("a",))] == [["New", "York"]]


@pytest.mark.xfail(strict=True, reason="csv.Error is not told as a ValueError with file and line")
def test_a_quote_that_is_never_closed_is_refused_by_its_line(tmp_path):
    path = write(tmp_path / "x.tsv", 'a\tb\n"open\t2\n' + "some\ttext\n" * 20_000)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}:\d+"):
        list(tsv_rows(path, ("a",)))


def test_white_space_in_a_text_is_made_plain():
    assert text_field({"a": "  New \n York\t"}, "a", "f:1") == "New York"


def test_a_field_that_is_missing_is_refused_with_those_there():
    with pytest.raises(ValueError, match="f:1: 'a' is missing; found b, c"):
        text_field({"b": 1, "c": 2}, "a", "f:1")


@pytest.mark.parametrize(("value", "kind"), [(1, "int"), (None, "NoneType"), (["x"], "list")])
def test_a_field_that_is_no_text_is_refused(value, kind):
    with pytest.raises(ValueError, match=f"f:1: 'a' must be text, found {kind}"):
        text_field({"a": value}, "a", "f:1")


@pytest.mark.parametrize("record", [{}, {"a": None}, {"a": []}])
def test_a_list_that_is_missing_is_empty(record):
    assert texts_field(record, "a", "f:1") == ()


@pytest.mark.parametrize("value", ["x", ["x", 1], {"x": "y"}])
def test_a_list_of_anything_but_texts_is_refused(value):
    with pytest.raises(ValueError, match="f:1: 'a' must be a list of texts"):
        texts_field({"a": value}, "a", "f:1")


@pytest.mark.parametrize("value", ["x", ["x"], 1])
def test_a_field_that_is_no_object_is_refused(value):
    with pytest.raises(ValueError, match="f:1: a: expected an object"):
        mapping_field({"a": value}, "a", "f:1")


@pytest.mark.parametrize(
    ("text", "with_object", "wording"),
    [
        ("{} is in [Y].", True, "[X] is in [Y]."),
        ("[X] is in [Y] .", True, "[X] is in [Y]."),
        ("  [X]  is \n in [Y].", True, "[X] is in [Y]."),
        ("Where is {}?", False, "Where is [X]?"),
        ("Where is {}?", True, None),
        ("{} is in [Y].", False, None),
        ("{} is {} in [Y].", True, None),
        ("Nothing is in [Y].", True, None),
        ("{} is in [Y] or [Y].", True, None),
        ("{} and [X] are in [Y].", True, None),
    ],
)
def test_a_wording_needs_each_slot_once(text, with_object, wording):
    assert slots(text, with_object) == wording


@pytest.mark.parametrize(
    ("name", "relation_id"),
    [
        ("place of birth", "place_of_birth"),
        (" Country / Capital city ", "country_capital_city"),
        ("P36", "p36"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_a_name_becomes_a_relation_id(name, relation_id):
    assert slug(name) == relation_id
