"""Tables that grow with a run: one part per step, joined at the end, cut back on resume."""

import os

import pytest

from coemerge.tables import parts
from coemerge.tables.parts import PartedTable
from coemerge.tables.store import read_metadata


def columns(step: int, *facts: str) -> dict:
    n = len(facts)
    return {
        "step": [step] * n,
        "fact_id": list(facts),
        "task": ["mcqa"] * n,
        "template_id": [0] * n,
        "form": ["direct"] * n,
        "n_documents": [step] * n,
    }


@pytest.fixture
def parted(tmp_path) -> PartedTable:
    """Rows of the steps 1, 2, 5 and 10."""
    table = PartedTable(tmp_path, "exposure", {"run_id": "r"})
    for step in (1, 2, 5, 10):
        table.add(step, columns(step, "a", "b"))
    return table


def steps(table: PartedTable) -> list[int]:
    return table.read()["step"].to_pylist()


def test_parts_are_read_in_order_of_steps(tmp_path):
    table = PartedTable(tmp_path, "exposure", {})
    for step in (10, 2, 100_000_000, 1):
        table.add(step, columns(step, "a"))
    assert steps(table) == [1, 2, 10, 100_000_000]


def test_a_table_without_rows_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        PartedTable(tmp_path, "exposure", {}).read()


def test_a_step_done_again_replaces_its_rows(parted):
    parted.add(5, columns(5, "c"))
    assert parted.read()["fact_id"].to_pylist().count("c") == 1
    assert steps(parted) == [1, 1, 2, 2, 5, 10, 10]


def test_joining_keeps_the_rows(parted):
    before = parted.read()
    parted.join()
    assert parted.read().equals(before)


def test_joining_leaves_one_file(parted, tmp_path):
    parted.join()
    assert os.listdir(tmp_path) == ["exposure.parquet"]


def test_joining_twice_is_the_same_as_once(parted, tmp_path):
    parted.join()
    before = (tmp_path / "exposure.parquet").read_bytes()
    parted.join()
    assert (tmp_path / "exposure.parquet").read_bytes() == before


def test_joining_nothing_makes_no_file(tmp_path):
    PartedTable(tmp_path, "exposure", {}).join()
    assert os.listdir(tmp_path) == []


def test_the_joined_table_carries_its_provenance(parted):
    parted.join()
    assert read_metadata(parted.read())["run_id"] == "r"


def test_dropping_forgets_later_steps_alone(parted):
    parted.drop_after(2)
    assert steps(parted) == [1, 1, 2, 2]


def test_dropping_after_joining_keeps_the_earlier_rows(parted):
    parted.join()
    parted.drop_after(5)
    assert steps(parted) == [1, 1, 2, 2, 5, 5]


def test_a_resumed_table_equals_an_uninterrupted_one(parted, tmp_path):
    whole = parted.read()
    parted.join()
    parted.drop_after(2)
    for step in (5, 10):
        parted.add(step, columns(step, "a", "b"))
    parted.join()
    assert parted.read().equals(whole)


def test_after_a_join_the_resumed_step_can_be_done_again(parted):
    """A callback may repeat the step that a run resumes from; the history must survive it."""
    whole = parted.read()
    parted.join()
    parted.drop_after(5)
    parted.add(5, columns(5, "a", "b"))
    parted.add(10, columns(10, "a", "b"))
    assert parted.read().equals(whole)


def test_after_a_join_rows_can_be_dropped_twice(parted):
    """Killed again before the next resume state, a run may go back further."""
    parted.join()
    parted.drop_after(5)
    parted.drop_after(2)
    assert steps(parted) == [1, 1, 2, 2]


def test_a_kill_between_joining_and_removing_the_parts_loses_nothing(parted, monkeypatch):
    whole = parted.read()

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("coemerge.tables.parts.os.rename", killed)
    with pytest.raises(KeyboardInterrupt):
        parted.join()
    monkeypatch.undo()
    assert parted.read().equals(whole)
    parted.join()
    assert parted.read().equals(whole)


def test_dropping_after_such_a_kill_cuts_all_the_same(parted, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("coemerge.tables.parts.os.rename", killed)
    with pytest.raises(KeyboardInterrupt):
        parted.join()
    monkeypatch.undo()
    parted.drop_after(2)
    assert steps(parted) == [1, 1, 2, 2]


@pytest.mark.parametrize("n_written", [0, 1, 2, 3, 4])
def test_a_kill_while_a_joined_table_becomes_parts_again_loses_nothing(
    parted, monkeypatch, n_written
):
    parted.join()
    left = [n_written]

    def killed_at(function):
        def write(*arguments):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            function(*arguments)

        return write

    monkeypatch.setattr(parts, "save_table", killed_at(parts.save_table))
    monkeypatch.setattr(parts.os, "rename", killed_at(os.rename))
    with pytest.raises(KeyboardInterrupt):
        parted.drop_after(5)
    monkeypatch.undo()
    parted.drop_after(5)
    assert steps(parted) == [1, 1, 2, 2, 5, 5]


def test_dropping_from_an_empty_table_does_nothing(tmp_path):
    PartedTable(tmp_path, "exposure", {}).drop_after(3)
    assert os.listdir(tmp_path) == []
