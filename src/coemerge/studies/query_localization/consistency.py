"""How alike the neurons of a fact's queries are, beside three nulls (methods 5.2)."""

import pandas as pd
import torch
from torch import Tensor

from coemerge.localization.neuron_sets import coarse_sets, top_sets
from coemerge.statistics.consistency import consistency_scores
from coemerge.studies.query_localization.attributions import Attributions
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Queries, of_others
from coemerge.studies.shared.means import Rows, measured


def fact_consistency(
    queries: Queries, found: Attributions, seed: int, config: QueryLocalizationConfig
) -> pd.DataFrame:
    """``ConsistencyRecord``: every localiser, kind of sets and control of one model. Facts for
    which there are too few others of the relation have no row of control other_facts."""
    others = of_others(queries, config.seed)
    frames = []
    for localiser, attribution in found.queries.items():
        context = found.contexts[localiser]
        for kind in ("threshold", "top"):
            own = _sets(attribution, kind, config)
            controls = {
                "none": own,
                "other_facts": own.flatten(0, 1)[torch.as_tensor(others)],
                "context": _sets(context, kind, config),
                "random": random_sets(own, config.seed),
            }
            for control, sets in controls.items():
                frame = _scores(queries, sets).assign(localiser=localiser, sets=kind)
                complete = (others >= 0).all(1) | (control != "other_facts")
                frames.append(frame.assign(control=control)[complete])
    regime = queries.facts["detail"].where(queries.facts["arm"] == "A8_wordings", "")
    frame = pd.concat(frames).assign(seed=seed)
    return frame.assign(regime=regime.loc[frame.index]).reset_index(drop=True)


def _sets(attribution: Tensor, kind: str, config: QueryLocalizationConfig) -> Tensor:
    """bool [F,k,L,m]."""
    values = attribution.float()
    return coarse_sets(values, config.tau) if kind == "threshold" else top_sets(values, config.top)


def random_sets(sets: Tensor, seed: int) -> Tensor:
    """As many neurons in every layer of every set, any ones: bool, shaped as ``sets`` [...,L,m]."""
    generator = torch.Generator().manual_seed(seed)
    rank = torch.rand(sets.shape, generator=generator).argsort(-1).argsort(-1)
    return rank < sets.sum(-1, keepdim=True)


def _scores(queries: Queries, sets: Tensor) -> pd.DataFrame:
    """One row per fact, in their order."""
    flat = sets.flatten(2).numpy()
    found = consistency_scores(flat)
    return queries.facts[["fact_id", "relation", "arm"]].assign(
        cs1=found.cs1,
        cs2=found.cs2,
        k=queries.k,
        n_neurons=flat.sum(-1).mean(-1),
        n_union=found.n_union,
    )


def consistency_means(consistency: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    """``ConsistencyMeansRecord``, of every relation and of all."""
    keys = ["relation", "localiser", "sets", "control"]
    frame = pd.concat([consistency, consistency.assign(relation="all")])
    return measured(frame, keys, ("cs1", "cs2"), config)
