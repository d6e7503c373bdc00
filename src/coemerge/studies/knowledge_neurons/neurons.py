"""Which neurons the answers of a group's prompts are due to, and how alike prompts are in that
(methods 6.2, 6.3)."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import chain
from math import ceil, comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from coemerge.interventions.architecture import ModuleMap
from coemerge.localization.neuron_sets import adaptive_refined_set, coarse_sets, refined_set
from coemerge.localization.prompts import stable_seed
from coemerge.statistics.similarity import compare
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.subject import Found, Group, Subject
from coemerge.studies.shared.attributions import kept_attributions
from coemerge.tables.knowledge_neurons_records import GroupNeuronsRecord, NeuronGroupsRecord


def find_sets(
    subject: Subject, groups: Sequence[Group], config: KnowledgeNeuronsConfig, cache: Path
) -> Found:
    """The refined set of every group's ``search`` prompts, for their answers' first token.
    Attributions that are in ``cache`` are read. The model is left as found."""
    attribution, rows_of = _attributed(subject, groups, config, cache)
    coarse = coarse_sets(attribution, config.tau)
    n_compared = _n_compared(groups, rows_of, attribution)
    modules = ModuleMap(subject.model)
    sets = torch.zeros(len(groups), modules.n_layers, modules.d_mlp, dtype=torch.bool)
    rows, units = [], [pd.DataFrame(columns=_columns(GroupNeuronsRecord))]
    for g, (group, at, n) in enumerate(zip(groups, rows_of, n_compared, strict=True)):
        own, values = coarse[at], attribution[at]
        sets[g], share = _refined(own, config)
        rows.append(_set_row(group, own, sets[g], share, config) | _alike(group, values, n, config))
        units.append(_unit_rows(group, own, values, sets[g]))
    return Found(
        groups=list(groups),
        sets=sets,
        rows=pd.DataFrame(rows, columns=_columns(NeuronGroupsRecord)),
        units=pd.concat([unit for unit in units if len(unit)] or units[:1], ignore_index=True),
    )


def _attributed(
    subject: Subject, groups: Sequence[Group], config: KnowledgeNeuronsConfig, cache: Path
) -> tuple[Tensor, list[Tensor]]:
    """Attributions of the D distinct prompts, float32 [D,L,m], and which of them each group has."""
    keys = [[(prompt.ids, prompt.answer[0]) for prompt in group.search] for group in groups]
    place = {key: row for row, key in enumerate(dict.fromkeys(chain.from_iterable(keys)))}
    attribution = kept_attributions(
        subject.model,
        subject.identity,
        [list(ids) for ids, _ in place],
        [[token] for _, token in place],
        config.attribution,
        cache,
    )
    return attribution, [torch.tensor([place[key] for key in of_group]) for of_group in keys]


def _n_compared(
    groups: Sequence[Group], rows_of: Sequence[Tensor], attribution: Tensor
) -> list[int]:
    """Prompts per draw of every group: alike within a level, half of those that the group with the
    fewest has, at least 2; prompts without any attribution, and groups with fewer than 2 others, do
    not count.

    Halves, because draws of all prompts would all be the same: how much halves differ is how far
    the similarity of all would differ with other prompts."""
    has_any = (attribution.amax((1, 2)) > 0) | (attribution.amin((1, 2)) < 0)
    usable = [int(has_any[at].sum()) for at in rows_of]
    least: dict[str, int] = {}
    for group, n in zip(groups, usable, strict=True):
        if n > 1:
            least[group.level] = min(n, least.get(group.level, n))
    wanted = {level: max(2, ceil(n / 2)) for level, n in least.items()}
    return [min(n, wanted.get(group.level, n)) for n, group in zip(usable, groups, strict=True)]


def _refined(coarse: Tensor, config: KnowledgeNeuronsConfig) -> tuple[Tensor, float]:
    """The set of the search, and its share. Of few prompts the search can go back and forth between
    more neurons than it should find and none, and end with none: then the former are the set."""
    found, share = adaptive_refined_set(
        coarse, config.share, config.share_step, config.share_steps, config.least, config.most
    )
    while not found.any() and share > 0:
        share = max(0.0, round(share - config.share_step, 9))
        found = refined_set(coarse, share)
    return found, share


def _set_row(
    group: Group, coarse: Tensor, found: Tensor, share: float, config: KnowledgeNeuronsConfig
) -> dict[str, Any]:
    n = int(found.sum())
    return {
        **group.keys,
        "n_prompts": len(group.search),
        "n_neurons": n,
        "n_coarse": coarse.sum((1, 2)).double().mean().item(),
        "share": share,
        "is_small": config.least <= n <= config.most,
    }


def _alike(
    group: Group, attribution: Tensor, n: int, config: KnowledgeNeuronsConfig
) -> dict[str, Any]:
    """Similarity of ``n`` of the prompts, over draws. Where there are fewer different draws than
    are made, most are made again and again: how far they differ is then no interval."""
    rng = np.random.default_rng(stable_seed(config.seed, *group.keys.values()))
    found = compare(attribution.flatten(1).numpy(), n, config.similarity_draws, rng)
    n_different = comb(len(attribution) - found.n_zero, n)
    is_varied = n_different >= config.similarity_draws
    low, high = np.quantile(found.excess, (0.025, 0.975)) if is_varied else (np.nan, np.nan)
    return {
        "n_compared": n,
        "n_zero": found.n_zero,
        "similarity": float(found.similarity.mean()),
        "baseline": float(found.baseline.mean()),
        "excess": float(found.excess.mean()),
        "low": float(low),
        "high": float(high),
    }


def _unit_rows(group: Group, coarse: Tensor, attribution: Tensor, found: Tensor) -> pd.DataFrame:
    layer, neuron = torch.nonzero(found, as_tuple=True)
    return pd.DataFrame(
        {
            **group.keys,
            "layer": layer,
            "neuron": neuron,
            "found_in": coarse[:, layer, neuron].double().mean(0),
            "attribution": attribution[:, layer, neuron].double().mean(0),
        }
    )


def _columns(record: type) -> list[str]:
    return [field.name for field in fields(record) if field.name != "seed"]
