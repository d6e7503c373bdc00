"""Does training in many wordings make a fact's neurons consistent? (methods 5.6, arm A8)

Facts of the arm are randomised to regimes, so a difference between regimes is their effect.
"""

import numpy as np
import pandas as pd

from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.shared.means import Rows, means, without_sd

TREATED, CONTROL = "reworded", "repeated"


def wording_effects(consistency: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    """``WordingEffectsRecord``; empty for runs without the arm."""
    frame = consistency[(consistency["regime"] != "") & (consistency["control"] == "none")]
    frame = frame.dropna(subset=["cs2"])
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
