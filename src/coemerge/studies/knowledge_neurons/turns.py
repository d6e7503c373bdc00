"""What takes turns, where not everything is taken."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

One = TypeVar("One")


def in_turns(lists: Iterable[Sequence[One]]) -> list[One]:
    """The first of each, then the second of each that has one, and so on."""
    missing: Any = object()
    rounds = zip_longest(*lists, fillvalue=missing)
    return [one for row in rounds for one in row if one is not missing]


def grouped(ones: Iterable[One], key: Callable[[One], Hashable]) -> list[list[One]]:
    """By key, in the order they come."""
    of: dict[Hashable, list[One]] = {}
    for one in ones:
        of.setdefault(key(one), []).append(one)
    return list(of.values())
