"""Edits of one model for the first query of facts, and what they are judged by (methods 5.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from coemerge.editing.evaluation import EditScores, evaluate_edits
from coemerge.editing.neurons import erase_each, update_each
from coemerge.editing.trials import Trial
from coemerge.interventions.edits import Edit
from coemerge.localization.neuron_sets import coarse_sets, consistency_aware_set
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.controls import of_other_relations, of_the_relation
from coemerge.studies.query_localization.queries import Ids, Queries

Setting = tuple[float, float]  # beta, tau
_MEASURES = ("rel", "gen", "loc", "avg", "rel_before", "gen_before", "n_gen", "n_loc", "ppl_change")


@dataclass(frozen=True)
class Editor:
    """Edits of one model for the first query of facts, judged on their others, on queries of other
    facts and on ``text``."""

    model: nn.Module
    queries: Queries
    attribution: Tensor  # [F,k,L,m]
    config: QueryLocalizationConfig
    text: Tensor | None = None

    @cached_property
    def wanted(self) -> np.ndarray:
        """See ``other_answers``."""
        return other_answers(self.queries, self.config.seed)

    @cached_property
    def far(self) -> list[np.ndarray]:
        """Of each fact, queries of other relations that its edits should leave alone."""
        return of_other_relations(self.queries, self.config.unrelated, self.config.seed + 3)

    @cached_property
    def near(self) -> list[np.ndarray]:
        """And of its own relation."""
        return of_the_relation(self.queries, self.config.unrelated, self.config.seed + 4)

    def scores(self, edit: str, facts: np.ndarray, neurons: Tensor, whole: bool) -> pd.DataFrame:
        """``judged`` edits of neurons, with n_neurons: ``facts`` [E] with the sets to be edited,
        bool [E,L,m]. Facts that an update has no other answer for are left out."""
        if edit == "update":
            possible = self.wanted[facts] >= 0
            facts, neurons = facts[possible], neurons[torch.as_tensor(possible)]
            old = self.queries.answer[facts * self.queries.k].tolist()
            new, (first, second) = self.wanted[facts].tolist(), self.config.lambdas
            edits = update_each(self.model, neurons, old, new, (first, second))
        else:
            edits = erase_each(self.model, neurons)
        found = self.judged(edit, edits, facts, whole)
        return found.assign(n_neurons=neurons.flatten(1).sum(1).numpy())

    def judged(
        self, edit: str, edits: Sequence[Edit], facts: np.ndarray, whole: bool
    ) -> pd.DataFrame:
        """fact_id and measures of ``edits``, one for each of ``facts`` [E], whatever made them.
        ``whole``: with perplexity, and Gen and Loc on what made neither sets nor settings."""
        others = [self._neighbours[f] for f in facts]
        text = self.text if whole else None
        found = self._evaluated(edit, edits, facts, others, self.far, text)
        frame = pd.DataFrame(
            {
                "fact_id": self.queries.facts["fact_id"].to_numpy()[facts],
                **{name: getattr(found, name) for name in _MEASURES},
            }
        )
        if whole:
            others = [self.queries.more[f] for f in facts]
            beyond = self._evaluated(edit, edits, facts, others, self.near, None)
            frame = frame.assign(gen_new=beyond.gen, loc_near=beyond.loc)
        return frame

    def _evaluated(
        self,
        edit: str,
        edits: Sequence[Edit],
        facts: np.ndarray,
        others: Sequence[Sequence[Ids]],
        unrelated: Sequence[np.ndarray],
        text: Tensor | None,
    ) -> EditScores:
        """``others``: further queries for each of ``facts``; ``unrelated``: of every fact."""
        k, ids = self.queries.k, self.queries.ids
        trials = [
            Trial(
                edited=ids[f * k],
                others=more,
                unrelated=[ids[row] for row in unrelated[f]],
                answer=int(self.queries.answer[f * k]),
                wanted=int(self.wanted[f]) if edit == "update" else None,
            )
            for f, more in zip(facts, others, strict=True)
        ]
        return evaluate_edits(self.model, edits, trials, text)

    @cached_property
    def _neighbours(self) -> list[list[Ids]]:
        """Of each fact, its queries but the first."""
        k, ids = self.queries.k, self.queries.ids
        return [ids[f * k + 1 : (f + 1) * k] for f in range(len(self.queries.facts))]

    def sets(self, name: str, facts: np.ndarray, setting: Setting) -> Tensor:
        """Neurons of ``facts`` by one of the ``TUNED`` ways, bool [E,L,m]."""
        beta, tau = setting
        values = self.attribution[torch.as_tensor(facts)]
        if name == "local":
            return coarse_sets(values[:, 0], tau)
        if name == "global":
            return coarse_sets(values, tau).any(1)
        return torch.stack([consistency_aware_set(of_fact, beta, tau) for of_fact in values])


def other_answers(queries: Queries, seed: int) -> np.ndarray:
    """For each fact the first token of another fact's answer of the same relation; -1 where all
    answers are alike."""
    rng = np.random.default_rng(seed)
    answer, relation = queries.answer[:: queries.k], queries.facts["relation"].to_numpy()
    wanted = np.full(len(answer), -1)
    for f in range(len(answer)):
        pool = np.unique(answer[(relation == relation[f]) & (answer != answer[f])])
        if len(pool):
            wanted[f] = rng.choice(pool)
    return wanted
