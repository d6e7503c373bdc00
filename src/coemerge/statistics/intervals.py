"""Means with their uncertainty. The unit of inference is the fact (methods 2.11)."""

from dataclasses import dataclass

import numpy as np

BOOTSTRAP_DRAWS = 10_000
_Z = 1.959964  # 97.5 % point of the normal distribution


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


def wilson_mean(values: np.ndarray, lowest: float, highest: float = 1.0) -> Estimate:
    """Wilson's interval for the mean of values that lie in [lowest, highest].

    Meant for the scores of models that commit to one answer: nearly all values then sit at the
    bounds, and if by luck none of n facts is guessed right, a bootstrap interval shrinks to a point
    below 0 although guessing explains the data. A bounded variable varies at most as much as a
    binary one, so the interval is conservative. ``se`` is the half-width over 1.96. Raises
    ValueError without values.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        raise ValueError("no values to average")
    width = highest - lowest
    share = (values.mean() - lowest) / width
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = lowest + width * (centre - half), lowest + width * (centre + half)
    sd = float(values.std(ddof=1)) if n > 1 else np.nan
    return Estimate(float(values.mean()), float(low), float(high), sd, width * half / _Z, n)


def at_chance(estimate: Estimate, tolerance: float = 0.05) -> bool:
    """T-X1: |mean| at most the larger of ``tolerance`` and two standard errors, and 0 inside the
    interval. Expects chance-normalised scores."""
    small = abs(estimate.mean) <= max(tolerance, 2 * estimate.se)
    return bool(small and estimate.low <= 0 <= estimate.high)
