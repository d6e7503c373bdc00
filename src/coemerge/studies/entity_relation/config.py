"""Settings of the study of the two sides of a fact; free of heavy imports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

from coemerge.localization.tracing_config import TracingConfig
from coemerge.prompts.tasks import get_task
from coemerge.studies.shared.settings import check_lists, check_pairs, check_whole_numbers

EDITED_TOKENS = {"traced": ("last", "first"), "last": ("last",), "first": ("first",)}
EDITORS = ("rome", "memit", "ft", "ft_l", "kn")
VALUE_KEYS = ("lr", "steps", "kl_weight", "weight_decay", "max_norm", "stop_loss")
KEYS = {  # what a grid may name, by editor
    "rome": VALUE_KEYS,
    "memit": (*VALUE_KEYS, "weight"),
    "ft": ("lr", "steps", "stop_loss"),
    "ft_l": ("lr", "steps", "stop_loss", "max_change"),
    "kn": ("tau", "erased", "written"),
}
_ABOVE_0 = {  # by editor, those of its keys that 0 makes no sense for
    **dict.fromkeys(EDITORS, ("lr", "max_norm", "max_change", "weight")),
    **dict.fromkeys(("ft", "ft_l"), ("lr", "max_change", "stop_loss")),
}
# Outputs are held wherever a residual is restored: what matters need not be the last token.
_TRACING = {"severed_positions": "all"}
Setting = Mapping[str, Any]  # numbers
Grid = Mapping[str, Any]  # of each key one value, or a list of those to be tried
_LEAST = {
    "n_facts": 1,
    "min_facts": 2,
    "checkpoint": 0,
    "paraphrases": 1,
    "neighbours": 1,
    "memit_layers": 1,
    "key_tokens": 1,
    "steps": 1,
    "traced_facts": 0,
    "wordings": 1,
    "prefix_draws": 1,
    "bootstrap_draws": 1,
    "seed": 0,
}


@dataclass(frozen=True)
class EntityRelationConfig:
    """``task``: the format that asks for the object (the entity side).

    ``arms``: whose facts, null for all that training showed; ``facts``: by name, null for all.
    ``n_facts``: at most so many of each arm, relations taking turns, null for all; ``min_facts``:
    fewer are refused. ``only_known``: facts are edited whose edited prompts the model answers right
    on every side that their arm was shown in (of models from elsewhere, on the entity's).
    ``checkpoint``: an optimizer step, null: the last.
    ``paraphrases``, ``neighbours``: prompts per probe, at most. ``editors``: some of ``EDITORS``.
    ``grids``: by editor, sets of values to be tried, the published ones being an empty set; facts
    held out for it (``dev_share``) decide. ``layers``: likewise the layers to be tried,
    null for where causal tracing points. ``edited_token``: which token of the subject holds the key
    and the value of an edit: its ``last`` as published, its ``first``, or the one of them that
    causal tracing points at.
    ``memit_layers``: how many layers MEMIT spreads over, up to that one. ``contexts``: (tokens, how
    many) of the prefixes that a request is read behind. ``key_tokens``: of text for the second
    moment of keys; ``text``: a file of it, null for the run's corpus. ``steps``: points of the path
    of integrated gradients (kn).
    ``traced_facts``: at most so many; ``wordings``: that take turns over them; ``corruptions``:
    whose tokens get noise; ``tracing``: changes to ``TracingConfig`` (here
    outputs are held at all positions). ``prefix_draws``: texts tried
    before a prompt, for the neutral control.
    """

    task: str = "completion"
    arms: Sequence[str] | None = None
    facts: Sequence[str] | None = None
    n_facts: int | None = None
    min_facts: int = 4
    only_known: bool = True
    checkpoint: int | None = None
    paraphrases: int = 5
    neighbours: int = 5
    editors: Sequence[str] = EDITORS
    grids: Mapping[str, Sequence[Grid]] = field(default_factory=dict)
    layers: Sequence[int] | None = None
    edited_token: str = "traced"
    memit_layers: int = 3
    dev_share: float = 0.2
    contexts: Sequence[Sequence[int]] = ((2, 2),)
    key_tokens: int = 100_000
    text: str | None = None
    steps: int = 20
    traced_facts: int = 70
    wordings: int = 4
    corruptions: Sequence[str] = ("subject", "relation", "both")
    tracing: Mapping[str, Any] = field(default_factory=dict)
    prefix_draws: int = 20
    bootstrap_draws: int = 10_000
    seed: int = 0

    @property
    def tasks(self) -> tuple[str]:
        return (self.task,)

    def traced(self, corrupt: str) -> TracingConfig:
        changes = {key: value for key, value in self.tracing.items() if value is not None}
        return TracingConfig(**{**_TRACING, "seed": self.seed, **changes, "corrupt": corrupt})

    def settings(self, editor: str) -> list[dict[str, Any]]:
        """Those to be tried: every combination of the values of each set, as published if there is
        none."""
        tried: list[dict[str, Any]] = []
        for grid in self.grids.get(editor) or [{}]:
            lists = [value if _is_list(value) else [value] for value in grid.values()]
            tried += [dict(zip(grid, values, strict=True)) for values in product(*lists)]
        return tried

    def check(self) -> None:
        """Raises ValueError naming the key."""
        for name in ("editors", "corruptions"):
            if getattr(self, name) is None:
                raise ValueError(f"study.{name}: give a list, not null")
        for name in ("grids", "tracing"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"study.{name}: give keys and values, or {{}} for the usual ones")
        check_lists(self, ("arms", "facts", "editors", "layers", "corruptions"))
        check_pairs(self, "contexts")
        for name in ("arms", "facts"):
            if getattr(self, name) is not None and not getattr(self, name):
                raise ValueError(f"study.{name}: the list is empty; name some, or null for all")
        check_whole_numbers(self, _LEAST, optional=("n_facts", "checkpoint"))
        if not isinstance(self.only_known, bool):
            raise ValueError(f"study.only_known: must be true or false, got {self.only_known!r}")
        if not _is_number(self.dev_share) or not 0 < self.dev_share < 1:
            raise ValueError(f"study.dev_share: must be between 0 and 1, got {self.dev_share!r}")
        try:
            asks = get_task(str(self.task)).asks
        except ValueError as error:
            raise ValueError(f"study.task: {error}") from error
        if asks != "object":
            raise ValueError(f"study.task: {self.task} does not ask for the object, as completion")
        self._check_editors()
        self._check_tracing()
        if self.text is not None and not Path(str(self.text)).is_file():
            raise ValueError(f"study.text: there is no file {self.text}")

    def _check_editors(self) -> None:
        for name in (*self.editors, *self.grids):
            if name not in EDITORS:
                raise ValueError(f"study.editors, study.grids: {name!r} is not one of {EDITORS}")
        if not self.editors:
            raise ValueError(f"study.editors: name some of {', '.join(EDITORS)}")
        for editor, grids in self.grids.items():
            if not _is_list(grids) or not all(isinstance(grid, Mapping) for grid in grids):
                raise ValueError(f"study.grids.{editor}: give a list of sets of values: [{{...}}]")
            for grid in grids:
                _check_grid(editor, grid)
            tried = self.settings(editor)
            if again := [one for place, one in enumerate(tried) if one in tried[:place]]:
                raise ValueError(f"study.grids.{editor}: {again[0] or '{}'} is there twice")
        for layer in self.layers if self.layers is not None else (0,):
            if not isinstance(layer, int) or isinstance(layer, bool) or layer < 0:
                raise ValueError(f"study.layers: must be layers from 0, got {layer!r}")
        if self.layers is not None and not self.layers:
            raise ValueError("study.layers: name one layer at least, or null for causal tracing")

    def _check_tracing(self) -> None:
        known = [f.name for f in fields(TracingConfig) if f.name != "corrupt"]
        for key in self.tracing:
            if key not in known:
                raise ValueError(f"unknown key study.tracing.{key}; known: {', '.join(known)}")
        for corrupt in self.corruptions:
            self.traced(corrupt).check("study.tracing")
        if "neutral" in self.corruptions:
            raise ValueError("study.corruptions: neutral is the control, which is always there")
        if self.edited_token not in tuple(EDITED_TOKENS):
            names = ", ".join(EDITED_TOKENS)
            raise ValueError(f"study.edited_token: {self.edited_token!r} is not one of {names}")
        restores_mlps = "mlp" in self.traced("subject").kinds
        if "subject" in self.corruptions and self.traced_facts and restores_mlps:
            return
        for key, value in (("layers", self.layers), ("edited_token", self.edited_token)):
            if value in (None, "traced"):
                raise ValueError(
                    f"study.{key}: {value or 'null'} leaves the choice to causal tracing, which "
                    "restores MLPs under noise on the subject; study.traced_facts=0, "
                    "study.corruptions or study.tracing.kinds leave that out"
                )


def _check_grid(editor: str, grid: Grid) -> None:
    for key, values in grid.items():
        where = f"study.grids.{editor}.{key}"
        if key not in KEYS[editor]:
            raise ValueError(f"unknown key {where}; known: {', '.join(KEYS[editor])}")
        for value in values if _is_list(values) else [values]:
            if not _is_number(value) or value < 0:
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


def _is_number(value: Any) -> bool:
    """Finite: NaN passes every comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
