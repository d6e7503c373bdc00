"""Short mask trainings of a few facts on a model that still learns: which facts, asked how.

Methods 3.5, without exclusivity: what masks of a fact's tasks share then says something.
"""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import nn

from coemerge.corpus.dataset import Dataset
from coemerge.interventions.guard import unchanged
from coemerge.interventions.speed import fast_passes
from coemerge.localization.answering import Answerer
from coemerge.localization.chunks import train_masks
from coemerge.localization.config import MaskConfig
from coemerge.localization.corruption import placeholder_token
from coemerge.localization.effects import EffectsConfig, evaluate_masks
from coemerge.localization.examples import Examples
from coemerge.localization.prompts import EVAL, TRAIN, Cell, Prompts, read_prompts
from coemerge.localization.selection import (
    Selected,
    SelectionConfig,
    asked_directly,
    select_facts,
    with_eval_split,
)
from coemerge.localization.trained import TrainedMasks
from coemerge.statistics.entanglement import jaccard_matrix

log = logging.getLogger(__name__)
_PHRASING = ("relation", "task", "split", "template_id")


@dataclass(frozen=True)
class Localized:
    """Columns of the tables ``localization`` and ``localization_overlaps``, but for the step."""

    masks: pd.DataFrame
    overlaps: pd.DataFrame


class FactLocalizer:
    """Masks of ``facts`` in those tasks that a model knows, and what they do.

    ``facts``: the first ``selection.n_facts`` of an arm, relations taking turns, the same for every
    model; empty where no relation has two of its facts. Controls are ``masks.control_facts`` other
    facts of the arm and relation. Lettered options are fresh sets where there are any. Subjects are
    swapped with those of facts that training shows in the task; where some cannot be, placeholders
    stand in for all, and the log says so.
    """

    def __init__(
        self,
        dataset: Dataset,
        arm: str,
        masks: MaskConfig,
        selection: SelectionConfig,
        other_prompts: int = 12,
    ) -> None:
        self._selection, self._other_prompts = selection, other_prompts
        table = _prompts_of(dataset, arm)
        self.tasks: list[str] = list(dict.fromkeys(table["task"].to_pylist()))
        self.facts: list[str] = []
        if len(table):
            table = with_eval_split(table, selection)
            everything_right = np.ones(len(table), bool)
            self.facts = select_facts(table, everything_right, self.tasks, selection).targets
        controls = self._controls(table, masks.control_facts)
        self._table = _of_facts(table, [*self.facts, *controls])
        self._donors = _shown(dataset)
        self._masks = _possible(masks, self._table, self._donors)
        self._placeholder = 0
        if self._masks.corruption == "placeholder":
            self._placeholder = placeholder_token(dataset.tokenizer)
        is_asked = np.isin(self._table["fact_id"].to_pylist(), self.facts)
        is_asked |= np.array(self._table["split"].to_pylist(), dtype=object) == EVAL
        self._asked = self._table.filter(pa.array(is_asked))
        self._questions = read_prompts(self._asked, "placeholder", self._placeholder)

    @torch.enable_grad()
    def __call__(self, model: nn.Module) -> Localized | None:
        """None where no fact is known in two tasks. The model is left as found."""
        with unchanged(model), fast_passes(model):
            model.eval()
            known = self._known(self._select(model))
            facts = [f for f in self.facts if sum(fact == f for fact, _ in known.targets) > 1]
            if not facts:
                return None
            examples = Examples(self._read(known.prompts), facts, self.tasks, self._masks)
            masks = train_masks(model, examples, show_progress=False)
            settings = EffectsConfig(
                references=(self._masks.reference,),
                random_draws=0,
                other_prompts=self._other_prompts,
                seed=self._masks.seed,
            )
            effects = evaluate_masks(model, examples, masks, settings)
        return Localized(_measures(masks, effects), _overlaps(masks))

    def _controls(self, table: pa.Table, per_relation: int) -> list[str]:
        """For each relation of the facts, the first others."""
        pairs = dict(zip(*(table[c].to_pylist() for c in ("fact_id", "relation")), strict=True))
        others: dict[str, list[str]] = {pairs[fact]: [] for fact in self.facts}
        for fact in sorted(set(pairs) - set(self.facts)):
            if pairs[fact] in others:
                others[pairs[fact]].append(fact)
        return [fact for members in others.values() for fact in members[:per_relation]]

    def _read(self, table: pa.Table) -> Prompts:
        corruption, seed = self._masks.corruption, self._masks.seed
        return read_prompts(table, corruption, self._placeholder, seed, self._donors)

    def _select(self, model: nn.Module) -> Selected:
        """Asks everyone the held-out phrasings, which decide what is known, and the facts to be
        localized the seen ones too, which is enough to tell good phrasings."""
        device = next(model.parameters()).device
        with torch.autocast(device.type, enabled=False):
            answerer = Answerer(model, self._questions)
            right = answerer.untouched(np.arange(len(self._questions)))
        return select_facts(self._asked, right, self.tasks, self._selection)

    def _known(self, selected: Selected) -> "_Known":
        """Cells known to the model, and their prompts in the phrasings that were chosen."""
        known = selected.accuracy >= self._selection.threshold
        cells = {(fact, task) for task in self.tasks for fact in known.index[known[task]]}
        phrasings = _keys(selected.prompts, _PHRASING)
        kept = [
            key[:4] in phrasings and key[4:] in cells
            for key in _rows(self._table, (*_PHRASING, "fact_id", "task"))
        ]
        table = self._table.filter(pa.array(kept, pa.bool_()))
        cells &= _complete(table)
        relation = dict(_rows(table, ("fact_id", "relation")))
        who_knows = Counter((relation[fact], task) for fact, task in cells)
        targets = {
            (fact, task)
            for fact, task in cells
            if fact in self.facts and who_knows[relation[fact], task] > 1
        }
        keep = [cell in targets or cell[0] not in self.facts for cell in _cells(table)]
        return _Known(table.filter(pa.array(keep, pa.bool_())), targets)


@dataclass(frozen=True)
class _Known:
    """``targets``: cells that get a mask; ``prompts``: of these and of the controls."""

    prompts: pa.Table
    targets: Collection[Cell]


def _prompts_of(dataset: Dataset, arm: str) -> pa.Table:
    """Direct formats of an arm's facts, with fresh option sets where a format has them."""
    frame = dataset.facts.select(["fact_id", "arm"]).to_pandas()
    return asked_directly(_of_facts(dataset.prompts, frame.loc[frame["arm"] == arm, "fact_id"]))


def _possible(masks: MaskConfig, table: pa.Table, donors: pa.Table) -> MaskConfig:
    """The same settings, or placeholders instead of swaps where a subject cannot be swapped."""
    try:
        if masks.corruption == "swap":
            read_prompts(table, masks.corruption, seed=masks.seed, donors=donors)
    except ValueError as error:
        log.warning("localization: %s. Placeholders stand in for all subjects", error)
        return replace(masks, corruption="placeholder")
    return masks


def _shown(dataset: Dataset) -> pa.Table:
    """Prompts of every fact in the tasks that training shows it in."""
    shown = _keys(dataset.plan, ("fact_id", "task"))
    kept = [cell in shown for cell in _cells(dataset.prompts)]
    return dataset.prompts.filter(pa.array(kept, pa.bool_()))


def _of_facts(table: pa.Table, facts: Collection[str]) -> pa.Table:
    wanted = set(facts)
    kept = [fact in wanted for fact in table["fact_id"].to_pylist()]
    return table.filter(pa.array(kept, pa.bool_()))


def _complete(table: pa.Table) -> set[Cell]:
    """Cells with prompts to train on and prompts to evaluate."""
    splits = _keys(table, ("fact_id", "task", "split"))
    cells = {key[:2] for key in splits}
    return {cell for cell in cells if {(*cell, TRAIN), (*cell, EVAL)} <= splits}


def _rows(table: pa.Table, columns: Sequence[str]) -> "zip[tuple]":
    return zip(*(table[column].to_pylist() for column in columns), strict=True)


def _keys(table: pa.Table, columns: Sequence[str]) -> set[tuple]:
    return set(_rows(table, columns))


def _cells(table: pa.Table) -> list[Cell]:
    return list(_rows(table, ("fact_id", "task")))


def _measures(masks: TrainedMasks, effects: pd.DataFrame) -> pd.DataFrame:
    """One row per mask: columns of ``LocalizationRecord``, but for the step."""
    is_ablation = effects["intervention"] == "ablate"
    is_other = effects["eval_facts"] == "other"
    is_target = ~is_other & (effects["eval_task"] == effects["mask_task"])
    frame = pd.DataFrame(
        {
            "fact_id": effects["fact_id"],
            "task": effects["mask_task"],
            "necessity": effects["relative_drop"].where(is_ablation & is_target),
            "specificity_facts": effects["relative_drop"].where(is_ablation & is_other),
            "specificity_tasks": effects["relative_drop"].where(
                is_ablation & ~is_other & ~is_target
            ),
            "sufficiency": effects["recovery"].where(~is_ablation),
        }
    )
    means = frame.groupby(["fact_id", "task"]).mean().reindex(pd.Index(masks.cells))
    n_units = masks.heads[0].size + masks.neurons[0].size
    found = means.reset_index(drop=True).assign(
        fact_id=masks.fact_id,
        task=masks.task,
        n_heads=masks.n_heads,
        n_neurons=masks.n_neurons,
        density=(masks.n_heads + masks.n_neurons) / n_units,
    )
    return found


def _overlaps(masks: TrainedMasks) -> pd.DataFrame:
    """One row per pair of a fact's masks: columns of ``LocalizationOverlapsRecord``."""
    n = len(masks)
    shared = jaccard_matrix(masks.units)
    rows = [
        (masks.fact_id[i], masks.task[i], masks.task[j], shared[i, j])
        for i, j in combinations(range(n), 2)
        if masks.fact_id[i] == masks.fact_id[j]
    ]
    return pd.DataFrame(rows, columns=["fact_id", "task", "other_task", "jaccard"])
