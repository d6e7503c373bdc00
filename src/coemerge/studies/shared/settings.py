"""Checks that settings of studies share; free of heavy imports."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard


def check_lists(config: Any, names: Iterable[str]) -> None:
    """Raises ValueError where one is neither null nor a list of different values."""
    for name in names:
        values = getattr(config, name)
        if values is None:
            continue
        if not isinstance(values, list | tuple):
            raise ValueError(f"study.{name}: give a list, such as [{values}]")
        if any(isinstance(value, list | tuple | Mapping) for value in values):
            raise ValueError(f"study.{name}: takes a plain list, got {values}")
        if len(set(values)) < len(values):
            raise ValueError(f"study.{name}: {list(values)} names one twice")


def check_whole_numbers(config: Any, least: dict[str, int], optional: Iterable[str] = ()) -> None:
    """``least``: name -> smallest value; of ``optional`` ones null is allowed too. Raises
    ValueError."""
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is None and name in optional:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"study.{name}: must be a whole number, got {value!r}")
        if value < lowest:
            raise ValueError(f"study.{name}: must be at least {lowest}, got {value}")


def check_pairs(config: Any, name: str) -> None:
    """Raises ValueError unless it is a list of pairs (tokens, how many)."""
    pairs = getattr(config, name)
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs]:
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2
        if not is_pair or not all(type(n) is int and n > 0 for n in pair):
            raise ValueError(f"study.{name}: takes pairs [tokens, how many], got {pair!r}")


def is_number(value: Any) -> TypeGuard[float]:
    """Finite: NaN passes every comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
