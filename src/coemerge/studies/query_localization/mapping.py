"""Whose neurons an answer hangs on: the query's own, or those of the fact's other queries?
(methods 5.4)"""

from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.localization.suppression import change_of_probability
from coemerge.studies.query_localization.consistency import random_sets
from coemerge.studies.query_localization.queries import Queries

NEURONS = ("own", "union", "intersection", "random")
FACTORS = (0.0, 2.0)


def mapping(
    model: nn.Module, queries: Queries, attribution: Tensor, sets: Tensor, seed: int
) -> pd.DataFrame:
    """``MappingRecord`` but for seed and class; ``attribution`` float and ``sets`` bool [F,k,L,m].

    Matched sets are as large as the smallest of own, union and intersection, those neurons first
    that are credited most: by the query for its own, on average over the others for theirs.
    """
    prompt = torch.arange(len(queries))
    frames = []
    chosen = {
        "full": compared_sets(sets, seed),
        "matched": matched_sets(attribution, sets, seed),
    }
    runs = list(product(chosen, NEURONS, FACTORS))
    for sizes, neurons, factor in tqdm(runs, desc="changing neurons", unit="kind"):
        of_rows = chosen[sizes][neurons].flatten(0, 1)
        found = change_of_probability(model, queries.ids, queries.answers, of_rows, prompt, factor)
        n_neurons = of_rows.flatten(1).sum(1).numpy()
        change = np.where(n_neurons > 0, found.double().numpy(), np.nan)
        of_fact = _per_fact(queries, change, n_neurons)
        frames.append(of_fact.assign(neurons=neurons, sizes=sizes, factor=factor))
    return pd.concat(frames, ignore_index=True)


def compared_sets(sets: Tensor, seed: int) -> dict[str, Tensor]:
    """Per query: its own set, union and intersection of the fact's others, and random neurons,
    bool [F,k,L,m] each."""
    count = sets.sum(1, keepdim=True) - sets.long()  # of the other queries, how many have a neuron
    return {
        "own": sets,
        "union": count > 0,
        "intersection": count == sets.shape[1] - 1,
        "random": random_sets(sets, seed),
    }


def matched_sets(attribution: Tensor, sets: Tensor, seed: int) -> dict[str, Tensor]:
    """``compared_sets`` cut to equal size; empty where one of the three is."""
    compared = compared_sets(sets, seed)
    others = (attribution.sum(1, keepdim=True) - attribution) / (attribution.shape[1] - 1)
    three = ("own", "union", "intersection")
    n = torch.stack([compared[name].flatten(2).sum(-1) for name in three]).amin(0)  # [F,k]
    cut = {
        name: strongest(attribution if name == "own" else others, compared[name], n)
        for name in three
    }
    return {**cut, "random": random_sets(cut["own"], seed)}


def strongest(attribution: Tensor, sets: Tensor, n: Tensor) -> Tensor:
    """The ``n`` [...] neurons of every set [...,L,m] with the highest attribution."""
    values = attribution.masked_fill(~sets, -torch.inf).flatten(-2)
    rank = values.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return (rank < n[..., None]).view_as(sets)


def _per_fact(queries: Queries, change: np.ndarray, n_neurons: np.ndarray) -> pd.DataFrame:
    """Means over the queries for which it is defined."""
    frame = pd.DataFrame(
        {"fact": queries.fact_of, "delta_prob": change, "n_neurons": n_neurons.astype(float)}
    )
    grouped = frame.groupby("fact")
    found = grouped.agg(
        delta_prob=("delta_prob", "mean"),
        n_neurons=("n_neurons", "mean"),
        n=("delta_prob", "count"),
    )
    return found.assign(fact_id=queries.facts["fact_id"].to_numpy()).reset_index(drop=True)
