"""``analyze.py -m shard=0,1,2``: several processes share one analysis through the files that its
units of work are kept in (``units``)."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from coemerge.units import NothingLeft, working

T = TypeVar("T")


@contextmanager
def as_shard(shard: int | None) -> Iterator[None]:
    """What is within ends for all but the first where nothing is left to be shared; every shard
    says what it made."""
    started = time.perf_counter()
    with working(shard) as worker:
        try:
            yield
            rest = "and wrote the results"
        except NothingLeft as left:
            rest = f"shard 0 goes on with {left} and writes the results"
        if shard is not None:
            joined = " " if shard == 0 else "; "
            seconds = time.perf_counter() - started
            sys.stdout.write(
                f"shard {shard}: made {worker.made} of {worker.n_units} units "
                f"({worker.seconds:.0f} of {seconds:.0f} s){joined}{rest}\n"
            )


def of_each(studied: Callable[..., T], *sources: Iterable) -> list[T]:
    """``studied`` of every source. A process that leaves one to the first goes on with the next
    before it leaves."""
    found: list[T] = []
    left: NothingLeft | None = None
    for arguments in zip(*sources, strict=True):
        try:
            found.append(studied(*arguments))
        except NothingLeft as reason:
            left = reason
    if left:
        raise left
    return found
