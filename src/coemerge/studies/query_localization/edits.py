"""What editing neurons does: those of one query, of all the fact's queries, and those that the
queries agree on (methods 5.3, 5.5)."""

import logging
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from coemerge.localization.neuron_sets import random_sets
from coemerge.studies.query_localization.controls import another_fact
from coemerge.studies.query_localization.editor import Editor, Setting
from coemerge.studies.query_localization.mapping import strongest
from coemerge.studies.shared.means import Rows

log = logging.getLogger(__name__)
EDITS = ("erase", "update")
TUNED = ("local", "global", "consistent")
SETS = (*TUNED, "equal", "mismatched", "random")
Settings = Mapping[tuple[str, str], Setting]  # of (edit, tuned sets)


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
