"""What editing neurons does: those of one query, of all the fact's queries, and those that the
queries agree on (methods 5.3, 5.5)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.editing.evaluation import EditScores, Trial, evaluate_edits
from coemerge.editing.neurons import erase_each, update_each
from coemerge.localization.neuron_sets import consistency_aware_set
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.consistency import random_sets
from coemerge.studies.query_localization.queries import Queries, of_other_relations
from coemerge.studies.shared.means import Rows

log = logging.getLogger(__name__)
EDITS = ("erase", "update")
SETS = ("local", "global", "consistent", "random")
_MEASURES = ("rel", "gen", "loc", "avg", "rel_before", "gen_before", "ppl_change")


@dataclass(frozen=True)
class Editor:
    """Edits of one model for the first query of facts, judged on their others, on unrelated queries
    and on ``text``."""

    model: nn.Module
    queries: Queries
    attribution: Tensor  # [F,k,L,m]
    sets: Tensor  # bool [F,k,L,m]
    config: QueryLocalizationConfig
    text: Tensor | None = None

    @cached_property
    def wanted(self) -> np.ndarray:
        """See ``other_answers``."""
        return other_answers(self.queries, self.config.seed)

    @cached_property
    def unrelated(self) -> list[np.ndarray]:
        """Of each fact, the queries that its edits should leave alone."""
        return of_other_relations(self.queries, self.config.unrelated, self.config.seed + 3)

    def scores(self, edit: str, facts: np.ndarray, neurons: Tensor, text: bool) -> pd.DataFrame:
        """``facts`` [E] with the sets to be edited, bool [E,L,m]: fact_id, n_neurons, measures.
        Facts that an update has no other answer for are left out."""
        if edit == "update":
            possible = self.wanted[facts] >= 0
            facts, neurons = facts[possible], neurons[torch.as_tensor(possible)]
        rows = facts * self.queries.k
        old, new = self.queries.answer[rows].tolist(), self.wanted[facts].tolist()
        if edit == "erase":
            edits = erase_each(self.model, neurons)
        else:
            first, second = self.config.lambdas
            edits = update_each(self.model, neurons, old, new, (first, second))
        trials = [
            self._trial(int(fact), answer, wanted if edit == "update" else None)
            for fact, answer, wanted in zip(facts, old, new, strict=True)
        ]
        found = evaluate_edits(self.model, edits, trials, self.text if text else None)
        return self._frame(facts, neurons, found)

    def _trial(self, fact: int, answer: int, wanted: int | None) -> Trial:
        first, k = fact * self.queries.k, self.queries.k
        ids = self.queries.ids
        return Trial(
            edited=ids[first],
            others=ids[first + 1 : first + k],
            unrelated=[ids[row] for row in self.unrelated[fact]],
            answer=answer,
            wanted=wanted,
        )

    def _frame(self, facts: np.ndarray, neurons: Tensor, found: EditScores) -> pd.DataFrame:
        measures = {name: getattr(found, name) for name in _MEASURES}
        return pd.DataFrame(
            {
                "fact_id": self.queries.facts["fact_id"].to_numpy()[facts],
                "n_neurons": neurons.flatten(1).sum(1).numpy(),
                **measures,
            }
        )

    def agreed(self, facts: np.ndarray, beta: float, tau: float) -> Tensor:
        """Consistency-aware sets, bool [E,L,m]."""
        return torch.stack(
            [consistency_aware_set(self.attribution[f].float(), beta, tau) for f in facts]
        )


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


def split(n: int, config: QueryLocalizationConfig) -> tuple[np.ndarray, np.ndarray]:
    """(dev, test) facts of ``n``, at random; at least one of each where there are two."""
    order = np.random.default_rng(config.seed + 4).permutation(n)
    n_dev = min(max(round(config.dev_share * n), 1), n - 1)
    return np.sort(order[:n_dev]), np.sort(order[n_dev:])


def tried_settings(editor: Editor, facts: np.ndarray) -> pd.DataFrame:
    """Of dev facts: edit, beta, tau and avg of consistency-aware sets."""
    frames = []
    settings = list(product(editor.config.betas, editor.config.taus))
    for beta, tau in tqdm(settings, desc="choosing edits", unit="setting"):
        neurons = editor.agreed(facts, beta, tau)
        for edit in EDITS:
            found = editor.scores(edit, facts, neurons, text=False)
            frames.append(found.assign(edit=edit, beta=beta, tau=tau))
    return pd.concat(frames, ignore_index=True)


def chosen_settings(tried: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Edit -> (beta, tau) with the highest mean avg over all dev facts; the smallest of equals. An
    edit that no dev fact allows, such as updates where no relation has two answers, is left out."""
    if missing := sorted(set(EDITS) - set(tried["edit"])):
        log.warning("no dev fact allows to %s: this edit is left out", " or ".join(missing))
    mean = tried.groupby(["edit", "beta", "tau"])["avg"].mean().fillna(-np.inf)
    return {
        str(edit): tuple(map(float, of_edit.droplevel("edit").idxmax()))  # type: ignore[misc]
        for edit, of_edit in mean.groupby("edit")
    }


def neuron_edits(
    editor: Editor, facts: np.ndarray, settings: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """``NeuronEditsRecord`` of test facts, but for seed and class: every edit in ``settings``."""
    local = editor.sets[:, 0]
    compared = {
        "local": local,
        "global": editor.sets.any(1),
        "random": random_sets(local, editor.config.seed + 5),
    }
    frames = []
    for edit, name in tqdm(list(product(settings, SETS)), desc="editing", unit="kind"):
        used = settings[edit] if name == "consistent" else (np.nan, np.nan)
        if name == "consistent":
            neurons = editor.agreed(facts, *used)
        else:
            neurons = compared[name][torch.as_tensor(facts)]
        found = editor.scores(edit, facts, neurons, text=True)
        frames.append(found.assign(edit=edit, neurons=name, beta=used[0], tau=used[1]))
    return pd.concat(frames, ignore_index=True)


def choice_rows(tried: Sequence[pd.DataFrame], settings: Mapping[str, tuple[float, float]]) -> Rows:
    """``ConsistentChoiceRecord``, over all models."""
    grouped = pd.concat(tried).groupby(["edit", "beta", "tau"])["avg"]
    return [
        {
            "edit": edit,
            "beta": beta,
            "tau": tau,
            "avg": avg,
            "chosen": settings[edit] == (beta, tau),
            "n": n,
        }
        for (edit, beta, tau), avg, n in zip(
            grouped.mean().index, grouped.mean(), grouped.count(), strict=True
        )
    ]
