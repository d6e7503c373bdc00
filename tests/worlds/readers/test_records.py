"""Does every reader refuse bad input by file and place, and take what is harmless?"""

from collections.abc import Callable
from pathlib import Path

import pytest

from coemerge.worlds.readers import READERS
from coemerge.worlds.readers.records import Reading
from tests.worlds.readers.support import (
    FACTS,
    PATTERNS,
    edit,
    known,
    pair,
    passage,
    relation,
    row,
    table,
    write,
    write_json,
    write_lines,
)

LINES, LISTS = ("pararel", "blimp"), ("counterfact", "known_facts", "fictional_knowledge")
SUFFIX = {"popqa": "tsv"} | dict.fromkeys(LINES, "jsonl") | dict.fromkeys((*LISTS, "lre"), "json")
SAMPLES: dict[str, Callable[[Path], Path]] = {
    "pararel": lambda path: write_lines(path, *FACTS),
    "lre": lambda path: write_json(path, relation()),
    "counterfact": lambda path: write_json(path, [edit(), edit(8)]),
    "popqa": lambda path: write(path, table(row(), row(subj="Bo", question="Where is Bo from?"))),
    "known_facts": lambda path: write_json(path, [known(), known(subject="Suneth")]),
    "fictional_knowledge": lambda path: write_json(path, [passage(), passage("Bo fell.")]),
    "blimp": lambda path: write_lines(path, pair("Bo ran.", "Bo runned."), pair("A b.", "A c.")),
}
every_set = pytest.mark.parametrize("name", READERS)


def sample(name: str, folder: Path) -> Path:
    return SAMPLES[name](folder / f"P36.{SUFFIX[name]}")


def content(reading: Reading) -> list[tuple[str, str, str]]:
    return [(t.relation_id, t.subject, t.object) for t in reading.triples]


def refusal(name: str, path: Path) -> str:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        READERS[name](path)
    return str(refused.value)


def test_every_set_has_a_reader():
    assert set(READERS) == set(SAMPLES)


@every_set
def test_two_records_are_read_from_a_file_as_from_a_folder(name, tmp_path):
    path = sample(name, tmp_path / "data" / "inner")
    reading = READERS[name](path)
    assert len(reading.triples) >= 2
    assert all(t.subject and t.object for t in reading.triples)
    assert content(READERS[name](tmp_path / "data")) == content(reading)


@every_set
def test_each_triple_says_where_it_stands(name, tmp_path):
    path = sample(name, tmp_path / "a")
    places = [t.where for t in READERS[name](path).triples]
    assert all(place.startswith(f"{path}:") for place in places)
    first = {"popqa": "2", "pararel": "1", "blimp": "1"}.get(name, " record 1")
    assert places[0] == f"{path}:{first}"


@every_set
def test_every_relation_has_a_description_and_usable_wordings(name, tmp_path):
    reading = READERS[name](sample(name, tmp_path / "a"))
    for relation_id in {t.relation_id for t in reading.triples}:
        assert reading.relations[relation_id].name
        found = reading.wordings.get(relation_id)
        for statement in found.statements if found else ():
            assert statement.count("[X]") == statement.count("[Y]") == 1
        for question in found.questions if found else ():
            assert question.count("[X]") == 1
            assert "[Y]" not in question


@every_set
def test_a_missing_path(name, tmp_path):
    path = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError) as refused:
        READERS[name](path)
    assert str(refused.value) == f"{path}: no such file or folder"


@every_set
@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file(name, text, tmp_path):
    path = write(tmp_path / f"P1.{SUFFIX[name]}", text)
    message = refusal(name, path)
    assert str(path) in message
    assert "empty" in message


@every_set
def test_a_folder_without_a_file_of_the_set(name, tmp_path):
    write(tmp_path / "empty" / "README.md", "nothing here")
    message = refusal(name, tmp_path / "empty")
    assert str(tmp_path / "empty") in message
    assert "expected" in message


@every_set
def test_bytes_that_are_not_utf8(name, tmp_path):
    path = sample(name, tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"e", b"\xe9"))
    assert str(path) in refusal(name, path)


@every_set
def test_a_byte_order_mark_and_foreign_line_ends_are_fine(name, tmp_path):
    path = sample(name, tmp_path / "a")
    before = content(READERS[name](path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert content(READERS[name](path)) == before


@every_set
def test_hidden_files_of_a_folder_are_left_alone(name, tmp_path):
    path = sample(name, tmp_path / "data")
    before = content(READERS[name](tmp_path / "data"))
    path.with_name(f"._{path.name}").write_bytes(b"\x00\xff")
    assert content(READERS[name](tmp_path / "data")) == before


@pytest.mark.parametrize("name", LINES)
def test_blank_lines_are_skipped_but_counted_as_lines(name, tmp_path):
    path = sample(name, tmp_path / "a")
    write(path, "\n \n" + path.read_text().replace("\n", "\n\n"))
    assert [t.where for t in READERS[name](path).triples][:2] == [f"{path}:3", f"{path}:5"]


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("line", ['{"sub_label": ', "[1]", "null", '"text"', "[" * 99999])
def test_a_bad_line_is_named(name, line, tmp_path):
    path = sample(name, tmp_path / "a")
    path.write_text(path.read_text() + line + "\n")
    assert refusal(name, path).startswith(f"{path}:3: ")


@pytest.mark.parametrize("name", [*LISTS, "lre"])
def test_json_that_does_not_parse_is_named_by_line(name, tmp_path):
    path = sample(name, tmp_path / "a")
    lines = path.read_text().splitlines()
    lines[2] = lines[2] + " oops"
    assert f"{path}:3" in refusal(name, write(path, "\n".join(lines)))


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("item", [1, None, "text", []])
def test_a_bad_record_of_a_list_is_named_by_number(name, item, tmp_path):
    good = {"counterfact": edit(), "known_facts": known(), "fictional_knowledge": passage()}[name]
    path = write_json(tmp_path / "a.json", [good, item])
    assert refusal(name, path).startswith(f"{path}: record 2: ")


@pytest.mark.parametrize("name", [*LISTS, "lre"])
@pytest.mark.parametrize("value", [1, None, "text", []])
def test_another_kind_of_json_file(name, value, tmp_path):
    path = write_json(tmp_path / "a.json", value)
    assert str(path) in refusal(name, path)


REQUIRED = [
    ("pararel", lambda p, **c: write_lines(p, FACTS[0], FACTS[1] | c), "obj_label", ":2:"),
    ("pararel", lambda p, **c: write_lines(p, PATTERNS[1], PATTERNS[0] | c), "pattern", ":2:"),
    ("lre", lambda p, **c: write_json(p, relation(**c)), "samples", ":"),
    ("counterfact", lambda p, **c: write_json(p, [edit(), edit(**c)]), "subject", ": record 2:"),
    ("counterfact", lambda p, **c: write_json(p, [edit(**c)]), "target_true", ": record 1:"),
    ("counterfact", lambda p, **c: write_json(p, [edit(**c)]), "relation_id", ": record 1:"),
    ("known_facts", lambda p, **c: write_json(p, [known(**c)]), "attribute", ": record 1:"),
    ("known_facts", lambda p, **c: write_json(p, [known(**c)]), "template", ": record 1:"),
    ("fictional_knowledge", lambda p, **c: write_json(p, [passage() | c]), "train_context", ":"),
    ("blimp", lambda p, **c: write_lines(p, pair("A b.", "A c.") | c), "sentence_bad", ":1:"),
]


@pytest.mark.parametrize("value", [None, 5, True])
@pytest.mark.parametrize(("name", "make", "field", "place"), REQUIRED)
def test_a_required_field_is_named(name, make, field, place, value, tmp_path):
    path = make(tmp_path / "a" / f"P1.{SUFFIX[name]}", **{field: value})
    message = refusal(name, path)
    assert message.startswith(f"{path}{place}")
    assert field in message


def test_half_a_character_is_refused(tmp_path):
    path = write_lines(tmp_path / "a" / "P1.jsonl", FACTS[0] | {"obj_label": "\ud800"})
    assert refusal("pararel", path).startswith(f"{path}:1: ")


def test_separators_of_unicode_do_not_end_a_line(tmp_path):
    text = '{"sub_label": "Or\u2028vania", "obj_label": "Te\x85lk"}\n'
    reading = READERS["pararel"](write(tmp_path / "a" / "P1.jsonl", text))
    assert [t.subject for t in reading.triples] == ["Or\u2028vania"]


@every_set
def test_white_space_around_labels_is_dropped(name, tmp_path):
    makers = {
        "pararel": lambda p: write_lines(p, {"sub_label": " Bo ", "obj_label": "Telk\t"}),
        "lre": lambda p: write_json(p, relation(samples=[{"subject": " Bo", "object": "Telk "}])),
        "counterfact": lambda p: write_json(p, [edit(subject=" Bo", target_true={"str": " Telk"})]),
        "popqa": lambda p: write(p, table(row(subj=" Bo ", obj="Telk ", question="Who is Bo?"))),
        "known_facts": lambda p: write_json(p, [known(subject="Bo ", attribute=" Telk")]),
        "fictional_knowledge": lambda p: write_json(
            p, [passage(mem_input=["Bo "], mem_target=[" Telk"])]
        ),
        "blimp": lambda p: write_lines(p, pair(" Bo Telk. ", "Bo Tork.", one_prefix_method=True)),
    }
    reading = READERS[name](makers[name](tmp_path / "a" / f"P1.{SUFFIX[name]}"))
    assert (reading.triples[0].subject, reading.triples[0].object) == ("Bo", "Telk")


@pytest.mark.parametrize("name", [n for n in READERS if n != "blimp"])
@pytest.mark.parametrize("blank", ["", "  "])
def test_empty_labels_are_counted_and_passed_over(name, blank, tmp_path):
    makers = {
        "pararel": lambda p: write_lines(p, FACTS[0], {"sub_label": "Bo", "obj_label": blank}),
        "lre": lambda p: write_json(p, relation(samples=[{"subject": blank, "object": "Telk"}])),
        "counterfact": lambda p: write_json(p, [edit(subject=blank)]),
        "popqa": lambda p: write(p, table(row(subj=blank))),
        "known_facts": lambda p: write_json(p, [known(attribute=blank)]),
        "fictional_knowledge": lambda p: write_json(
            p, [passage(mem_input=["Bo is", "It rules"], mem_target=[blank, "Telk"])]
        ),
    }
    reading = READERS[name](makers[name](tmp_path / "a" / f"P1.{SUFFIX[name]}"))
    assert all(t.subject.strip() and t.object.strip() for t in reading.triples)
    assert sum(reading.notes.values()) >= 1
