"""Where a few facts live, again and again while the model learns: tables/localization.parquet."""

import logging
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

import lightning
import pandas as pd

from coemerge.callbacks.base import ScheduledCallback, add_rows, drop_rows, log_metrics
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.localizing import FactLocalizer, Localized
from coemerge.callbacks.schedule import StepSchedule
from coemerge.interventions.architecture import ModuleMap
from coemerge.lm.module import LanguageModule
from coemerge.localization.config import MaskConfig, preset
from coemerge.localization.selection import SelectionConfig

log = logging.getLogger(__name__)
KEY = "callbacks.localization"


class Localization(ScheduledCallback):
    """Trains masks for the same ``n_facts`` facts of ``arm`` at every scheduled step, in the tasks
    in which the model knows a fact by then (strict accuracy on held-out prompts of ``threshold`` or
    more); a fact that is known in fewer than two tasks gets none.

    ``train_prompts``, ``eval_prompts``: phrasings per relation and task that masks are trained and
    evaluated on; ``other_prompts``: of other facts, per mask; ``preset``, ``masks``: settings of
    the masks (``MaskConfig``), as changes to a preset. On several processes one works, the others
    wait. Where the arm has no relation with two facts it does nothing, and says so.
    """

    def __init__(
        self,
        run: RunContext,
        schedule: StepSchedule,
        arm: str = "A0_full",
        n_facts: int = 4,
        threshold: float = 0.8,
        train_prompts: int = 5,
        eval_prompts: int = 2,
        other_prompts: int = 12,
        preset: str = "small",
        masks: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(run, schedule)
        self._masks = run.table("localization")
        self._overlaps = run.table("localization_overlaps")
        selection = SelectionConfig(
            threshold=threshold,
            train_prompts=train_prompts,
            eval_prompts=eval_prompts,
            n_facts=n_facts,
            min_facts=0,
        )
        _check_numbers(selection, other_prompts)
        config = mask_config(preset, masks or {})
        try:
            self._localize = FactLocalizer(run.dataset, arm, config, selection, other_prompts)
        except ValueError as error:
            raise ValueError(f"{KEY}: {error}; or do without it: {KEY}=null") from error
        if not self._localize.facts:
            log.info("no relation has two facts in %s: %s does nothing", arm, KEY)

    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses a model that gates do not fit. Raises ValueError with the remedy."""
        if not self._localize.facts:
            return
        try:
            ModuleMap(pl_module.model)
        except ValueError as error:
            raise ValueError(f"{KEY}: {error}; or train without it: {KEY}=null") from error

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        for table in (self._masks, self._overlaps):
            drop_rows(trainer, table)
        super().on_train_start(trainer, pl_module)

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        if not self._localize.facts:
            return
        if trainer.is_global_zero:
            self._record(trainer, step, self._localize(module.model))
        trainer.strategy.barrier("localization")

    def _record(self, trainer: lightning.Trainer, step: int, found: Localized | None) -> None:
        n_masks = 0 if found is None else len(found.masks)
        metrics: dict[str, float] = {"localization/n_masks": n_masks}
        if found is not None:
            metrics |= localization_metrics(found)
            for table, frame in ((self._masks, found.masks), (self._overlaps, found.overlaps)):
                columns = {name: frame[name].to_numpy() for name in frame}
                add_rows(trainer, table, step, {"step": [step] * len(frame), **columns})
        log_metrics(trainer, self.run, step, metrics)


def localization_metrics(found: Localized) -> dict[str, float]:
    """Means over facts; what is undefined for all of them is left out.

    ``specificity`` is the mean of both relative drops that a mask should not cause: on other facts
    and on other tasks.
    """
    masks = found.masks.assign(
        specificity=found.masks[["specificity_facts", "specificity_tasks"]].mean(axis=1)
    )
    measures = ["necessity", "specificity", "sufficiency", "density"]
    metrics: dict[str, float] = {}
    for task, row in masks.groupby("task")[measures].mean().iterrows():
        metrics |= {f"localization/{task}/{measure}": row[measure] for measure in measures}
    shared = found.overlaps.groupby(["task", "other_task"])["jaccard"].mean()
    for (task, other), jaccard in shared.items():
        metrics["localization/overlap/" + "_".join(sorted((task, other)))] = jaccard
    return {name: float(value) for name, value in metrics.items() if not pd.isna(value)}


def _check_numbers(selection: SelectionConfig, other_prompts: int) -> None:
    """Raises ValueError naming the key."""
    counts = {name: getattr(selection, name) for name in ("train_prompts", "eval_prompts")}
    counts |= {"n_facts": selection.n_facts, "other_prompts": other_prompts}
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{KEY}.{name}: must be a whole number from 1, got {value!r}")
    if not 0 <= selection.threshold <= 1:
        raise ValueError(f"{KEY}.threshold: must be in [0, 1], got {selection.threshold!r}")


def mask_config(name: str, changes: Mapping[str, Any]) -> MaskConfig:
    """Raises ValueError naming the key."""
    known = [f.name for f in fields(MaskConfig)]
    for key in changes:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else f", only {', '.join(known)}"
            raise ValueError(f"{KEY}.masks: there is no {key!r}{hint}")
    config = preset(name, **{key: value for key, value in changes.items() if value is not None})
    config.check(f"{KEY}.masks")
    return config
