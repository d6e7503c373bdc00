"""Does attention choose the neurons? Knowledge synapses suppressed and enhanced, beside those of an
unrelated query (methods 5.4)."""

from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.localization.synapses import (
    chosen_synapses,
    synapse_effects,
    synapse_scores,
    unrelated_synapses,
)
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.controls import of_other_relations
from coemerge.studies.query_localization.mapping import FACTORS
from coemerge.studies.query_localization.queries import Queries

ROWS = {"raw": False, "renormalised": True}


def synapses_of(
    model: nn.Module, queries: Queries, config: QueryLocalizationConfig
) -> dict[str, list[Tensor]]:
    """Of every query: its ``own`` synapses, and equally many ``unrelated`` ones, where a query of
    another relation has its strongest; bool [L,H,T] each."""
    scores = synapse_scores(model, queries.ids, show_progress=True)
    own = [chosen_synapses(of_query, config.alpha) for of_query in scores]
    others = of_other_relations(queries, queries.k, config.seed + 2)
    unrelated = [
        unrelated_synapses(of_query, scores[int(others[f][q % len(others[f])])])
        for q, (f, of_query) in enumerate(zip(queries.fact_of, own, strict=True))
    ]
    return {"own": own, "unrelated": unrelated}


def synapses(
    model: nn.Module,
    queries: Queries,
    sets: Tensor,
    found: dict[str, list[Tensor]],
    config: QueryLocalizationConfig,
) -> pd.DataFrame:
    """``SynapsesRecord`` but for seed and class; ``sets`` bool [F,k,L,m], the neurons whose values
    are read; ``found``: see ``synapses_of``."""
    neurons = sets.flatten(0, 1)
    frames = []
    runs = list(product(found, FACTORS, ROWS))
    for name, factor, rows in tqdm(runs, desc="changing attention", unit="kind"):
        delta_kn, delta_prob = synapse_effects(
            model,
            queries.ids,
            queries.answers,
            neurons,
            found[name],
            factor,
            ROWS[rows],
            least=config.least_probability,
        )
        n_synapses = np.array([float(of_query.sum()) for of_query in found[name]])
        of_fact = _per_fact(queries, delta_kn, delta_prob, n_synapses)
        frames.append(of_fact.assign(synapses=name, factor=factor, rows=rows))
    return pd.concat(frames, ignore_index=True)


def _per_fact(
    queries: Queries, delta_kn: Tensor, delta_prob: Tensor, n_synapses: np.ndarray
) -> pd.DataFrame:
    values = torch.stack((delta_kn, delta_prob), 1).double().numpy()
    frame = pd.DataFrame(values, columns=["delta_kn", "delta_prob"])
    frame = frame.assign(fact=queries.fact_of, n_synapses=n_synapses)
    found = frame.groupby("fact").agg(
        delta_kn=("delta_kn", "mean"),
        delta_prob=("delta_prob", "mean"),
        n_synapses=("n_synapses", "mean"),
        n=("delta_kn", "count"),
    )
    return found.assign(fact_id=queries.facts["fact_id"].to_numpy()).reset_index(drop=True)
