"""Whose neurons an answer hangs on: the query's own, or those of the fact's other queries?
(methods 5.4)"""

from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.localization.neuron_sets import random_sets
from coemerge.localization.suppression import change_of_probability
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.controls import another_fact
from coemerge.studies.query_localization.queries import Queries

NEURONS = ("own", "union", "intersection", "mismatched", "random")
FACTORS = (0.0, 2.0)
_FACTS_AT_ONCE = 64  # bounds the sets that are held


def mapping(
    model: nn.Module,
    queries: Queries,
    attribution: Tensor,
    sets: Tensor,
    config: QueryLocalizationConfig,
) -> pd.DataFrame:
    """``MappingRecord`` but for seed and class; ``attribution`` and bool ``sets`` [F,k,L,m].

    Matched sets are as large as the smallest of own, union and intersection, those neurons first
    that are credited most: by the query for its own, on average over the others for theirs.
    """
    other = torch.as_tensor(another_fact(queries, config.seed + 6))
    blocks = torch.arange(len(queries.facts)).split(_FACTS_AT_ONCE)
    runs = list(product(blocks, ("full", "matched")))
    generators = {sizes: _generators(config) for sizes in ("full", "matched")}
    frames = []
    for facts, sizes in tqdm(runs, desc="changing neurons", unit="block"):
        mismatched = sets[other[facts]] & (other[facts] >= 0)[:, None, None, None]
        values = attribution[facts]
        chosen = {**compared_sets(sets[facts]), "mismatched": mismatched}
        if sizes == "matched":
            values_of = {"own": values, "mismatched": attribution[other[facts]]}
            chosen = matched_sets(values, chosen, values_of)
        draws = [random_sets(chosen["own"], generator) for generator in generators[sizes]]
        names = [*chosen, *["random"] * len(draws)]
        stacked = torch.stack([*chosen.values(), *draws])
        for factor in FACTORS:
            found = _changes(model, queries, facts, stacked, factor, config.least_probability)
            frames += [
                frame.assign(neurons=name, sizes=sizes, factor=factor)
                for name, frame in zip(names, found, strict=True)
            ]
    keys = ["fact_id", "neurons", "sizes", "factor"]
    return pd.concat(frames).groupby(keys, sort=False).mean().reset_index()


def _generators(config: QueryLocalizationConfig) -> list[torch.Generator]:
    """One per draw."""
    seeds = [config.seed + 100 * draw for draw in range(config.random_draws)]
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _changes(
    model: nn.Module, queries: Queries, facts: Tensor, sets: Tensor, factor: float, least: float
) -> list[pd.DataFrame]:
    """Per kind of sets and fact, means over the queries for which it is defined; ``sets``
    [n,F,k,L,m], n kinds for ``facts`` [F]."""
    rows = (facts[:, None] * queries.k + torch.arange(queries.k)).flatten()
    ids, answers = ([of[row] for row in rows] for of in (queries.ids, queries.answers))
    prompt = torch.arange(len(rows)).repeat(len(sets))
    found = change_of_probability(
        model, ids, answers, sets.flatten(0, 2), prompt, factor, least=least
    )
    n_neurons = sets.flatten(3).sum(-1).flatten(1).numpy().astype(float)  # [n,F*k]
    change = np.where(n_neurons > 0, found.double().view(len(sets), -1).numpy(), np.nan)
    names = queries.facts["fact_id"].to_numpy()[queries.fact_of[rows]]
    return [
        pd.DataFrame({"fact_id": names, "delta_prob": of_kind, "n_neurons": sizes})
        .groupby("fact_id", sort=False)
        .agg(
            delta_prob=("delta_prob", "mean"),
            n_neurons=("n_neurons", "mean"),
            n=("delta_prob", "count"),
        )
        for of_kind, sizes in zip(change, n_neurons, strict=True)
    ]


def compared_sets(sets: Tensor) -> dict[str, Tensor]:
    """Per query: its own set, union and intersection of the fact's others, bool [F,k,L,m] each."""
    count = sets.sum(1, keepdim=True) - sets.long()  # of the other queries, how many have a neuron
    return {"own": sets, "union": count > 0, "intersection": count == sets.shape[1] - 1}


def matched_sets(
    attribution: Tensor, compared: dict[str, Tensor], values_of: dict[str, Tensor]
) -> dict[str, Tensor]:
    """``compared`` cut to the smallest of own, union and intersection; empty where one of these
    is. ``values_of``: what ranks a set's neurons; else the mean attribution of other queries."""
    others = (attribution.sum(1, keepdim=True) - attribution) / (attribution.shape[1] - 1)
    three = ("own", "union", "intersection")
    n = torch.stack([compared[name].flatten(2).sum(-1) for name in three]).amin(0)  # [F,k]
    return {
        name: strongest(values_of.get(name, others), sets, n) for name, sets in compared.items()
    }


def strongest(attribution: Tensor, sets: Tensor, n: Tensor) -> Tensor:
    """The ``n`` [...] neurons of every set [...,L,m] with the highest attribution; all of a set
    that has fewer."""
    values = attribution.masked_fill(~sets, -torch.inf).flatten(-2)
    most = int(n.max()) if n.numel() else 0
    place = values.topk(most, dim=-1).indices
    kept = torch.arange(most) < n[..., None]
    return torch.zeros_like(values, dtype=torch.bool).scatter(-1, place, kept).view_as(sets) & sets
