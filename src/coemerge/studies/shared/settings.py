"""Checks that settings of studies share; free of heavy imports."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from coemerge.prompts.tasks import get_task


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


def check_given(config: Any, lists: Iterable[str] = (), mappings: Iterable[str] = ()) -> None:
    """Raises ValueError for lists that are null, and for mappings that are none."""
    for name in lists:
        if getattr(config, name) is None:
            raise ValueError(f"study.{name}: give a list, not null")
    for name in mappings:
        if not isinstance(getattr(config, name), Mapping):
            raise ValueError(f"study.{name}: give keys and values, or {{}} for the usual ones")


def check_not_empty(config: Any, names: Iterable[str]) -> None:
    """Raises ValueError for lists of what is studied that name nothing."""
    for name in names:
        if getattr(config, name) is not None and not getattr(config, name):
            raise ValueError(f"study.{name}: the list is empty; name some, or null for all")


def check_between_0_and_1(config: Any, names: Iterable[str]) -> None:
    """Both excluded. Raises ValueError."""
    for name in names:
        value = getattr(config, name)
        if not is_number(value) or not 0 < value < 1:
            raise ValueError(f"study.{name}: must be between 0 and 1, got {value!r}")


def check_asks_object(config: Any) -> None:
    """Raises ValueError for a ``task`` that there is not, or that asks for something else."""
    try:
        asks = get_task(str(config.task)).asks
    except ValueError as error:
        raise ValueError(f"study.task: {error}") from error
    if asks != "object":
        raise ValueError(f"study.task: {config.task} does not ask for the object, as completion")


def check_text(config: Any) -> None:
    """Raises ValueError where ``text`` is neither null nor a file."""
    if config.text is not None and not Path(str(config.text)).is_file():
        raise ValueError(f"study.text: there is no file {config.text}")
