"""Are the real files read whole? They are no part of the project: skipped where absent."""

from collections import Counter
from pathlib import Path

import pytest

from coemerge.worlds.readers import READERS
from coemerge.worlds.readers.records import Reading
from tests.worlds.readers.support import real


def lines(folder: Path, pattern: str) -> int:
    texts = (path.read_text(encoding="utf-8") for path in folder.glob(pattern))
    return sum(bool(line.strip()) for text in texts for line in text.split("\n"))


def check(reading: Reading) -> None:
    """What holds for every set."""
    for triple in reading.triples:
        assert triple.subject == triple.subject.strip() != ""
        assert triple.object == triple.object.strip() != ""
        assert "\\u" not in triple.subject + triple.object
        assert triple.relation_id in reading.relations
    for found in reading.wordings.values():
        assert all(s.count("[X]") == s.count("[Y]") == 1 for s in found.statements)
    assert all(n > 0 for n in reading.notes.values())


def test_pararel():
    folder = real("pararel")
    reading = READERS["pararel"](folder)
    check(reading)
    assert len(reading.triples) == lines(folder, "facts/*.jsonl")
    assert sum(len(w.statements) for w in reading.wordings.values()) == lines(
        folder, "patterns/*.jsonl"
    )
    for path in (folder / "facts").glob("*.jsonl"):
        alone = READERS["pararel"](path)
        assert alone.wordings == {path.stem: reading.wordings[path.stem]}
        assert alone.relations == {path.stem: reading.relations[path.stem]}


def test_lre():
    folder = real("lre")
    reading = READERS["lre"](folder)
    check(reading)
    assert set(reading.relations) == {path.stem for path in folder.glob("*.json")}
    assert all(info.domain != "subject" for info in reading.relations.values())
    assert all(len(w.statements) >= 2 for w in reading.wordings.values())


def test_blimp():
    folder = real("blimp")
    reading = READERS["blimp"](folder)
    check(reading)
    assert len(reading.pairs) == lines(folder, "*.jsonl")
    by_set = {p.phenomenon: set() for p in reading.pairs}
    for pair in reading.pairs:
        by_set[pair.phenomenon].add(pair.cue_follows)
    if "determiner_noun_agreement_2" in by_set:
        assert by_set["determiner_noun_agreement_2"] == {True}
    for name, count in Counter(t.relation_id for t in reading.triples).items():
        assert count == sum(p.phenomenon == name for p in reading.pairs)
        assert by_set[name] == {False}


@pytest.mark.parametrize("name", ["counterfact", "popqa", "known_facts", "fictional_knowledge"])
def test_sets_that_are_larger(name):
    check(READERS[name](real(name)))
