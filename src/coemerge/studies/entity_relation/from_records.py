"""Cases made of a data set of edits (CounterFact, RaKE): its own requests and its own prompts.

The entity's side is always there. The relation's is there where the set asks for relations, as RaKE
does; it has no neighbours then, hence no specificity (methods 4.2).
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from torch import nn

from coemerge.editing.counterfact_scores import CounterfactTrial
from coemerge.editing.requests import Goal, Request
from coemerge.prompts.edit_prompts import (
    AboutSubject,
    EditPrompts,
    EncodedEdits,
    Ids,
    RelationPrompts,
)
from coemerge.scoring.forward import answers_right
from coemerge.studies.entity_relation.cases import ENTITY, RELATION, REMOVAL, STUDIED, Case, Cases
from coemerge.studies.entity_relation.choosing import choose
from coemerge.studies.entity_relation.config import EntityRelationConfig

log = logging.getLogger(__name__)
NO_REQUEST = "without an edit request"
TOO_LONG = "longer than the model reads"
UNKNOWN = "not known"


def cases_from_records(
    model: nn.Module, edits: EncodedEdits, facts: pd.DataFrame, config: EntityRelationConfig
) -> Cases:
    """``facts`` (columns fact_id, relation, arm) whose edit requests could be encoded and, if
    ``config.only_known``, whose edited prompt the model answers right from the entity's side.

    What is left out is counted. Raises ValueError where too few are left, with the remedy.
    """
    for line in edits.lines():
        log.info("edit requests: %s", line)
    return choose(facts, _Maker(model, edits, config), config)


class _Maker:
    """Makes cases of one model's facts (``choosing.Maker``)."""

    def __init__(self, model: nn.Module, edits: EncodedEdits, config: EntityRelationConfig) -> None:
        self._model, self._edits, self._config = model, edits, config
        self._reads = getattr(model.config, "max_position_embeddings", None)

    def reasons(self, facts: pd.DataFrame) -> pd.Series:
        found = facts["fact_id"].map(self._reason)
        usable = facts["fact_id"][found == STUDIED]
        if self._config.only_known and len(usable):
            asked = [self._edits.prompts[fact] for fact in usable]
            rewrites, true = [of.rewrite.ids for of in asked], [of.true for of in asked]
            known = answers_right(self._model, rewrites, true)
            found[usable.index[~known]] = UNKNOWN
        return found

    def _reason(self, fact: str) -> str:
        if fact not in self._edits.prompts:
            return self._edits.skipped.get(fact, NO_REQUEST)
        longest = max(map(len, _rows(self._trials(self._edits.prompts[fact]))))
        return TOO_LONG if self._reads is not None and longest > self._reads else STUDIED

    def case(self, row: Mapping[str, Any]) -> Case:
        prompts = self._edits.prompts[row["fact_id"]]
        requests = {ENTITY: Request(_goal(prompts.rewrite, prompts.new), prompts.true)}
        if prompts.relation is not None:
            requests[RELATION] = _relation_request(prompts.relation)
        trials = self._trials(prompts)
        return Case(row["fact_id"], row["relation"], row["arm"], requests, trials)

    def _trials(self, prompts: EditPrompts) -> dict[str, CounterfactTrial]:
        n, near = self._config.paraphrases, prompts.neighbours[: self._config.neighbours]
        asked = prompts.rewrite.ids
        trials = {
            ENTITY: CounterfactTrial(
                asked, prompts.paraphrases[:n], near, true=prompts.true, new=prompts.new
            )
        }
        side = prompts.relation
        if side is not None:
            trials[RELATION] = CounterfactTrial(
                side.add.ids, side.added[:n], [], true=side.none, new=side.name
            )
        if side is not None and side.remove is not None:
            trials[REMOVAL] = CounterfactTrial(
                side.remove.ids, side.removed[:n], [], true=side.name, new=side.none
            )
        return trials


def _relation_request(side: RelationPrompts) -> Request:
    also = _goal(side.remove, side.none) if side.remove else None
    return Request(_goal(side.add, side.name), side.none, also)


def _goal(prompt: AboutSubject, target: Ids) -> Goal:
    return Goal(prompt.ids, prompt.subject, target)


def _rows(trials: Mapping[str, CounterfactTrial]) -> Iterator[list[int]]:
    """What the model reads: each prompt with the longer of its answers."""
    for trial in trials.values():
        answer = max(trial.true, trial.new, key=len)
        for prompt in (trial.rewrite, *trial.paraphrases, *trial.neighbours):
            yield [*prompt, *answer]
