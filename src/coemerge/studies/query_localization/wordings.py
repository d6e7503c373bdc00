"""Does training in many wordings make a fact's neurons consistent? (methods 5.6, arm A8)

Facts of the arm are randomised to regimes. How many of them the model then knows depends on the
regime, so facts that are known are no longer compared by lot: the effect is read off all of them,
each in k wordings, whether they are answered right or not.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.query_localization.attributions import find_neurons
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.consistency import WORDINGS_ARM, own_consistency
from coemerge.studies.query_localization.queries import Subject, choose_queries
from coemerge.studies.shared.means import Rows, means, without_sd

TREATED, CONTROL = "reworded", "repeated"


def assigned_consistency(
    subject: Subject, config: QueryLocalizationConfig, cache: Path
) -> pd.DataFrame:
    """``ConsistencyRecord`` of all facts of arm A8, known or not; empty for runs without it."""
    if WORDINGS_ARM not in set(subject.facts["arm"]):
        return pd.DataFrame(columns=["seed", "fact_id", "regime", "localiser", "sets", "cs2"])
    everyone = replace(
        config, only_known=False, arms=(WORDINGS_ARM,), facts=None, n_facts=None, min_facts=0
    )
    queries = choose_queries(subject, everyone)
    found = find_neurons(subject, queries.ids, queries.answers, queries.k, config, cache)
    return own_consistency(queries, found, config).assign(seed=subject.seed)


def wording_effects(
    known: pd.DataFrame, assigned: pd.DataFrame, config: QueryLocalizationConfig
) -> Rows:
    """``WordingEffectsRecord``, of all facts as assigned, and of those that are ``known``
    (``ConsistencyRecord``); empty for runs without the arm."""
    known = known[(known["regime"] != "") & (known["control"] == "none")]
    return [
        {**row, "facts": name}
        for name, frame in (("assigned", assigned), ("known", known))
        for row in _effects(frame.dropna(subset=["cs2"]), config)
    ]


def _effects(frame: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    rows = without_sd(means(frame, ["regime", "localiser", "sets"], "cs2", config))
    for (localiser, sets), group in frame.groupby(["localiser", "sets"], sort=False):
        compared = group[group["regime"].isin([TREATED, CONTROL])]
        sizes = compared["regime"].value_counts().reindex([TREATED, CONTROL], fill_value=0)
        if not sizes.min():
            continue
        rows.append(
            {
                "regime": f"{TREATED} - {CONTROL}",
                "localiser": localiser,
                "sets": sets,
                **_contrast(compared, config),
                "n": int(sizes.min()),
            }
        )
    return rows


def _contrast(facts: pd.DataFrame, config: QueryLocalizationConfig) -> dict[str, float]:
    """Difference of the means, with an interval over seeds and facts."""
    pairs = facts.assign(treated=facts["regime"] == TREATED)
    samples = [group[["cs2", "treated"]].to_numpy(float) for _, group in pairs.groupby("seed")]
    found = hierarchical_bootstrap(samples, _difference, config.seed, config.bootstrap_draws)
    return {"cs2": found.mean, "low": found.low, "high": found.high}


def _difference(pairs: np.ndarray) -> float:
    """Of (value, treated) [n,2]; NaN where a side is empty."""
    treated = pairs[:, 1] > 0
    if treated.all() or not treated.any():
        return float("nan")
    return float(pairs[treated, 0].mean() - pairs[~treated, 0].mean())
