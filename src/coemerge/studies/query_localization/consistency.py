"""How alike the neurons of a fact's queries are, beside nulls (methods 5.2)."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from coemerge.localization.neuron_sets import coarse_sets, random_sets, top_sets
from coemerge.statistics.consistency import consistency_scores
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.controls import Contexts, of_others
from coemerge.studies.query_localization.queries import Queries
from coemerge.studies.shared.means import Rows, measured

WORDINGS_ARM = "A8_wordings"


def own_consistency(
    queries: Queries, found: dict[str, Tensor], config: QueryLocalizationConfig
) -> pd.DataFrame:
    """``ConsistencyRecord`` without the seed, of the queries alone."""
    every = np.arange(len(queries.facts))
    frames = [
        _scores(queries, every, _sets(attribution, kind, config)).assign(
            localiser=localiser, sets=kind, control="none"
        )
        for localiser, attribution in found.items()
        for kind in ("threshold", "top")
    ]
    return pd.concat(frames, ignore_index=True)


def fact_consistency(
    queries: Queries,
    found: dict[str, Tensor],
    contexts: Contexts,
    behind: dict[str, Tensor],
    seed: int,
    config: QueryLocalizationConfig,
) -> pd.DataFrame:
    """``ConsistencyRecord``: every localiser, kind of sets and control of one model. ``found``:
    attributions of the queries, [F,k,L,m] by localiser; ``behind``: of ``contexts``, [C,k,L,m]. A
    fact has no row of a control for which there are too few other facts or texts."""
    others = {
        "other_facts": of_others(queries, config.seed),
        "same_answer": of_others(queries, config.seed, same_answer=True),
    }
    every = np.arange(len(queries.facts))
    frames = [own_consistency(queries, found, config)]
    for localiser, attribution in found.items():
        for kind in ("threshold", "top"):
            own = _sets(attribution, kind, config)
            controls = {
                "context": (contexts.facts, _sets(behind[localiser], kind, config)),
                "random": (every, random_sets(own, config.seed)),
            }
            for control, rows in others.items():
                complete = np.flatnonzero((rows >= 0).all(1))
                of_rows = own.flatten(0, 1)[torch.as_tensor(rows[complete])]
                controls[control] = (complete, of_rows)
            for control, (facts, sets) in controls.items():
                frame = _scores(queries, facts, sets)
                frames.append(frame.assign(localiser=localiser, sets=kind, control=control))
    return pd.concat(frames, ignore_index=True).assign(seed=seed)


def _sets(attribution: Tensor, kind: str, config: QueryLocalizationConfig) -> Tensor:
    """bool [F,k,L,m]."""
    if kind == "threshold":
        return coarse_sets(attribution, config.tau)
    return top_sets(attribution, config.top)


def _scores(queries: Queries, facts: np.ndarray, sets: Tensor) -> pd.DataFrame:
    """One row for each of ``facts`` [C], with ``sets`` [C,k,L,m]."""
    flat = sets.flatten(2).numpy()
    found = consistency_scores(flat)
    table = queries.facts.iloc[facts]
    regime = table["detail"].where(table["arm"] == WORDINGS_ARM, "")
    return table[["fact_id", "relation", "arm"]].assign(
        regime=regime,
        cs1=found.cs1,
        cs2=found.cs2,
        k=queries.k,
        n_neurons=flat.sum(-1).mean(-1),
        n_union=found.n_union,
    )


def consistency_means(consistency: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    """``ConsistencyMeansRecord``, of every relation and of all; then what the queries have beyond
    each control, paired by fact."""
    keys = ["relation", "localiser", "sets", "control"]
    frame = pd.concat([consistency, consistency.assign(relation="all")])
    rows = measured(frame, keys, ("cs1", "cs2"), config)
    unit = ["seed", "fact_id", "relation", "localiser", "sets"]
    own = frame[frame["control"] == "none"].set_index(unit)[["cs1", "cs2"]]
    for control, group in frame[frame["control"] != "none"].groupby("control", sort=False):
        beyond = (own - group.set_index(unit)[["cs1", "cs2"]]).dropna().reset_index()
        rows += measured(beyond.assign(control=f"none - {control}"), keys, ("cs1", "cs2"), config)
    return rows
