"""Parquet in and out: schemas from the records, atomic writes, provenance in the metadata.

A table is sealed with a hash of its own bytes, so that one that was changed is not read. The files
of a data set are not: its manifest has their hashes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from coemerge.files import replacing
from coemerge.tables.records import RECORDS, SCHEMA_VERSION
from coemerge.tables.seal import BLANK, KEY, seal, unsealed

_TYPES: dict[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
    list[int]: pa.list_(pa.int32()),
    list[str]: pa.list_(pa.string()),
}
Columns = Mapping[str, Sequence[Any] | np.ndarray | pa.Array]


def table_schema(name: str) -> pa.Schema:
    return pa.schema([(f.name, _TYPES[f.type]) for f in fields(RECORDS[name])])


def make_table(
    name: str, columns: Columns, provenance: Mapping[str, Any] | None = None
) -> pa.Table:
    """A checked table. Raises ValueError on unknown or missing columns and on missing keys."""
    schema = table_schema(name)
    if set(columns) != set(schema.names):
        unknown, missing = set(columns) - set(schema.names), set(schema.names) - set(columns)
        raise ValueError(
            f"table {name!r}: unknown columns {sorted(unknown)}, missing columns {sorted(missing)}"
        )
    table = pa.table([_column(name, column, columns[column.name]) for column in schema], schema)
    for spec in fields(RECORDS[name]):
        if spec.metadata["key"] and _has_gaps(table[spec.name]):
            raise ValueError(f"table {name!r}: key column {spec.name!r} has missing or NaN values")
    metadata = {"table": name, "schema_version": SCHEMA_VERSION, **(provenance or {})}
    return table.replace_schema_metadata({"coemerge": json.dumps(metadata, sort_keys=True)})


def write_table(
    path: Path,
    name: str,
    columns: Columns,
    provenance: Mapping[str, Any] | None = None,
    sealed: bool = True,
) -> None:
    """Writes beside the target, then renames: a reader never sees half a file."""
    save_table(path, make_table(name, columns, provenance), sealed)


def write_table_parts(
    path: Path, name: str, parts: Iterable[Columns], provenance: Mapping[str, Any] | None = None
) -> None:
    """As ``write_table``, unsealed, one row group per part: memory holds one part at a time."""
    schema = make_table(name, {c: [] for c in table_schema(name).names}, provenance).schema
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for part in parts:
            writer.write_table(make_table(name, part, provenance))


def save_table(path: Path, table: pa.Table, sealed: bool = True) -> None:
    with replacing(path) as temporary:
        with pq.ParquetWriter(temporary, table.schema, compression="zstd") as writer:
            writer.write_table(table)
            if sealed:
                writer.add_key_value_metadata({KEY: BLANK})
        if sealed:
            seal(temporary)


def read_table(path: Path) -> pa.Table:
    """Reads a table that this package wrote. Raises ValueError for a foreign or newer file, and for
    one that was changed or cut off."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    table = pq.read_table(pa.BufferReader(unsealed(path)))
    metadata = read_metadata(table)
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: schema version {metadata.get('schema_version')} is not supported"
        )
    return table.replace_schema_metadata(
        {key: value for key, value in table.schema.metadata.items() if key != KEY.encode()}
    )


def read_metadata(table: pa.Table) -> dict[str, Any]:
    raw = (table.schema.metadata or {}).get(b"coemerge")
    return json.loads(raw) if raw else {}


def _column(table: str, column: pa.Field, values: Any) -> pa.ChunkedArray:
    try:
        return pa.table({column.name: values}, schema=pa.schema([column]))[0]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"table {table!r}: column {column.name!r}: {error}") from error


def _has_gaps(values: pa.ChunkedArray) -> bool:
    if values.null_count:
        return True
    return pa.types.is_floating(values.type) and bool(pc.any(pc.is_nan(values)).as_py())
