"""What the readers' tests share: small files, and where the real data sets lie if they are there."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from coemerge.worlds.readers.records import Reading, Triple
from tests.conftest import ROOT

REAL = ROOT.parent / "shared" / "data"
Record = Mapping[str, Any]


def write(path: Path, text: str) -> Path:
    """The file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_lines(path: Path, records: Iterable[Record]) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


def write_json(path: Path, content: Any) -> Path:
    return write(path, json.dumps(content, indent=1))


def real(name: str) -> Path:
    """The folder of a real data set; skips the test where there is none."""
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"no {name} data here")
    return folder


def parts(triples: Iterable[Triple]) -> list[tuple[str, str, str]]:
    return [(t.relation_id, t.subject, t.object) for t in triples]


def notes(reading: Reading) -> dict[str, int]:
    """Those that count something."""
    return dict(+reading.notes)


def without(record: Record, name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}
