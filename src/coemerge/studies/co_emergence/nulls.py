"""Controls: what to expect without the effect that is looked for (methods 3.3, 3.4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from coemerge.statistics.co_emergence import is_competent, permutation_null, split_half_failure
from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.statistics.thresholds import THETA
from coemerge.statistics.variance import interaction_null, on_scale
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.runs import NEVER, Rows, of_arm
from coemerge.studies.shared.scored import Scores


def null_rows(
    runs: Sequence[Scores], config: CoEmergenceConfig, shown_everywhere: dict[str, Any]
) -> Rows:
    """What to expect without any structure, from measurement noise alone, for facts shown
    everywhere (``shown_everywhere``: their failure rate), and for facts never shown."""
    theta, draws = THETA, config.null_draws
    rng = np.random.default_rng(config.seed)
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for run in runs:
        emerged = run.mean > theta
        groups = np.unique(run.facts["relation"], return_inverse=True)[1]
        rates = permutation_null(emerged, is_competent(emerged), groups, rng, draws)
        found.setdefault(("failure_rate", "raw", "permutation"), []).append(rates)
        if min(run.score.shape[:3]) < 2:  # nothing to split or to decompose
            continue
        halves = split_half_failure(run.score[..., -1], theta, rng, draws)[1]
        found.setdefault(("failure_rate", "raw", "split_half"), []).append(halves)
        for scale, values in (("raw", run.score), ("logit", run.probability)):
            shares = interaction_null(on_scale(values[..., -1], scale), rng, draws)  # type: ignore[arg-type]
            found.setdefault(("interaction_share", scale, "permutation"), []).append(shares)
    rows = [_null(key, *_middle(np.mean(values, axis=0))) for key, values in found.items()]
    if n := shown_everywhere["n_testable"]:  # what fails here is no lack of exposure
        rate, low, high = (shown_everywhere[name] for name in ("rate", "low", "high"))
        rows.append(_null(("failure_rate", "raw", "exposure_matched"), rate, low, high, n))
    never = [run.mean[of_arm(run, NEVER), :, -1].mean(axis=1) for run in runs]
    if sum(map(len, never)):
        own = hierarchical_bootstrap(never, seed=config.seed, draws=config.bootstrap_draws)
        key = ("score", "raw", "never_shown")
        rows.append(_null(key, own.mean, own.low, own.high, own.n))
    return rows


def _null(
    key: tuple[str, str, str], value: float, low: float, high: float, n: int
) -> dict[str, Any]:
    names = dict(zip(("quantity", "scale", "null"), key, strict=True))
    return {**names, "value": value, "low": low, "high": high, "n": n}


def _middle(draws: np.ndarray) -> tuple[float, float, float, int]:
    """Mean, 2.5 % and 97.5 % of the draws, and their number."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(draws.mean()), float(low), float(high), len(draws)
