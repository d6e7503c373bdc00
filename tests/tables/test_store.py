"""Parquet in and out: checked, typed, atomic, with provenance."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coemerge.tables.records import SCHEMA_VERSION
from coemerge.tables.store import (
    make_table,
    read_metadata,
    read_table,
    save_table,
    table_schema,
    write_table,
    write_table_parts,
)

TABLE = "training"


@pytest.fixture
def columns() -> dict:
    return {
        "step": [1, 2],
        "tokens_seen": [100, 200],
        "loss": [2.5, float("nan")],
        "lr": [0.1, 0.2],
        "grad_norm": [1.0, 1.5],
        "tokens_per_s": [10.0, 20.0],
    }


@pytest.fixture
def exposure() -> dict:
    """A table whose key has text columns."""
    return {
        "step": np.array([1, 1]),
        "fact_id": ["a", "b"],
        "task": ["mcqa", "mcqa"],
        "template_id": np.array([0, 1], dtype=np.int16),
        "form": ["direct", "cot"],
        "n_documents": np.array([4, 5], dtype=np.int64),
    }


def test_values_come_back(tmp_path, exposure):
    write_table(tmp_path / "t.parquet", "exposure", exposure)
    expected = {name: list(values) for name, values in exposure.items()}
    assert read_table(tmp_path / "t.parquet").to_pydict() == expected


def test_lists_come_back(tmp_path, smoke_dataset):
    save_table(tmp_path / "p.parquet", smoke_dataset.prompts)
    assert read_table(tmp_path / "p.parquet").equals(smoke_dataset.prompts)


def test_columns_have_the_documented_types_whatever_came_in(exposure):
    assert make_table("exposure", exposure).schema.types == table_schema("exposure").types


def test_columns_are_in_the_documented_order(exposure):
    reversed_columns = dict(reversed(exposure.items()))
    assert make_table("exposure", reversed_columns).schema.names == list(exposure)


def test_a_measurement_may_be_missing(columns):
    assert np.isnan(make_table(TABLE, columns)["loss"].to_pylist()[1])


def test_an_unknown_column_is_refused_by_name(columns):
    with pytest.raises(ValueError, match=r"'training': unknown columns \['los'\]"):
        make_table(TABLE, {**columns, "los": [1.0, 2.0]})


def test_a_missing_column_is_refused_by_name(columns):
    del columns["lr"]
    with pytest.raises(ValueError, match=r"missing columns \['lr'\]"):
        make_table(TABLE, columns)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_number_in_a_key_is_refused(columns, value):
    columns["step"] = [1, value]
    with pytest.raises(ValueError, match=r"step|nan"):
        make_table(TABLE, columns)


def test_a_nan_array_as_key_is_refused(columns):
    columns["step"] = np.array([1.0, np.nan])
    with pytest.raises(ValueError, match=r"step|nan"):
        make_table(TABLE, columns)


def test_a_missing_text_in_a_key_is_refused_by_column(exposure):
    exposure["fact_id"] = ["a", None]
    with pytest.raises(ValueError, match="key column 'fact_id'"):
        make_table("exposure", exposure)


def test_a_nan_in_place_of_a_text_key_is_refused(exposure):
    exposure["fact_id"] = np.array(["a", float("nan")], dtype=object)
    with pytest.raises(ValueError, match="fact_id"):
        make_table("exposure", exposure)


def test_columns_of_different_lengths_are_refused(columns):
    columns["lr"] = [0.1]
    with pytest.raises(ValueError, match=r"lr|length"):
        make_table(TABLE, columns)


def test_an_empty_table_can_be_written(tmp_path, exposure):
    write_table(tmp_path / "t.parquet", "exposure", {name: [] for name in exposure})
    assert read_table(tmp_path / "t.parquet").num_rows == 0


def test_provenance_and_schema_version_come_back(tmp_path, columns):
    write_table(tmp_path / "t.parquet", TABLE, columns, {"run_id": "r"})
    metadata = read_metadata(read_table(tmp_path / "t.parquet"))
    assert metadata == {"table": TABLE, "schema_version": SCHEMA_VERSION, "run_id": "r"}


def test_a_table_of_a_newer_schema_is_refused(tmp_path, columns):
    table = make_table(TABLE, columns, {"schema_version": SCHEMA_VERSION + 1})
    save_table(tmp_path / "t.parquet", table)
    with pytest.raises(ValueError, match=rf"schema version {SCHEMA_VERSION + 1} is not supported"):
        read_table(tmp_path / "t.parquet")


def test_a_foreign_table_is_refused(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet: schema version None"):
        read_table(tmp_path / "t.parquet")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.parquet: no such table"):
        read_table(tmp_path / "t.parquet")


def test_writing_leaves_no_temporary_file(tmp_path, columns):
    write_table(tmp_path / "t.parquet", TABLE, columns)
    assert os.listdir(tmp_path) == ["t.parquet"]


def test_a_write_that_fails_keeps_the_older_table(tmp_path, columns, monkeypatch):
    path = tmp_path / "t.parquet"
    write_table(path, TABLE, columns)
    before = path.read_bytes()

    def half_written(writer, table):
        raise OSError("disk full")

    monkeypatch.setattr("coemerge.tables.store.pq.ParquetWriter.write_table", half_written)
    with pytest.raises(OSError, match=r"t\.parquet could not be written: disk full"):
        write_table(path, TABLE, columns)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["t.parquet"]


def test_the_same_rows_give_the_same_bytes(tmp_path, columns):
    for name in ("a", "b"):
        write_table(tmp_path / name, TABLE, columns, {"run_id": "r"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def parts_of(columns: dict, *bounds: int) -> list[dict]:
    stops = [*bounds, len(columns["step"])]
    return [
        {name: values[start:stop] for name, values in columns.items()}
        for start, stop in zip([0, *bounds], stops, strict=True)
    ]


@pytest.mark.parametrize("bounds", [(), (1,), (0, 1, 2)], ids=len)
def test_a_table_in_parts_equals_one_written_at_once(tmp_path, exposure, bounds):
    provenance = {"fingerprint": "c0ffee"}
    write_table(tmp_path / "whole.parquet", "exposure", exposure, provenance)
    parts = parts_of(exposure, *bounds)
    write_table_parts(tmp_path / "parts.parquet", "exposure", iter(parts), provenance)
    whole, joined = (read_table(tmp_path / f"{name}.parquet") for name in ("whole", "parts"))
    assert joined.equals(whole, check_metadata=True)
    assert joined.schema.metadata == whole.schema.metadata
    assert read_metadata(joined)["fingerprint"] == "c0ffee"


def test_lists_come_back_from_parts(tmp_path, smoke_dataset):
    prompts = smoke_dataset.prompts.slice(0, 50)
    parts = [prompts.slice(start, 20) for start in (0, 20, 40)]
    columns = [{name: part[name].to_pylist() for name in part.column_names} for part in parts]
    write_table_parts(tmp_path / "p.parquet", "prompts", columns)
    assert read_table(tmp_path / "p.parquet").equals(prompts)


def test_no_parts_make_an_empty_table(tmp_path):
    write_table_parts(tmp_path / "t.parquet", "exposure", [])
    table = read_table(tmp_path / "t.parquet")
    assert (len(table), table.schema.names) == (0, table_schema("exposure").names)


def test_memory_holds_one_part_at_a_time(tmp_path, exposure):
    write_table_parts(tmp_path / "t.parquet", "exposure", parts_of(exposure, 1))
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 2


def test_a_part_that_cannot_be_made_keeps_the_older_table(tmp_path, exposure):
    path = tmp_path / "t.parquet"
    write_table(path, "exposure", exposure)
    before = path.read_bytes()

    def failing():
        yield exposure
        raise RuntimeError("out of facts")

    with pytest.raises(RuntimeError, match="out of facts"):
        write_table_parts(path, "exposure", failing())
    assert path.read_bytes() == before


def test_parts_are_checked_as_whole_tables_are(tmp_path, exposure):
    with pytest.raises(ValueError, match="missing columns"):
        write_table_parts(tmp_path / "t.parquet", "exposure", [exposure, {"step": [3]}])
