"""How a single exposure is learnt and forgotten (methods 3.11, after Chang et al. 2024)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Decay:
    """A straight line of retainability on log10 of the steps since the peak: ``slope`` is -a,
    ``steps_to_zero`` where it meets 0 (infinite if it does not fall)."""

    slope: float
    intercept: float
    steps_to_zero: float


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


def fit_decay(steps: np.ndarray, retained: np.ndarray) -> Decay:
    """Least squares of ``retained`` on log10 ``steps`` (steps since the peak, at least 1).

    Raises ValueError with fewer than two different steps.
    """
    x, y = np.log10(np.asarray(steps, dtype=float)), np.asarray(retained, dtype=float)
    if len(np.unique(x)) < 2:
        raise ValueError("a decay needs at least two different steps")
    slope, intercept = np.polyfit(x, y, 1)
    with np.errstate(over="ignore"):
        to_zero = 10 ** (-intercept / slope) if slope < 0 else np.inf
    return Decay(float(slope), float(intercept), float(to_zero))
