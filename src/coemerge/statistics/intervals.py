"""Means with their uncertainty. The unit of inference is the fact (methods 2.11)."""

from dataclasses import dataclass

import numpy as np

BOOTSTRAP_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` units with its 95 % interval; ``sd`` is across units, ``se`` its standard
    error."""

    mean: float
    low: float
    high: float
    sd: float
    se: float
    n: int


def bootstrap_mean(values: np.ndarray, seed: int = 0, draws: int = BOOTSTRAP_DRAWS) -> Estimate:
    """Percentile bootstrap over units. Raises ValueError without values; one value has no interval
    (NaN)."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        raise ValueError("no values to average")
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, np.nan, np.nan, np.nan, np.nan, 1)
    picks = np.random.default_rng(seed).integers(n, size=(draws, n))
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    sd = float(values.std(ddof=1))
    return Estimate(mean, float(low), float(high), sd, sd / n**0.5, n)


def at_chance(estimate: Estimate, tolerance: float = 0.05) -> bool:
    """T-X1: |mean| at most the larger of ``tolerance`` and two standard errors, and 0 inside the
    interval. Expects chance-normalised scores."""
    small = abs(estimate.mean) <= max(tolerance, 2 * estimate.se)
    return small and estimate.low <= 0 <= estimate.high
