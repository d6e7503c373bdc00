"""Trains and evaluates the masks of one model: the part of the study that runs the model."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import nn

from coemerge.localization.answering import Answerer
from coemerge.localization.chunks import train_masks, training_key
from coemerge.localization.effects import EffectsConfig, evaluate_masks
from coemerge.localization.examples import Examples
from coemerge.localization.prompts import Cell, Prompts, read_prompts
from coemerge.localization.selection import (
    Selected,
    SelectionConfig,
    asked_directly,
    select_facts,
    with_eval_split,
)
from coemerge.localization.trained import TrainedMasks
from coemerge.studies.task_localization.config import TaskLocalizationConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Localized:
    """Of one model: masks and their effects (columns of ``EffectsRecord``) by variant.

    ``relation_of``: of all targets; ``selected``: how facts and phrasings were chosen."""

    seed: int
    relation_of: dict[str, str]
    masks: dict[str, TrainedMasks]
    effects: pd.DataFrame
    selected: Selected

    @property
    def main(self) -> str:
        """The variant that summaries speak of: exclusive masks where there are any."""
        return "exclusive" if "exclusive" in self.masks else next(iter(self.masks))


@dataclass(frozen=True)
class Subject:
    """What is to be localized: a model, what it may be asked (``tables.records.PromptRecord``),
    the facts to choose from, and the cells it was shown (None: not known)."""

    model: nn.Module
    seed: int
    prompts: pa.Table
    candidates: Collection[str]
    shown: Collection[Cell] | None
    placeholder: int


def localize(subject: Subject, config: TaskLocalizationConfig, cache: Path) -> Localized:
    """All variants; what is in ``cache`` is not trained or evaluated again.

    Raises ValueError as ``select_facts`` does, and for subjects that cannot be swapped.
    """
    selected, prompts = prepare(subject, config)
    tasks = list(selected.accuracy)
    masks = config.mask_config
    trained: dict[str, TrainedMasks] = {}
    frames = []
    for variant in sorted(config.variants, key=["exclusive", "free", "remask"].index):
        settings = replace(masks, exclusive=variant == "exclusive")
        examples = Examples(prompts, selected.targets, tasks, settings, selected.known)
        first = trained["free"] if variant == "remask" else None
        log.info("%s masks: %d facts x %d tasks", variant, len(selected.targets), len(tasks))
        trained[variant] = train_masks(subject.model, examples, cache, first)
        key = training_key(subject.model, examples, first)
        effects = _effects(subject.model, examples, trained[variant], config, cache / key)
        frames.append(effects.assign(seed=subject.seed, variant=variant))
    relation_of = {fact: prompts.relation_of[fact] for fact in selected.targets}
    effects = pd.concat(frames, ignore_index=True)
    return Localized(subject.seed, relation_of, trained, effects, selected)


def prepare(subject: Subject, config: TaskLocalizationConfig) -> tuple[Selected, Prompts]:
    """Facts and phrasings that the model knows, and their prompts, clean and corrupted."""
    subject = replace(subject, prompts=asked_directly(subject.prompts))
    selected = choose(subject, asked_tasks(subject.prompts, config.tasks), config)
    donors = _shown(subject.prompts, subject.shown)
    corruption = config.mask_config.corruption
    return selected, read_prompts(
        selected.prompts, corruption, subject.placeholder, config.seed, donors
    )


def asked_tasks(prompts: pa.Table, wanted: Collection[str] | None) -> list[str]:
    """Those wanted, or all, in the order of the table."""
    found = list(dict.fromkeys(prompts["task"].to_pylist()))
    return [task for task in found if not wanted or task in wanted]


def choose(subject: Subject, tasks: list[str], config: TaskLocalizationConfig) -> Selected:
    """Asks all candidates everything, and keeps what the model knows."""
    selection = SelectionConfig(
        threshold=config.threshold,
        train_prompts=config.train_prompts,
        eval_prompts=config.eval_prompts,
        facts=config.facts,
        n_facts=config.n_facts,
        min_facts=config.min_facts,
        seed=config.seed,
    )
    table = subject.prompts
    wanted = np.isin(table["fact_id"].to_pylist(), list(subject.candidates))
    wanted &= np.isin(table["task"].to_pylist(), tasks)
    table = with_eval_split(table.filter(pa.array(wanted)), selection)
    everything = read_prompts(table, "placeholder", subject.placeholder)
    answerer = Answerer(subject.model, everything)
    correct = answerer.untouched(np.arange(len(everything)), show_progress=True)
    selected = select_facts(table, correct, tasks, selection)
    log.info(
        "%d of %d facts are known in every task; %d are localized",
        *(len(selected.known), len(selected.accuracy), len(selected.targets)),
    )
    return selected


def _effects(
    model: nn.Module,
    examples: Examples,
    masks: TrainedMasks,
    config: TaskLocalizationConfig,
    cache: Path,
) -> pd.DataFrame:
    """Kept beside the masks, under the settings of the evaluation."""
    settings = EffectsConfig(
        references=config.all_references,
        random_draws=config.random_draws,
        other_prompts=config.other_prompts,
        seed=config.seed,
    )
    found = evaluate_masks(model, examples, masks, settings, show_progress=True, cache=cache)
    return found.assign(seed=0, variant="")


def _shown(prompts: pa.Table, cells: Collection[Cell] | None) -> pa.Table:
    """Prompts of facts in the tasks that showed them."""
    if cells is None:
        return prompts
    pairs = zip(prompts["fact_id"].to_pylist(), prompts["task"].to_pylist(), strict=True)
    return prompts.filter(pa.array([pair in cells for pair in pairs]))
