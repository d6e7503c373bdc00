"""A table that was changed on disk is not read."""

import pyarrow.parquet as pq
import pytest

from coemerge.tables.seal import check_tables
from coemerge.tables.store import make_table, read_table, save_table, write_table


@pytest.fixture
def table():
    columns = {
        "step": list(range(40)),
        "fact_id": ["birthplace:ann"] * 40,
        "task": ["mcqa", "fitb"] * 20,
        "template_id": [0, 1, 2, 3] * 10,
        "form": ["direct"] * 40,
        "n_documents": list(range(0, 80, 2)),
    }
    return make_table("exposure", columns, {"run_id": "r"})


def test_a_flipped_bit_in_any_byte_is_noticed_or_changes_nothing(tmp_path, table):
    path = tmp_path / "exposure.parquet"
    save_table(path, table)
    whole = path.read_bytes()
    unnoticed = []
    for place in range(len(whole)):
        path.write_bytes(flipped(whole, place))
        try:
            found = read_table(path)
        except ValueError:
            continue
        assert found.equals(table, check_metadata=True)
        unnoticed.append(place)
    assert len(unnoticed) < 10, "those of the name of the hash, which changes no value"


def test_without_the_seal_flips_go_unnoticed(tmp_path, table):
    """The test above can fail: parquet by itself reads other values."""
    path = tmp_path / "exposure.parquet"
    save_table(path, table, sealed=False)
    whole = path.read_bytes()
    wrong = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(flipped(whole, place))
        try:
            wrong += not read_table(path).equals(table)
        except Exception:
            continue
    assert wrong > 10


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_table_that_was_cut_off_is_named(tmp_path, table, size):
    path = tmp_path / "exposure.parquet"
    save_table(path, table)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"exposure\.parquet cannot be read"):
        read_table(path)


def test_other_readers_read_a_sealed_table(tmp_path, table):
    path = tmp_path / "exposure.parquet"
    save_table(path, table)
    assert pq.read_table(path).equals(table)
    assert read_table(path).schema.metadata == table.schema.metadata


def test_a_table_can_be_read_and_written_again(tmp_path, table):
    """The seal is not taken for a part of what was read."""
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    save_table(first, table)
    save_table(second, read_table(first))
    assert second.read_bytes() == first.read_bytes()


def test_all_tables_below_a_directory_are_checked(tmp_path, table):
    for name in ("tables/exposure", "results/study/exposure"):
        save_table(tmp_path / f"{name}.parquet", table)
    check_tables(tmp_path)
    damaged = tmp_path / "results" / "study" / "exposure.parquet"
    damaged.write_bytes(flipped(damaged.read_bytes(), 200))
    with pytest.raises(ValueError, match=r"results/study/exposure\.parquet is not as it was"):
        check_tables(tmp_path)


def test_an_empty_table_is_sealed_too(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_table(path, "exposure", {name: [] for name in table.schema.names})
    path.write_bytes(flipped(path.read_bytes(), 10))
    with pytest.raises(ValueError, match=r"t\.parquet"):
        read_table(path)


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1 << place % 8
    return bytes(changed)
