"""Whatever a file holds, a reader either reads it or says which file is wrong, and where."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coemerge.worlds.public import PublicWorldConfig
from coemerge.worlds.readers import READERS
from coemerge.worlds.readers.records import Reading
from tests.properties import attempted, gone_wrong, often, put, values
from tests.worlds.readers.support import (
    FACTS,
    edit,
    known,
    pair,
    passage,
    relation,
    row,
    table,
)

# Sound records of each set, and how a file of them is written.
SOUND: dict[str, list[Any]] = {
    "pararel": [*FACTS, *FACTS],
    "lre": [relation()],
    "counterfact": [edit(1), edit(2, subject="Suneth", target_true={"str": "Amel"})],
    "popqa": [row(), row(subj="Bea Vorn", obj="Amel")],
    "known_facts": [known(), known(subject="Suneth", attribute="Amel")],
    "fictional_knowledge": [passage(), passage("Amel fell in 3013.")],
    "blimp": [pair("The dog runs.", "The dog run."), pair("Dogs run.", "Dogs runs.", UID="b")],
}
SUFFIX = {"pararel": "jsonl", "blimp": "jsonl", "popqa": "tsv"}


def text_of(name: str, records: Any) -> str:
    """As the set would write them."""
    if name == "popqa" and isinstance(records, list):
        cells = [{str(k): str(v) for k, v in r.items()} for r in records if isinstance(r, dict)]
        return table(*cells) if cells and cells[0] else str(records)
    if SUFFIX.get(name) == "jsonl" and isinstance(records, list):
        return "".join(json.dumps(record) + "\n" for record in records)
    if name == "lre" and isinstance(records, list) and len(records) == 1:
        return json.dumps(records[0])
    return json.dumps(records)


def read_or_told(name: str, path: Path) -> Reading | None:
    return attempted(lambda: READERS[name](path), path)


def usable_or_told(name: str, path: Path) -> None:
    """As a world, too: what was read makes a world of sound facts, or is refused in words."""
    world = attempted(PublicWorldConfig(format=name, path=str(path)).build, path)
    for fact in world.facts if world else ():
        assert fact.subject
        assert fact.object
        assert fact.subject != fact.object


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("any")


@pytest.mark.parametrize("name", READERS)
def test_sound_records_are_read(folder: Path, name: str):
    found = read_or_told(
        name, put(folder, f"x.{SUFFIX.get(name, 'json')}", text_of(name, SOUND[name]))
    )

    assert found
    assert found.triples


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@often
def test_records_gone_wrong_are_read_or_told(folder: Path, name: str, data):
    text = text_of(name, data.draw(gone_wrong(SOUND[name])))
    path = put(folder, f"x.{SUFFIX.get(name, 'json')}", text)

    if read_or_told(name, path):
        usable_or_told(name, path)


@pytest.mark.parametrize("name", READERS)
@given(content=st.binary(max_size=40) | values().map(lambda v: json.dumps(v).encode()))
@often
def test_any_bytes_are_read_or_told(folder: Path, name: str, content: bytes):
    read_or_told(name, put(folder, f"y.{SUFFIX.get(name, 'json')}", content))


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@often
def test_text_that_was_cut_or_doubled_is_read_or_told(folder: Path, name: str, data):
    text = text_of(name, SOUND[name])
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    changed = data.draw(st.sampled_from([text[:stop], text[start:], text[:stop] + text[start:]]))

    read_or_told(name, put(folder, f"z.{SUFFIX.get(name, 'json')}", changed))
