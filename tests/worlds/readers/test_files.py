"""What readers share: fields, tables and names, each refused by its place."""

import re

import pytest

from coemerge.worlds.readers.files import Record, list_files, tsv_records
from coemerge.worlds.readers.wordings import safe_id, slug
from tests.worlds.readers.support import write


def rows_of(path, text, required=("a",)):
    return [r.values for r in tsv_records(write(path, text), required, "a table")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.tsv"


def test_files_in_folders_below_are_found_in_order(tmp_path):
    second = write(tmp_path / "b" / "x.json", "{}")
    first = write(tmp_path / "a" / "y.json", "{}")
    write(tmp_path / "a" / "y.md", "other")
    assert list_files(tmp_path, ".json", "JSON") == [first, second]


def test_a_folder_named_like_a_file_is_no_file(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(ValueError, match=r"no \.json file in this folder; expected a list"):
        list_files(tmp_path, ".json", "a list")


def test_a_file_stands_for_itself_whatever_its_suffix(tmp_path):
    path = write(tmp_path / "facts.txt", "x")
    assert list_files(path, ".json", "JSON") == [path]


def test_all_columns_that_are_missing_are_named(path):
    with pytest.raises(ValueError, match=r"x\.tsv:1: no column c, d"):
        rows_of(path, "a\tb\n1\t2\n", ("a", "c", "d"))


def test_a_row_comes_with_its_columns_and_line(path):
    write(path, "\ufeffa\tb\n\n1\t2\n")
    assert list(tsv_records(path, ("b",), "a table")) == [
        Record(f"{path}:3", {"a": "1", "b": "2"}),
    ]


def test_tabs_breaks_and_quotes_within_a_quoted_field_stay(path):
    assert rows_of(path, 'a\tb\n"x\ty\nz"\t"[""p""]"\n') == [{"a": "x\ty\nz", "b": '["p"]'}]


def test_a_quote_that_is_never_closed_is_refused_where_it_opens(path):
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}:3: not a row of a table"):
        rows_of(path, 'a\tb\n1\t2\n"open\t2\n' + "some\ttext\n" * 20_000)


def test_null_counts_as_absent():
    assert not Record("f:1", {"a": None}).has("a")
    assert Record("f:1", {"a": None}).texts("a") == ()
    assert Record("f:1", {"a": None}).text("a", "none") == "none"


def test_a_flag_is_true_or_false():
    assert Record("f:1", {"a": True}).flag("a") is True
    with pytest.raises(ValueError, match='f:1: "a" holds "no", expected true or false'):
        Record("f:1", {"a": "no"}).flag("a")


def test_a_field_of_a_part_is_named_with_the_part():
    with pytest.raises(ValueError, match=r'f:1: no "rewrite\.subject"'):
        Record("f:1", {"rewrite": {}}).part("rewrite").text("subject")


def test_a_long_value_is_quoted_in_part():
    with pytest.raises(ValueError, match=r'"a" holds \["x", .*\.\.\., expected text') as told:
        Record("f:1", {"a": ["x"] * 1000}).text("a")
    assert len(str(told.value)) < 120


@pytest.mark.parametrize(
    ("name", "relation_id"),
    [
        ("place of birth", "place_of_birth"),
        (" Country / Capital-city ", "country_capital_city"),
        ("caf\u00e9", "caf\u00e9"),
        ("P36", "p36"),
    ],
)
def test_a_name_becomes_a_key(name, relation_id):
    assert slug(name, "f:1") == relation_id


@pytest.mark.parametrize("make", [slug, safe_id])
@pytest.mark.parametrize("name", ["", "--", "/"])
def test_a_name_without_words_is_refused(make, name):
    with pytest.raises(ValueError, match=r"f:1: .* is no name of a relation"):
        make(name, "f:1")


@pytest.mark.parametrize(
    ("name", "relation_id"), [("P36", "P36"), ("../P36", "p36"), ("a b", "a_b")]
)
def test_an_id_stays_unless_it_could_be_no_file_name(name, relation_id):
    assert safe_id(name, "f:1") == relation_id
