"""What editing neurons does: those of one query, of all the fact's queries, and those that the
queries agree on (methods 5.3, 5.5)."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.editing.evaluation import EditScores, evaluate_edits
from coemerge.editing.neurons import erase_each, update_each
from coemerge.editing.trials import Trial
from coemerge.interventions.edits import Edit
from coemerge.localization.neuron_sets import coarse_sets, consistency_aware_set
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.consistency import random_sets
from coemerge.studies.query_localization.controls import (
    another_fact,
    of_other_relations,
    of_the_relation,
)
from coemerge.studies.query_localization.mapping import strongest
from coemerge.studies.query_localization.queries import Ids, Queries
from coemerge.studies.shared.means import Rows

log = logging.getLogger(__name__)
EDITS = ("erase", "update")
TUNED = ("local", "global", "consistent")
SETS = (*TUNED, "equal", "mismatched", "random")
Setting = tuple[float, float]  # beta, tau
Settings = Mapping[tuple[str, str], Setting]  # of (edit, tuned sets)
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
        """``facts`` [E] with the sets to be edited, bool [E,L,m]: fact_id, n_neurons, measures.
        ``whole``: with perplexity, and Gen and Loc on what made neither sets nor settings. Facts
        that an update has no other answer for are left out."""
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
        goals = new if edit == "update" else [None] * len(facts)
        judge = partial(self._judge, edits, facts, list(zip(old, goals, strict=True)))
        found = judge(self._neighbours, self.far, self.text if whole else None)
        frame = self._frame(facts, neurons, found)
        if whole:
            beyond = judge(self.queries.more, self.near, None)
            frame = frame.assign(gen_new=beyond.gen, loc_near=beyond.loc)
        return frame

    def _judge(
        self,
        edits: Sequence[Edit],
        facts: np.ndarray,
        goals: Sequence[tuple[int, int | None]],
        others: Sequence[Sequence[Ids]],
        unrelated: Sequence[np.ndarray],
        text: Tensor | None,
    ) -> EditScores:
        """``goals``: old and new answer of each edit; ``others``, ``unrelated``: of each fact."""
        trials = [
            Trial(
                edited=self.queries.ids[f * self.queries.k],
                others=others[f],
                unrelated=[self.queries.ids[row] for row in unrelated[f]],
                answer=old,
                wanted=new,
            )
            for f, (old, new) in zip(facts, goals, strict=True)
        ]
        return evaluate_edits(self.model, edits, trials, text)

    @cached_property
    def _neighbours(self) -> list[list[Ids]]:
        """Of each fact, its queries but the first."""
        k, ids = self.queries.k, self.queries.ids
        return [ids[f * k + 1 : (f + 1) * k] for f in range(len(self.queries.facts))]

    def _frame(self, facts: np.ndarray, neurons: Tensor, found: EditScores) -> pd.DataFrame:
        measures = {name: getattr(found, name) for name in _MEASURES}
        return pd.DataFrame(
            {
                "fact_id": self.queries.facts["fact_id"].to_numpy()[facts],
                "n_neurons": neurons.flatten(1).sum(1).numpy(),
                **measures,
            }
        )

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


def split(facts: Sequence[str], config: QueryLocalizationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Places of (dev, test) facts, by their names alone: a fact that settings are chosen on in one
    model is reported in none. At least one of each where there are two, whatever their names."""
    names = [f"{config.seed}/{fact}".encode() for fact in facts]
    share = np.array([int(hashlib.sha256(name).hexdigest()[:8], 16) for name in names]) / 16**8
    order = np.argsort(share)
    n_dev = min(max(int((share < config.dev_share).sum()), 1), len(order) - 1)
    return np.sort(order[:n_dev]), np.sort(order[n_dev:])


def tried_settings(editor: Editor, facts: np.ndarray) -> pd.DataFrame:
    """Of dev facts: edit, neurons, beta, tau and avg; the spread over queries (beta) concerns
    consistency-aware sets alone, for others it is 0."""
    config, frames = editor.config, []
    settings = [("consistent", setting) for setting in product(config.betas, config.taus)]
    settings += [(name, (0.0, tau)) for name in ("local", "global") for tau in config.taus]
    for name, setting in tqdm(settings, desc="choosing edits", unit="setting"):
        neurons = editor.sets(name, facts, setting)
        for edit in EDITS:
            found = editor.scores(edit, facts, neurons, whole=False)
            beta, tau = setting
            frames.append(found.assign(edit=edit, neurons=name, beta=beta, tau=tau))
    return pd.concat(frames, ignore_index=True)


def chosen_settings(tried: pd.DataFrame) -> Settings:
    """The (beta, tau) with the highest mean avg over all dev facts; the smallest of equals. An edit
    that no dev fact allows, such as updates where no relation has two answers, is left out."""
    if missing := sorted(set(EDITS) - set(tried["edit"])):
        log.warning("no dev fact allows to %s: this edit is left out", " or ".join(missing))
    mean = tried.groupby(["edit", "neurons", "beta", "tau"])["avg"].mean().fillna(-np.inf)
    chosen = {}
    for (edit, name), group in mean.groupby(["edit", "neurons"]):
        beta, tau = group.droplevel(["edit", "neurons"]).idxmax()
        chosen[str(edit), str(name)] = (float(beta), float(tau))
    return chosen


def neuron_edits(editor: Editor, facts: np.ndarray, settings: Settings) -> pd.DataFrame:
    """``NeuronEditsRecord`` of test facts, but for seed and class: every edit in ``settings``."""
    edits = list(dict.fromkeys(edit for edit, _ in settings))
    frames = []
    for edit, name in tqdm(list(product(edits, SETS)), desc="editing", unit="kind"):
        setting = settings[edit, name if name in TUNED else _LIKE[name]]
        drawn = [
            editor.scores(edit, places, neurons, whole=True)
            for places, neurons in _edited(editor, name, facts, setting)
        ]
        found = pd.concat(drawn).groupby("fact_id", sort=False).mean().reset_index()
        frames.append(found.assign(edit=edit, neurons=name, beta=setting[0], tau=setting[1]))
    return pd.concat(frames, ignore_index=True)


# Controls, and the sets that they are as large as.
_LIKE = {"equal": "consistent", "mismatched": "local", "random": "local"}


def _edited(
    editor: Editor, name: str, facts: np.ndarray, setting: Setting
) -> list[tuple[np.ndarray, Tensor]]:
    """Facts [E] with the sets to edit, bool [E,L,m]; of random ones several draws. ``equal``: the
    query's own neurons, as many as the consistency-aware set has; ``mismatched``: those of another
    fact's first query, without facts that are alone in their relation; ``random``: as many as
    local in every layer."""
    config, at = editor.config, torch.as_tensor(facts)
    if name in TUNED:
        return [(facts, editor.sets(name, facts, setting))]
    if name == "equal":
        n = editor.sets("consistent", facts, setting).flatten(1).sum(1)
        own = editor.attribution[at, 0]
        return [(facts, strongest(own, torch.ones_like(own, dtype=torch.bool), n))]
    if name == "mismatched":
        other = another_fact(editor.queries, config.seed + 5)[facts]
        facts, other = facts[other >= 0], other[other >= 0]
        return [(facts, editor.sets("local", other, setting))]
    local, draws = editor.sets("local", facts, setting), range(config.edit_draws)
    return [(facts, random_sets(local, config.seed + 100 * draw)) for draw in draws]


def choice_rows(tried: Sequence[pd.DataFrame], settings: Settings) -> Rows:
    """``ConsistentChoiceRecord``, over all models."""
    grouped = pd.concat(tried).groupby(["edit", "neurons", "beta", "tau"])["avg"]
    return [
        {
            "edit": edit,
            "neurons": name,
            "beta": beta,
            "tau": tau,
            "avg": avg,
            "chosen": settings[edit, name] == (beta, tau),
            "n": n,
        }
        for (edit, name, beta, tau), avg, n in zip(
            grouped.mean().index, grouped.mean(), grouped.count(), strict=True
        )
    ]
