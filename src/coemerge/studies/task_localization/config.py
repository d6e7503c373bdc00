"""Settings of the study of task localization; free of heavy imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coemerge.localization.config import PRESETS, MaskConfig, preset
from coemerge.prompts.tasks import get_task
from coemerge.studies.shared.settings import check_lists, check_whole_numbers

VARIANTS = ("exclusive", "free", "remask")
REFERENCES = ("zero", "mean", "corrupted")
_LEAST = {
    "n_facts": 2,
    "min_facts": 2,
    "checkpoint": 0,
    "train_prompts": 1,
    "eval_prompts": 1,
    "random_draws": 1,
    "other_prompts": 1,
    "bootstrap_draws": 1,
    "seed": 0,
}


@dataclass(frozen=True)
class TaskLocalizationConfig:
    """What is localized, how masks are trained, and what they are compared with.

    ``tasks``: null for all direct ones that are asked. ``arms``: whose facts (of models from
    elsewhere all). ``facts``: by name, instead of the first ``n_facts`` that are known.
    ``checkpoint``: an optimizer step, null for the last. ``threshold``, ``train_prompts``,
    ``eval_prompts``, ``min_facts``: see ``localization.selection``. ``preset`` and ``masks``:
    settings of mask training and changes to them (``localization.config.MaskConfig``; null: none).
    ``variants``: free masks may overlap; remask is a second one that excludes the free one.
    ``references``: what ablated units become when masks are evaluated; that of the training is
    always among them. ``placeholder``: text whose first token replaces the subject's tokens, for
    ``masks.corruption=placeholder``.
    """

    tasks: Sequence[str] | None = None
    arms: Sequence[str] = ("A0_full",)
    facts: Sequence[str] | None = None
    n_facts: int = 20
    min_facts: int = 4
    checkpoint: int | None = None
    threshold: float = 0.8
    train_prompts: int = 5
    eval_prompts: int = 2
    preset: str = "small"
    masks: Mapping[str, Any] = field(default_factory=dict)
    variants: Sequence[str] = VARIANTS
    references: Sequence[str] = ("mean", "zero")
    random_draws: int = 20
    other_prompts: int = 48
    placeholder: str = "xx"
    bootstrap_draws: int = 10_000
    seed: int = 0

    @property
    def mask_config(self) -> MaskConfig:
        changes = {key: value for key, value in self.masks.items() if value is not None}
        return preset(self.preset, **{"seed": self.seed, "facts_per_chunk": 4, **changes})

    @property
    def all_references(self) -> tuple[str, ...]:
        """That of the training first."""
        return tuple(dict.fromkeys((self.mask_config.reference, *self.references)))

    def check(self) -> None:
        """Raises ValueError naming the key."""
        check_lists(self, ("tasks", "arms", "facts", "variants", "references"))
        check_whole_numbers(self, _LEAST, optional=("checkpoint",))
        for task in self.tasks or ():
            get_task(task)
        if self.tasks is not None and len(set(self.tasks)) < 2:
            raise ValueError(
                f"study.tasks: {list(self.tasks)}: other tasks are controls, so name two or more"
            )
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise ValueError(f"study.threshold: must be in [0, 1], got {self.threshold!r}")
        for key, allowed in (("variants", VARIANTS), ("references", REFERENCES)):
            unknown = set(getattr(self, key)) - set(allowed)
            if unknown:
                raise ValueError(
                    f"study.{key}: {', '.join(sorted(unknown))} is not one of {', '.join(allowed)}"
                )
        if not self.variants or ("remask" in self.variants and "free" not in self.variants):
            raise ValueError(
                f"study.variants: {list(self.variants)}: needs one; remask needs free beside it"
            )
        self._check_masks()

    def _check_masks(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"study.preset: {self.preset!r} is not one of {', '.join(PRESETS)}")
        try:
            config = self.mask_config
        except TypeError as error:
            known = ", ".join(MaskConfig.__dataclass_fields__)
            unknown = set(self.masks) - set(MaskConfig.__dataclass_fields__)
            raise ValueError(
                f"unknown key study.masks.{', '.join(sorted(unknown))}; known: {known}"
            ) from error
        config.check("study.masks")
        if "exclusive" in self.masks:
            raise ValueError("study.masks.exclusive: name what you want in study.variants instead")
