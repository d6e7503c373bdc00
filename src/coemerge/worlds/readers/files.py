"""Records out of files, with where each stands; malformed ones are refused by file and line."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
SUBJECT, OBJECT = "[X]", "[Y]"


def files_under(path: Path, suffixes: tuple[str, ...], expected: str) -> list[Path]:
    """The file itself, or all files below a folder. Raises ValueError where there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such file or folder")
    found = sorted(p for p in path.rglob("*") if p.suffix in suffixes and p.is_file())
    if not found:
        raise ValueError(f"{path}: holds no {' or '.join(suffixes)} file; expected {expected}")
    return found


def json_lines(path: Path) -> Iterator[tuple[Record, str]]:
    """(record, file:line) of a file with one JSON object per line."""
    empty = True
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            empty = False
            where = f"{path}:{number}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{where}: not a JSON object: {error.msg}") from error
            yield _mapping(record, where), where
    if empty:
        raise ValueError(f"{path}: is empty; expected one JSON object per line")


def json_list(path: Path) -> Iterator[tuple[Record, str]]:
    """(record, "file: record n") of a file with a list of JSON objects."""
    content = json_document(path)
    if not isinstance(content, list):
        raise ValueError(f"{path}: expected a list of records, found {type(content).__name__}")
    if not content:
        raise ValueError(f"{path}: the list is empty")
    for number, record in enumerate(content, start=1):
        where = f"{path}: record {number}"
        yield _mapping(record, where), where


def json_document(path: Path) -> Any:
    text = _text(path)
    if not text.strip():
        raise ValueError(f"{path}: is empty; expected JSON")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error


def tsv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Record, str]]:
    """(row, file:line) of a table with a header that has at least ``columns``."""
    lines = _text(path).splitlines()
    reader = csv.reader(lines, delimiter="\t")
    header = next(reader, [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(f"{path}:1: the header lacks {', '.join(missing)}; found {header[:20]}")
    n_rows = 0
    for values in reader:
        if not values:
            continue
        n_rows += 1
        where = f"{path}:{reader.line_num}"
        if len(values) != len(header):
            raise ValueError(f"{where}: {len(values)} fields, but the header names {len(header)}")
        yield dict(zip(header, values, strict=True)), where
    if not n_rows:
        raise ValueError(f"{path}: holds a header and no rows")


def text_field(record: Record, name: str, where: str) -> str:
    """A field that must be text; white space at the ends is dropped."""
    value = _field(record, name, where)
    if not isinstance(value, str):
        raise ValueError(f"{where}: {name!r} must be text, found {type(value).__name__}")
    return " ".join(value.split())


def texts_field(record: Record, name: str, where: str) -> tuple[str, ...]:
    """An optional list of texts."""
    value = record.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{where}: {name!r} must be a list of texts")
    return tuple(value)


def mapping_field(record: Record, name: str, where: str) -> Record:
    return _mapping(_field(record, name, where), f"{where}: {name}")


def slug(name: str) -> str:
    """A relation id out of a name: ``place of birth`` -> ``place_of_birth``."""
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


def slots(text: str, with_object: bool) -> str | None:
    """A wording with ``{}`` as [X]; None unless it has each slot exactly once."""
    wording = " ".join(text.replace("{}", SUBJECT).split())
    wording = re.sub(r" \.$", ".", wording)
    fits = wording.count(SUBJECT) == 1 and wording.count(OBJECT) == int(with_object)
    return wording if fits else None


def _field(record: Record, name: str, where: str) -> Any:
    if name not in record:
        raise ValueError(f"{where}: {name!r} is missing; found {', '.join(map(str, record))}")
    return record[name]


def _mapping(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, found {type(value).__name__}")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason})") from error
