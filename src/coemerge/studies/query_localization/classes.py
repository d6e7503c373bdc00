"""Which facts are consistent, by every localiser and threshold, and how many (methods 5.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coemerge.statistics.consistency import is_inconsistent, otsu, welch
from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.query_localization.config import OTSU, QueryLocalizationConfig
from coemerge.studies.shared.means import Rows

CONSISTENT, INCONSISTENT = "consistent", "inconsistent"
ALL = "all"
_NO_CLASSES = dict.fromkeys(
    ("cut", "cs2_consistent", "cs2_inconsistent", "welch_t", "p_value"), float("nan")
)


@dataclass(frozen=True)
class Cuts:
    """The value of cs2 up to which a fact is inconsistent, by localiser and kind of sets."""

    consistency: pd.DataFrame

    def cut(self, threshold: float | str, localiser: str, sets: str) -> float:
        """NaN where Otsu finds nothing to cut."""
        if threshold != OTSU:
            return float(threshold)
        frame = self.consistency
        chosen = (frame["localiser"] == localiser) & (frame["sets"] == sets)
        values = frame[chosen & (frame["control"] == "none")]["cs2"].dropna().to_numpy()
        return otsu(values) if len(set(values)) > 1 else float("nan")


def classes(consistency: pd.DataFrame, config: QueryLocalizationConfig) -> pd.Series:
    """(seed, fact_id) -> class, by the main localiser and threshold; facts whose queries have no
    neuron at all are in none. Raises ValueError where Otsu finds nothing to cut."""
    cut = Cuts(consistency).cut(config.threshold, config.localiser, "threshold")
    if np.isnan(cut):
        raise ValueError(
            f"study.threshold: {config.threshold} finds nothing to cut, all facts have the same "
            "CS2; name a number"
        )
    frame = consistency[
        (consistency["localiser"] == config.localiser)
        & (consistency["sets"] == "threshold")
        & (consistency["control"] == "none")
    ].dropna(subset=["cs2"])
    labels = np.where(is_inconsistent(frame["cs2"].to_numpy(), cut), INCONSISTENT, CONSISTENT)
    return pd.Series(labels, pd.MultiIndex.from_frame(frame[["seed", "fact_id"]]))


def class_shares(consistency: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    """``ClassSharesRecord``: every localiser, and facts inconsistent under all of them."""
    cuts = Cuts(consistency)
    frame = consistency.dropna(subset=["cs2"])
    rows: Rows = []
    for (sets, control), group in frame.groupby(["sets", "control"], sort=False):
        for threshold in config.thresholds:
            split = _split(group, cuts, threshold)
            named = {"threshold": str(threshold), "sets": sets, "control": control}
            for localiser, facts in split.groupby("localiser", sort=False):
                named["localiser"] = str(localiser)
                main = _is_main(config, localiser, threshold, sets, control)
                cut = cuts.cut(threshold, str(localiser), str(sets))
                rows.append({**named, "main": main, "cut": cut, **_share(facts, config)})
            together = split.groupby(["seed", "fact_id"]).filter(
                lambda facts: len(facts) == len(config.localisers)
            )
            if len(together):
                of_fact = together.groupby(["seed", "fact_id"])["inconsistent"].min().reset_index()
                share = _estimate(of_fact, config)
                rows.append({**named, "main": False, "localiser": ALL, **_NO_CLASSES, **share})
    return rows


def _is_main(config: QueryLocalizationConfig, *settings: object) -> bool:
    """Whether these make the classes: see ``classes``."""
    return settings == (config.localiser, config.threshold, "threshold", "none")


def _split(group: pd.DataFrame, cuts: Cuts, threshold: float | str) -> pd.DataFrame:
    """With a column ``inconsistent``, 0 or 1; localisers without a cut are left out."""
    parts = []
    for localiser, facts in group.groupby("localiser", sort=False):
        cut = cuts.cut(threshold, str(localiser), facts["sets"].iloc[0])
        if not np.isnan(cut):
            parts.append(facts.assign(inconsistent=is_inconsistent(facts["cs2"].to_numpy(), cut)))
    return pd.concat(parts) if parts else group.iloc[:0].assign(inconsistent=False)


def _share(facts: pd.DataFrame, config: QueryLocalizationConfig) -> dict[str, float]:
    high, low = (
        facts[facts["inconsistent"] == inconsistent]["cs2"].to_numpy()
        for inconsistent in (False, True)
    )
    test = welch(high, low) if min(len(high), len(low)) > 1 else None
    return {
        "cs2_consistent": float(high.mean()) if len(high) else float("nan"),
        "cs2_inconsistent": float(low.mean()) if len(low) else float("nan"),
        "welch_t": test.t if test else float("nan"),
        "p_value": test.p_value if test else float("nan"),
        **_estimate(facts, config),
    }


def _estimate(facts: pd.DataFrame, config: QueryLocalizationConfig) -> dict[str, float]:
    samples = list(_by_seed(facts))
    found = hierarchical_bootstrap(samples, seed=config.seed, draws=config.bootstrap_draws)
    return {"share": found.mean, "low": found.low, "high": found.high, "n": found.n}


def _by_seed(facts: pd.DataFrame) -> Iterator[np.ndarray]:
    for _, group in facts.groupby("seed"):
        yield group["inconsistent"].to_numpy(float)
