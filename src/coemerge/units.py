"""Work cut into units, each kept in a file, that several processes share without talking.

Processes that run the same analysis each make whatever unit nobody has made or is making. A unit
in the making is locked; the system gives the lock back when its process dies, so that another one
takes the unit over. Results are the same however many processes there were, and merging is
reading.
"""

import fcntl
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

log = logging.getLogger(__name__)
_PAUSE = 0.2  # seconds between looks at units that others are making


@dataclass
class Worker:
    """This process among those that share an analysis. ``shard``: its number, None where it is
    alone; of the units it came across it has ``made`` some, in so many ``seconds``."""

    shard: int | None = None
    n_units: int = 0
    made: int = 0
    seconds: float = 0.0


class NothingLeft(Exception):
    """What follows is not shared: shard 0 does it."""


_WORKER: ContextVar[Worker | None] = ContextVar("worker", default=None)


@contextmanager
def working(shard: int | None) -> Iterator[Worker]:
    """Within, this process is one of several, and units are counted."""
    worker = Worker(shard)
    token = _WORKER.set(worker)
    try:
        yield worker
    finally:
        _WORKER.reset(token)


def share(
    paths: Sequence[Path], make: Callable[[int], None], desc: str | None = None, unit: str = "unit"
) -> None:
    """Returns when all files are there. ``make(i)`` writes ``paths[i]``, whole or not at all; it is
    called for files that are not there and that no other process is making. Those that others make
    are waited for, and made here if they die. What ``make`` raises is raised.

    ``desc``: what a bar of progress says, None for no bar. It starts with the files that are there;
    what other processes make is not counted as it is made."""
    worker = _WORKER.get() or Worker()
    index: dict[Path, int] = {}
    for i, path in enumerate(paths):
        index.setdefault(path, i)
    worker.n_units += len(index)
    there = sum(path.is_file() for path in index)
    with tqdm(total=len(index), initial=there, desc=desc, unit=unit, disable=desc is None) as bar:

        def counted(i: int) -> None:
            make(i)
            bar.update()

        _make_all(index, counted, worker)


def _make_all(index: Mapping[Path, int], make: Callable[[int], None], worker: Worker) -> None:
    """Of files, each with its number: makes, or waits for, all that are not there."""
    left = _in_turn(list(index), worker.shard)
    while True:
        held = [path for path in left if not _is_made(path, index[path], make, worker)]
        if not held:
            return
        if len(held) == len(left):
            time.sleep(_PAUSE)
        else:
            log.info("%d of %d units are left, others make them", len(held), len(index))
        left = held


def alone(what: str) -> None:
    """To be called before work that is not cut into units. Raises NothingLeft in all processes that
    share an analysis but the first, which would only repeat it."""
    worker = _WORKER.get()
    if worker and worker.shard:
        raise NothingLeft(what)


def _in_turn(paths: list[Path], shard: int | None) -> list[Path]:
    """Every shard starts elsewhere: fewer meet at one lock."""
    if not shard:
        return paths
    return sorted(paths, key=lambda path: hashlib.sha256(f"{shard} {path}".encode()).digest())


def _is_made(path: Path, i: int, make: Callable[[int], None], worker: Worker) -> bool:
    """False where another process is at it."""
    if path.is_file():
        return True
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not path.is_file():  # else it was made between the look and the lock
            started = time.perf_counter()
            make(i)
            worker.made += 1
            worker.seconds += time.perf_counter() - started
        lock.unlink(missing_ok=True)  # whoever holds or waits for it finds the file there
    return True
