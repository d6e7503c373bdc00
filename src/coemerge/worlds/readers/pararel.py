"""ParaRel: facts of Wikidata relations, and many wordings of each relation.

Elazar et al. (2021), "Measuring and Improving Consistency in Pretrained Language Models"; its facts
come from the T-REx part of LAMA (Petroni et al., 2019). One JSON-lines file per relation, named by
the relation's id: patterns in one folder, facts in another, whatever the folders are called.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from coemerge.inputs import check_inside, files_below
from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import (
    add_triple,
    json_line_values,
    json_lines,
    list_files,
)
from coemerge.worlds.readers.records import Reading, RelationInfo
from coemerge.worlds.readers.wordings import distinct, is_statement, safe_id

LAYOUT = (
    'JSON lines with "sub_label" and "obj_label" (facts) or "pattern" (patterns), '
    "one file per relation"
)
_MARKS = {"facts": "sub_label", "patterns": "pattern"}
# Where a folder has these, others are copies: the whole of T-REx may lie beside the part in use.
_FOLDERS = {"facts": ("facts", "trex_lms_vocab"), "patterns": ("patterns", "graphs_json")}
_AROUND = re.compile(r"^(?:(?:'s|is|are|the) )+|(?: (?:is|are))+$")


def read(path: Path) -> Reading:
    """A folder of patterns and facts, or a single file of either kind.

    Raises FileNotFoundError, or ValueError naming file and line.
    """
    reading = Reading()
    by_kind = _files(path, reading.notes)
    for file in by_kind["facts"]:
        name = safe_id(file.stem, str(file))
        for record in json_lines(file, LAYOUT):
            subject, obj = record.text("sub_label"), record.text("obj_label")
            add_triple(reading, name, subject, obj, record.where)
        reading.relations[name] = RelationInfo(name)
    groups: dict[str, list[Path]] = {}
    for file in by_kind["patterns"]:
        groups.setdefault(safe_id(file.stem, str(file)), []).append(file)
    for name, files in groups.items():
        _read_patterns(name, files, reading)
    reading.notes += Counter()  # drops what was counted zero times
    return reading


def _files(path: Path, notes: Counter[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {"facts": [], "patterns": []}
    for file in list_files(path, ".jsonl", LAYOUT):
        kind = _kind(file)
        if kind:
            found[kind].append(file)
    if not any(found.values()):
        raise ValueError(f"{path}: neither facts nor patterns; expected {LAYOUT}")
    if path.is_file():
        return {kind: files or _siblings(path, kind) for kind, files in found.items()}
    for kind, files in found.items():
        named = [file for file in files if file.parent.name in _FOLDERS[kind]]
        found[kind] = named or files
    ignored = len(files_below(path)) - sum(len(files) for files in found.values())
    notes["files ignored: neither facts nor patterns in use"] = ignored
    return found


def _kind(file: Path) -> str | None:
    """The folder's name may be any; the first record tells."""
    _, first = next(json_line_values(file, LAYOUT))
    if not isinstance(first, dict):
        return None
    return next((kind for kind, mark in _MARKS.items() if mark in first), None)


def _siblings(file: Path, kind: str) -> list[Path]:
    """The other half of a relation of which one file was named, if it lies in a folder nearby."""
    around = file.absolute().parent.parent
    nested = [p for name in _FOLDERS[kind] for p in around.glob(f"*/{name}/{file.name}")]
    found = sorted([*around.glob(f"*/{file.name}"), *nested])
    return [path for path in found if _is(path, kind, around)]


def _is(file: Path, kind: str, around: Path) -> bool:
    """Nobody named this file, so that it may be anything."""
    try:
        check_inside(file, around)
        return file.is_file() and _kind(file) == kind
    except ValueError:
        return False


def companions(file: Path) -> list[Path]:
    """The files that are read because of one that was named."""
    return [p for found in _files(file, Counter()).values() for p in found if p != file]


def _read_patterns(name: str, files: Iterable[Path], reading: Reading) -> None:
    statements, lemmas = [], Counter[str]()
    for record in (record for file in files for record in json_lines(file, LAYOUT)):
        given = record.text("pattern")
        pattern = re.sub(r"\s+\.$", ".", given)
        reading.notes["patterns with a space before the final period (removed)"] += pattern != given
        if is_statement(pattern, reading.notes):
            statements.append(pattern)
            lemma = record.text("extended_lemma", "") or record.text("lemma", "")
            lemmas[_AROUND.sub("", lemma.replace("-", " "))] += 1
    if name not in reading.relations:
        reading.notes["pattern files without facts"] += 1
    del lemmas[""]
    human = lemmas.most_common(1)[0][0] if lemmas else name
    reading.relations[name] = RelationInfo(human)
    reading.wordings[name] = Wordings(distinct(statements, reading.notes))
