"""Editors, what is tried of each, and where they edit, as settings of studies; free of heavy
imports."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from itertools import product
from typing import Any, Protocol

from coemerge.localization.tracing_config import TracingConfig
from coemerge.studies.shared.settings import is_number

VALUE_KEYS = ("lr", "steps", "kl_weight", "weight_decay", "max_norm", "stop_loss")
KEYS = {  # what a grid may name, by editor
    "rome": VALUE_KEYS,
    "memit": (*VALUE_KEYS, "weight"),
    "ft": ("lr", "steps", "stop_loss"),
    "ft_l": ("lr", "steps", "stop_loss", "max_change"),
    "kn": ("tau", "erased", "written"),
}
_ABOVE_0 = {  # by editor, those of its keys that 0 makes no sense for
    **dict.fromkeys(KEYS, ("lr", "max_norm", "max_change", "weight")),
    **dict.fromkeys(("ft", "ft_l"), ("lr", "max_change", "stop_loss")),
}
Setting = Mapping[str, Any]  # numbers
Grid = Mapping[str, Any]  # of each key one value, or a list of those to be tried
Grids = Mapping[str, Sequence[Grid]]  # by editor


class Edits(Protocol):
    """Settings of a study, as far as they say what is edited, and with what."""

    @property
    def editors(self) -> Sequence[str]: ...

    @property
    def grids(self) -> Grids: ...

    @property
    def layers(self) -> Sequence[int] | None: ...

    @property
    def edited_token(self) -> str: ...


def combinations(grids: Grids, editor: str) -> list[dict[str, Any]]:
    """Settings to be tried: every combination of the values of each set, as published if there is
    none."""
    tried: list[dict[str, Any]] = []
    for grid in grids.get(editor) or [{}]:
        lists = [value if _is_list(value) else [value] for value in grid.values()]
        tried += [dict(zip(grid, values, strict=True)) for values in product(*lists)]
    return tried


def check_editors(config: Edits, editors: Sequence[str]) -> None:
    """``editors``: those that there are. Raises ValueError naming the key."""
    for name in (*config.editors, *config.grids):
        if name not in editors:
            raise ValueError(f"study.editors, study.grids: {name!r} is not one of {editors}")
    if not config.editors:
        raise ValueError(f"study.editors: name some of {', '.join(editors)}")
    for editor, grids in config.grids.items():
        if not _is_list(grids) or not all(isinstance(grid, Mapping) for grid in grids):
            raise ValueError(f"study.grids.{editor}: give a list of sets of values: [{{...}}]")
        for grid in grids:
            _check_grid(editor, grid)
        tried = combinations(config.grids, editor)
        if again := [one for place, one in enumerate(tried) if one in tried[:place]]:
            raise ValueError(f"study.grids.{editor}: {again[0] or '{}'} is there twice")
    for layer in config.layers if config.layers is not None else (0,):
        if not isinstance(layer, int) or isinstance(layer, bool) or layer < 0:
            raise ValueError(f"study.layers: must be layers from 0, got {layer!r}")
    if config.layers is not None and not config.layers:
        raise ValueError("study.layers: name one layer at least, or null for causal tracing")


def check_tracing_keys(tracing: Mapping[str, Any]) -> None:
    """Raises ValueError for changes to what ``TracingConfig`` has not, or a study decides."""
    known = [f.name for f in fields(TracingConfig) if f.name != "corrupt"]
    for key in tracing:
        if key not in known:
            raise ValueError(f"unknown key study.tracing.{key}; known: {', '.join(known)}")


def check_edited_token(config: Edits, tokens: Collection[str], points: bool, why_not: str) -> None:
    """``tokens``: those that there are. ``points``: causal tracing tells a layer and a token;
    ``why_not``: the settings that leave it out. Raises ValueError naming the key."""
    if config.edited_token not in tuple(tokens):
        names = ", ".join(tokens)
        raise ValueError(f"study.edited_token: {config.edited_token!r} is not one of {names}")
    if points:
        return
    for key, value in (("layers", config.layers), ("edited_token", config.edited_token)):
        if value in (None, "traced"):
            raise ValueError(
                f"study.{key}: {value or 'null'} leaves the choice to causal tracing, which "
                f"restores MLPs under noise on the subject; {why_not} leave that out"
            )


def told(setting: Setting) -> str:
    """A setting in words."""
    return ", ".join(f"{key}={value:g}" for key, value in setting.items()) or "as published"


def _check_grid(editor: str, grid: Grid) -> None:
    for key, values in grid.items():
        where = f"study.grids.{editor}.{key}"
        if key not in KEYS[editor]:
            raise ValueError(f"unknown key {where}; known: {', '.join(KEYS[editor])}")
        for value in values if _is_list(values) else [values]:
            if not is_number(value) or value < 0:
                raise ValueError(f"{where}: must be a number, not negative, got {value!r}")
            if key == "steps" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{where}: must be a whole number of 1 or more, got {value!r}")
            if key in _ABOVE_0[editor] and value == 0:
                raise ValueError(f"{where}: must be above 0")
            if key == "tau" and value > 1:
                raise ValueError(f"{where}: a share of the largest, 1 at most, got {value!r}")
        if _is_list(values) and not values:
            raise ValueError(f"{where}: the list is empty; name a value or leave the key out")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
