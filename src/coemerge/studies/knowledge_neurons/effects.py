"""What sets of neurons do to answers and to other words, on prompts that they were not found in
(methods 6.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from coemerge.localization.changed_neurons import Predictions
from coemerge.statistics.resampling import hierarchical_means
from coemerge.studies.knowledge_neurons.changes import (
    CHANGES,
    CONTROLS,
    MISMATCHED,
    NONE,
    RANDOM,
    changed_sets,
    mismatched,
    of_change,
    predict,
)
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.subject import CLASS, Found, Group, Subject
from coemerge.studies.shared.means import Rows

MEASURES = ("error", "p")
ALL = "all"
_GROUPS_AT_ONCE = 16  # bounds the sets and predictions that are held


@dataclass(frozen=True)
class WordEffects:
    """Probabilities of a class group's W words after its N test prompts: ``before`` [N,W] of the
    untouched model, ``after`` [2,N,W] with the class's neurons changed as ``CHANGES`` says, and of
    random sets ``random`` [2,D,W], means over prompts."""

    group: Group
    before: np.ndarray
    after: np.ndarray
    random: np.ndarray


@dataclass(frozen=True)
class SetEffects:
    """``prompts``: a row for every test prompt of every group under every change and control:
    kind, topic, level, group, prompt, item, change, control, and error and p (see
    ``CategoricalRecord``), each _before and _after; of random sets the mean over draws. ``words``:
    of every class group that inspects any."""

    prompts: pd.DataFrame
    words: list[WordEffects]


def set_effects(subject: Subject, found: Found, config: KnowledgeNeuronsConfig) -> SetEffects:
    """Every group's test prompts with its own neurons changed, with those of ``mismatched`` and
    with random ones.

    A group without neurons, whose changes do nothing, counts with differences of 0. The model is
    left as found.
    """
    frames: list[pd.DataFrame] = []
    words: list[WordEffects] = []
    partners = mismatched(found.groups)
    order = sorted(range(len(found.groups)), key=lambda g: found.groups[g].level)  # alike in words
    with tqdm(total=len(order), desc="changing neurons", unit="set") as bar:
        for start in range(0, len(order), _GROUPS_AT_ONCE):
            part = order[start : start + _GROUPS_AT_ONCE]
            groups = [found.groups[g] for g in part]
            changed = torch.stack([changed_sets(found, g, partners[g], config) for g in part])
            for g, group, predicted in zip(
                part, groups, predict(subject, groups, changed), strict=True
            ):
                frames.append(_prompt_rows(group, predicted, partners[g] is not None))
                if group.words and group.test:
                    words.append(_word_effects(group, predicted))
            bar.update(len(part))
    return SetEffects(pd.concat(frames, ignore_index=True), words)


def _prompt_rows(group: Group, predicted: Predictions, has_partner: bool) -> pd.DataFrame:
    p = predicted.log_probs[..., 0].double().exp().numpy()
    is_likelier = (predicted.log_probs[..., 0] > predicted.log_probs[..., 1]).numpy()
    answers = np.array([prompt.answer[0] for prompt in group.test])
    is_likeliest = predicted.likeliest.numpy() == answers.reshape(-1, 1)
    is_pair = np.array([prompt.foil is not None for prompt in group.test], bool).reshape(-1, 1)
    error = 1.0 - np.where(is_pair, is_likelier, is_likeliest)
    named = pd.DataFrame(
        {
            **group.keys,
            "prompt": [prompt.name for prompt in group.test],
            "item": [prompt.item for prompt in group.test],
        }
    )
    frames = [
        named.assign(
            change=change,
            control=control,
            error_before=error[:, 0],
            error_after=_mean_over_draws(error, number, control),
            p_before=p[:, 0],
            p_after=_mean_over_draws(p, number, control),
        )
        for (number, change), control in product(enumerate(CHANGES), CONTROLS)
        if has_partner or control != MISMATCHED
    ]
    return pd.concat(frames, ignore_index=True)


def _mean_over_draws(values: np.ndarray, number: int, control: str) -> np.ndarray:
    """[N,...] out of [N,1+2(2+D),...], under change ``number``."""
    changed, place = of_change(values, number), CONTROLS.index(control)
    return changed[:, place:].mean(1) if control == RANDOM else changed[:, place]


def _word_effects(group: Group, predicted: Predictions) -> WordEffects:
    p = predicted.log_probs[..., 2 : 2 + len(group.words)].double().exp().numpy()
    changed = [of_change(p, number) for number in range(len(CHANGES))]
    return WordEffects(
        group=group,
        before=p[:, 0],
        after=np.stack([values[:, CONTROLS.index(NONE)] for values in changed]),
        random=np.stack([values[:, CONTROLS.index(RANDOM) :].mean(0) for values in changed]),
    )


def categorical_rows(seeds: Sequence[pd.DataFrame], config: KnowledgeNeuronsConfig) -> Rows:
    """``CategoricalRecord`` out of ``SetEffects.prompts``, one of each seed. Of items, topics are
    not divided further: their groups are single words or facts."""
    joined = pd.concat([frame.assign(seed=s) for s, frame in enumerate(seeds)], ignore_index=True)
    for measure in MEASURES:
        joined[f"{measure}_difference"] = joined[f"{measure}_after"] - joined[f"{measure}_before"]
    rows: Rows = []
    for (kind, level), of_level in joined.groupby(["kind", "level"], sort=False):
        cells = [(ALL, ALL, of_level)]
        for topic, of_topic in of_level.groupby("topic", sort=False):
            cells.append((topic, ALL, of_topic))
            if level == CLASS:
                groups = of_topic.groupby("group", sort=False)
                cells += [(topic, group, of_group) for group, of_group in groups]
        for topic, group, cell in cells:
            named = {"kind": kind, "topic": topic, "level": level, "group": group}
            rows += [named | row for row in _cell_rows(cell, config)]
    return rows


def _cell_rows(cell: pd.DataFrame, config: KnowledgeNeuronsConfig) -> Rows:
    """Prompts of an item are resampled together; each prompt counts the same."""
    columns = [f"{m}_{what}" for m in MEASURES for what in ("before", "after", "difference")]
    by = ["change", "control"]
    prompts_of = cell.drop_duplicates(["seed", "topic", "group", "prompt"])
    tables, weights = [], []
    kinds = cell[by].drop_duplicates()
    order = pd.MultiIndex.from_tuples(
        [(c, *kind) for c in columns for kind in kinds.itertuples(index=False)]
    )
    for seed, of_seed in cell.groupby("seed"):
        wide = of_seed.groupby(["item", *by])[columns].mean().unstack(by)
        tables.append(wide.reindex(columns=order).to_numpy())
        counts = prompts_of[prompts_of["seed"] == seed].groupby("item").size()
        weights.append(counts.reindex(wide.index).to_numpy(float))
    found = hierarchical_means(tables, config.seed, config.bootstrap_draws, weights)
    place = {key: i for i, key in enumerate(order)}
    n_groups = len(cell[["seed", "topic", "group"]].drop_duplicates())
    rows: Rows = []
    for (change, control), measure in product(kinds.itertuples(index=False), MEASURES):
        at = {
            what: place[f"{measure}_{what}", change, control]
            for what in ("before", "after", "difference")
        }
        rows.append(
            {
                "change": change,
                "control": control,
                "measure": measure,
                **{what: float(found.mean[i]) for what, i in at.items()},
                "low": float(found.low[at["difference"]]),
                "high": float(found.high[at["difference"]]),
                "n": len(prompts_of),
                "n_groups": n_groups,
            }
        )
    return rows
