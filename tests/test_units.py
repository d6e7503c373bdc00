"""Processes that share units: nothing is made twice, nothing is lost with who was making it."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from coemerge.files import write_text
from coemerge.units import NothingLeft, alone, share, working

FORK = multiprocessing.get_context("fork")


def paths_in(folder: Path, n: int) -> list[Path]:
    return [folder / "units" / f"{i}.txt" for i in range(n)]


def made_by(folder: Path) -> dict[str, list[str]]:
    """Unit -> who began to make it."""
    began: dict[str, list[str]] = {}
    for path in folder.glob("began-*"):
        _, unit, who = path.name.split("-")
        began.setdefault(unit, []).append(who)
    return began


def work(folder: Path, n: int, shard: int | None, seconds: float = 0.0) -> tuple[int, int]:
    def make(i: int) -> None:
        (folder / f"began-{i}-{os.getpid()}.{threading.get_ident()}").touch()
        time.sleep(seconds)
        write_text(paths_in(folder, n)[i], str(i))

    with working(shard) as worker:
        share(paths_in(folder, n), make)
    return worker.made, worker.n_units


def started(*arguments) -> multiprocessing.Process:
    process = FORK.Process(target=work, args=arguments)
    process.start()
    return process


def ended(*processes: multiprocessing.Process) -> list[int | None]:
    for process in processes:
        process.join(30)
    return [process.exitcode for process in processes]


def test_processes_make_every_unit_once_and_leave_nothing_beside_them(tmp_path):
    processes = [started(tmp_path, 12, shard, 0.02) for shard in range(3)]

    assert ended(*processes) == [0, 0, 0]
    began = made_by(tmp_path)
    assert sorted(began, key=int) == [str(i) for i in range(12)]
    assert all(len(who) == 1 for who in began.values())
    assert len({who[0] for who in began.values()}) > 1  # they did share
    assert sorted(tmp_path.joinpath("units").iterdir()) == sorted(paths_in(tmp_path, 12))


def test_threads_make_every_unit_once(tmp_path):
    threads = [threading.Thread(target=work, args=(tmp_path, 6, k, 0.02)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [len(who) for who in made_by(tmp_path).values()] == [1] * 6


def test_what_a_killed_process_was_making_is_made_by_another(tmp_path):
    holder = started(tmp_path, 1, 1, 60)
    while not made_by(tmp_path):
        time.sleep(0.01)
    other = started(tmp_path, 1, 2)
    time.sleep(0.5)
    assert other.is_alive(), "it takes a unit that is being made"

    os.kill(holder.pid, signal.SIGKILL)

    assert ended(holder, other) == [-signal.SIGKILL, 0]
    assert paths_in(tmp_path, 1)[0].read_text() == "0"


def test_what_could_not_be_made_is_left_and_the_others_stay(tmp_path):
    paths = paths_in(tmp_path, 3)

    def make(i: int) -> None:
        if i == 1:
            raise ValueError("unit 1")
        write_text(paths[i], "made")

    with pytest.raises(ValueError, match="unit 1"):
        share(paths, make)

    assert [path.is_file() for path in paths] == [True, False, False]
    assert work(tmp_path, 3, None) == (2, 3)


def test_units_that_are_there_are_not_made_and_alike_ones_made_once(tmp_path):
    assert work(tmp_path, 2, None) == (2, 2)
    made = []
    more = tmp_path / "units" / "more.txt"
    paths = [*paths_in(tmp_path, 2), more, more]

    def make(i: int) -> None:
        made.append(i)
        write_text(paths[i], "")

    share(paths, make)
    assert made == [2]


def test_the_bar_starts_with_what_is_there_and_is_shown_where_it_has_a_name(tmp_path, capsys):
    def asked(n: int, *bar: str) -> str:
        paths = paths_in(tmp_path, n)
        share(paths, lambda i: write_text(paths[i], ""), *bar)
        return capsys.readouterr().err

    assert asked(2) == ""
    lines = asked(5, "reading answers", "ckpt").split("\r")
    assert ("reading answers:  40%" in lines[1], "2/5" in lines[1]) == (True, True)
    assert ("5/5" in lines[-1], "ckpt" in lines[-1]) == (True, True)


def test_shards_start_with_different_units(tmp_path):
    first = []
    for shard in range(8):
        units = paths_in(tmp_path / str(shard), 40)
        order: list[int] = []

        def make(i: int, order: list[int] = order, units: list[Path] = units) -> None:
            order.append(i)
            write_text(units[i], "")

        with working(shard):
            share(units, make)
        assert sorted(order) == list(range(40))
        first.append(order[0])
    assert first[0] == 0
    assert len(set(first)) > 4


def test_what_is_not_shared_is_done_by_the_first_alone():
    alone("tables")
    for shard in (None, 0):
        with working(shard):
            alone("tables")
    with working(2), pytest.raises(NothingLeft, match="tables"):
        alone("tables")
    alone("tables")
