"""How a single exposure is learnt and forgotten (methods 3.11, after Chang et al. 2024).

Axes: F facts, S steps at which they were probed, T steps since the peak. Curves are
log-probabilities, so that higher is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PEAK_WINDOW = 50  # steps after an injection in which its gain is looked for
IQR_MULTIPLIER = 2.0


@dataclass(frozen=True, slots=True)
class Decay:
    """A straight line of retainability on log10 of the steps since the peak: ``slope`` is -a,
    ``steps_to_zero`` where it meets 0 (infinite if it does not fall)."""

    slope: float
    intercept: float
    steps_to_zero: float


@dataclass(frozen=True, slots=True)
class Injection:
    """Optimizer steps of one injection: the last one ``before`` it, the ``first`` that used one of
    its documents, the last one ``until`` which its gain is looked for, and the ``end``: the last
    one before the next injection, or of training."""

    before: int
    first: int
    until: int
    end: int


def injections(
    first_steps: Sequence[int], last_steps: Sequence[int], final_step: int
) -> list[Injection]:
    """In order, those that training has finished. The gain is looked for up to ``PEAK_WINDOW``
    steps after the last document, but never beyond the next injection.

    ``first_steps`` and ``last_steps`` of each injection, ``final_step`` of training.
    """
    found = []
    nexts = [*(int(first) - 1 for first in first_steps), int(final_step)][1:]
    for first, last, before_next in zip(first_steps, last_steps, nexts, strict=True):
        end = min(before_next, int(final_step))
        if last <= final_step:
            until = min(int(last) + PEAK_WINDOW, end)
            found.append(Injection(int(first) - 1, int(first), until, end))
    return found


def find_peaks(curves: np.ndarray, steps: np.ndarray, injection: Injection) -> np.ndarray:
    """Index of the highest value of each curve [..., S] while the injection's gain is looked for;
    the first of equal ones. Raises ValueError if there was no probe at all in that time."""
    inside = np.flatnonzero((steps >= injection.first) & (steps <= injection.until))
    if not len(inside):
        raise ValueError(f"no probe from step {injection.first} to {injection.until}")
    return inside[0] + np.asarray(curves)[..., inside].argmax(axis=-1)


def retainability(
    before: float | np.ndarray, peak: float | np.ndarray, later: float | np.ndarray
) -> float | np.ndarray:
    """Share of a gain that is left: ``(later - before) / (peak - before)``, log-probabilities.

    1 at the peak, 0 when all is forgotten. Undefined (NaN) where nothing was gained.
    """
    gain = np.subtract(peak, before)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(gain > 0, np.subtract(later, before) / gain, np.nan)
    return float(share) if share.ndim == 0 else share


def is_outlier(values: np.ndarray) -> np.ndarray:
    """Values [F] further below the lower quartile, or above the upper one, than ``IQR_MULTIPLIER``
    times their distance. NaN is none and does not count."""
    values = np.asarray(values, dtype=float)
    if not np.isfinite(values).any():
        return np.zeros(values.shape, dtype=bool)
    low, high = np.nanquantile(values, (0.25, 0.75))
    reach = IQR_MULTIPLIER * (high - low)
    return (values < low - reach) | (values > high + reach)


def decay_sums(steps: np.ndarray, retained: np.ndarray) -> np.ndarray:
    """What least squares of ``retained`` [..., T] on log10 ``steps`` [T] needs, [..., 5]: number of
    values, sums of x, y, x² and xy. NaN does not count. Sums of curves give their common line."""
    x, y = np.log10(np.asarray(steps, dtype=float)), np.asarray(retained, dtype=float)
    known = np.isfinite(y)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    return np.stack([known, x, y, x * x, x * y], axis=-1).sum(axis=-2)


def decay_of(sums: np.ndarray) -> Decay:
    """The line of ``decay_sums`` [5]; NaN with fewer than two different steps."""
    n, x, y, xx, xy = np.asarray(sums, dtype=float)
    spread = n * xx - x * x
    if spread <= 1e-12 * n * xx:  # rounding
        return Decay(np.nan, np.nan, np.nan)
    slope = (n * xy - x * y) / spread
    intercept = (y - slope * x) / n
    with np.errstate(over="ignore"):
        to_zero = np.float64(10) ** (-intercept / slope) if slope < 0 else np.inf
    return Decay(float(slope), float(intercept), float(to_zero))


def fit_decay(steps: np.ndarray, retained: np.ndarray) -> Decay:
    """Least squares of ``retained`` on log10 ``steps`` (steps since the peak, at least 1).

    Raises ValueError with fewer than two different steps.
    """
    if len(np.unique(steps)) < 2:
        raise ValueError("a decay needs at least two different steps")
    return decay_of(decay_sums(steps, retained))
