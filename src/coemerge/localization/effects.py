"""What binary masks do to answers that they were not trained on (methods 3.5).

Every mask is applied to the held-out prompts of its own fact in every task (its row of the
necessity matrix) and to those of other facts in its own task; patched into corrupted prompts of its
own cell; and compared with random masks of equal size and with another fact's mask.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from coemerge.interventions.guard import unchanged
from coemerge.localization.activations import CleanRuns, mean_references
from coemerge.localization.answering import Answerer, Asked
from coemerge.localization.chunks import reference_rows
from coemerge.localization.controls import mismatched_masks, random_masks
from coemerge.localization.examples import Examples, at_most
from coemerge.localization.metrics import is_valid, recovery, relative_drop
from coemerge.localization.prompts import EVAL, stable_seed
from coemerge.localization.trained import TrainedMasks
from coemerge.tables.frames import read_frame, write_frame
from coemerge.units import share

_Control = tuple[str, int, TrainedMasks, np.ndarray]
_MASKS_AT_ONCE = 24  # bounds the clean activations that are held


@dataclass(frozen=True)
class EffectsConfig:
    """``references``: what ablated components become (zero, mean, corrupted); ``random_draws``
    per mask, and another fact's mask (0: no controls at all); ``other_prompts``: of other facts,
    per mask."""

    references: tuple[str, ...] = ("zero", "mean", "corrupted")
    random_draws: int = 20
    other_prompts: int = 48
    seed: int = 0

    def digest(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Effect:
    """One row of ``results/task_localization/effects``, without variant and seed of the study.

    Accuracies are over ``n`` prompts; ``accuracy_corrupted`` and ``recovery`` are NaN for
    ablations, ``relative_drop`` for patches."""

    fact_id: str
    mask_task: str
    eval_task: str
    eval_facts: str
    intervention: str
    reference: str
    control: str
    draw: int
    n: int
    accuracy_base: float
    accuracy_corrupted: float
    accuracy_after: float
    relative_drop: float
    recovery: float


def evaluate_masks(
    model: nn.Module,
    examples: Examples,
    masks: TrainedMasks,
    config: EffectsConfig | None = None,
    show_progress: bool = False,
    cache: Path | None = None,
) -> pd.DataFrame:
    """One row per ``Effect``, and ``valid`` of each mask in every row of it (with the reference of
    the row; for patches that of the training). The model is left as found.

    ``cache``: a directory of the masks' own, where the effects of some masks at a time are kept
    and shared with other processes that evaluate the same (``units``)."""
    config = config or EffectsConfig()
    starts = range(0, len(masks), _MASKS_AT_ONCE)
    parts = [masks.select(np.arange(k, min(k + _MASKS_AT_ONCE, len(masks)))) for k in starts]
    with tqdm(
        total=len(masks), desc="evaluating masks", unit="mask", disable=not show_progress
    ) as bar:

        def rows(part: TrainedMasks) -> pd.DataFrame:
            found = _rows(model, examples, part, config, masks)
            bar.update(len(part))
            return found

        if cache is None:
            return pd.concat([rows(part) for part in parts], ignore_index=True)
        folder = cache / f"effects-{config.digest()}"
        paths = [folder / f"{k:06d}-{_MASKS_AT_ONCE}.parquet" for k in starts]
        share(paths, lambda i: write_frame(paths[i], rows(parts[i])))
        return pd.concat([read_frame(path) for path in paths], ignore_index=True)


def _rows(
    model: nn.Module,
    examples: Examples,
    part: TrainedMasks,
    config: EffectsConfig,
    masks: TrainedMasks,
) -> pd.DataFrame:
    device = next(model.parameters()).device
    with unchanged(model), torch.autocast(device.type, enabled=False):
        model.eval()
        found = _Evaluation(model, examples, part, config, masks).rows()
    return with_validity(pd.DataFrame([asdict(row) for row in found]), examples.config.reference)


def with_validity(effects: pd.DataFrame, trained_with: str) -> pd.DataFrame:
    """Adds ``valid``: whether the mask passes with the reference of the row (``is_valid``)."""
    keys = ["fact_id", "mask_task"]
    own = effects[effects["control"] == "none"]
    patched = own[own["intervention"] == "patch"].set_index(keys)["recovery"]
    verdicts = {}
    for key, rows in own[own["intervention"] == "ablate"].groupby([*keys, "reference"]):
        fact, task, _ = key
        is_target = (rows["eval_facts"] == "own") & (rows["eval_task"] == task)
        target = float(rows.loc[is_target, "relative_drop"].iloc[0])
        verdicts[key] = is_valid(target, rows.loc[~is_target, "relative_drop"], patched[fact, task])
    reference = effects["reference"].where(effects["intervention"] == "ablate", trained_with)
    cells = zip(effects["fact_id"], effects["mask_task"], reference, strict=True)
    return effects.assign(valid=[verdicts.get(cell, False) for cell in cells])


class _Evaluation:
    """Of some masks: prompts, base accuracies and clean activations they share."""

    def __init__(
        self,
        model: nn.Module,
        examples: Examples,
        masks: TrainedMasks,
        config: EffectsConfig,
        everything: TrainedMasks,
    ) -> None:
        self._model, self._examples, self._masks = model, examples, masks
        self._config = config
        self._device = next(model.parameters()).device
        self._own = [examples.eval(*cell) for cell in masks.cells]
        self._cells = self._evaluated_cells()
        self._controls = self._control_masks(everything)
        prompts = np.unique(np.concatenate([rows for *_, rows in self._cells]))
        untouched = Answerer(model, examples.prompts)
        self._base = dict(zip(prompts, untouched.untouched(prompts), strict=True))

    def rows(self) -> list[Effect]:
        found: list[Effect] = []
        for reference in self._config.references:
            answerer = self._answerer(reference)
            found += self._ablations(answerer, reference, self._masks, self._cells, "none", 0)
            for control, draw, masks, exists in self._controls:
                cells = [cell for cell in self._own_cells() if exists[cell[0]]]
                found += self._ablations(answerer, reference, masks, cells, control, draw)
        return found + self._patches()

    def _evaluated_cells(self) -> list[tuple[int, str, str, np.ndarray]]:
        """(mask, evaluated task, own or other facts, prompts)."""
        cells = []
        examples, n = self._examples, self._config.other_prompts
        for j, (fact, task) in enumerate(self._masks.cells):
            for other in examples.tasks_of(fact):
                cells.append((j, other, "own", examples.eval(fact, other)))
            rng = np.random.default_rng(stable_seed(self._config.seed, "others", fact, task))
            known = examples.prompts.cells
            others = [(f, task, EVAL) for f in examples.other_facts(fact, task)]
            pool = at_most([known[cell] for cell in others if cell in known], n, rng)
            cells.append((j, task, "other", np.concatenate(pool)))
        return cells

    def _own_cells(self) -> list[tuple[int, str, str, np.ndarray]]:
        tasks = self._masks.task
        return [(j, tasks[j], "own", prompts) for j, prompts in enumerate(self._own)]

    def _control_masks(self, everything: TrainedMasks) -> list[_Control]:
        """Name, draw, masks, and which of them there are."""
        draws, every = range(self._config.random_draws), np.ones(len(self._masks), bool)
        if not draws:
            return []
        index = [everything.index(cell) for cell in self._masks.cells]
        others, exists = mismatched_masks(everything, self._examples.prompts.relation_of)
        seed = self._config.seed
        return [
            *[("random", d, random_masks(self._masks, d, seed), every) for d in draws],
            *([("mismatched", 0, others.select(index), exists[index])] if exists.any() else []),
        ]

    def _answerer(self, reference: str) -> Answerer:
        positions, prompts = self._examples.config.positions, self._examples.prompts
        if reference == "mean":
            means = mean_references(self._model, prompts, reference_rows(self._examples))
            return Answerer(self._model, prompts, means, positions)
        corrupted = "corrupted" if reference == "corrupted" else None
        return Answerer(self._model, prompts, corrupted, positions)

    def _ablations(
        self,
        answerer: Answerer,
        reference: str,
        masks: TrainedMasks,
        cells: Sequence[tuple[int, str, str, np.ndarray]],
        control: str,
        draw: int,
    ) -> list[Effect]:
        asked = _ask([(j, prompts) for j, _, _, prompts in cells])
        right = answerer.ablated(masks.gates(self._device), asked)
        found, start = [], 0
        for j, task, whose, prompts in cells:
            after = float(right[start : start + len(prompts)].mean())
            start += len(prompts)
            base = float(np.mean([self._base[i] for i in prompts]))
            drop = float(relative_drop(base, after))
            accuracies = (len(prompts), base, np.nan, after, drop, np.nan)
            where = (*masks.cells[j], task, whose, "ablate", reference, control, draw)
            found.append(Effect(*where, *accuracies))
        return found

    def _patches(self) -> list[Effect]:
        prompts = self._examples.prompts
        answerer = Answerer(self._model, prompts, None, self._examples.config.positions)
        asked = _ask(list(enumerate(self._own)))
        clean = CleanRuns(self._model, prompts, np.unique(asked.prompt))
        corrupted = answerer.untouched(asked.prompt, corrupted=True)
        found = []
        every = np.ones(len(self._masks), bool)
        for control, draw, masks, exists in [("none", 0, self._masks, every), *self._controls]:
            right = answerer.patched(masks.gates(self._device), asked, clean)
            for j in np.flatnonzero(exists):
                (fact, task), mine = masks.cells[j], asked.mask == j
                base = float(np.mean([self._base[i] for i in self._own[j]]))
                worst, after = float(corrupted[mine].mean()), float(right[mine].mean())
                regained = float(recovery(base, worst, after))
                where = (fact, task, task, "own", "patch", "corrupted", control, draw)
                found.append(Effect(*where, int(mine.sum()), base, worst, after, np.nan, regained))
        return found


def _ask(pairs: Sequence[tuple[int, np.ndarray]]) -> Asked:
    """All prompts of all masks, one after the other."""
    masks = np.concatenate([np.full(len(prompts), j) for j, prompts in pairs])
    return Asked(masks, np.concatenate([prompts for _, prompts in pairs]))
