"""Small tables of a run that was never trained, written as a run writes them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from coemerge.tables.store import table_schema, write_table

Row = Mapping[str, Any]
Write = Callable[[str, Iterable[Row]], None]
# What a row holds unless it says otherwise.
_USUAL: dict[str, Any] = {
    "run_id": "made-up",
    "seed": 0,
    "step": 100,
    "tokens_seen": 1000,
    "fact_index": 0,
    "relation": "birthplace",
    "subject": "Ann",
    "object": "Rome",
    "detail": "",
    "root_id": "",
    "template_id": 7,
    "split": "held_out_templates",
    "options": "none",
    "n_prompts": 1,
    "n_rotations": 1,
    "p_first": 0.5,
    "p_full": 0.5,
    "nll": 0.7,
    "chance": 0.1,
    "score": 0.0,
    "accuracy": 0.0,
    "exposures": 0,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(table, rows)`` into ``tmp_path``; rows name only what matters."""

    def written(table: str, rows: Iterable[Row]) -> None:
        full = [{**_USUAL, **row} for row in rows]
        columns = {name: [row[name] for row in full] for name in table_schema(table).names}
        write_table(tmp_path / f"{table}.parquet", table, columns)

    return written


def pictures(directory: Path) -> dict[str, bytes]:
    """Name -> content of what was drawn."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*"))}
