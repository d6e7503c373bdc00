"""When a curve emerges, and whether two sets of curves emerge in the same order (methods 3.11)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats
from scipy.ndimage import gaussian_filter1d

from coemerge.statistics.thresholds import THETA

Rule = Literal["fixed", "relative", "stable", "knee"]

_SHARE_OF_MAXIMUM = 0.5
_IN_A_ROW = 3
_ON_THE_CHORD = 1e-12  # relative to the largest value: closer than this is rounding


def smooth(curve: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """The curve [Q] under a Gaussian of ``sigma`` checkpoints, end values repeated beyond the ends;
    0 leaves it as it is."""
    curve = np.asarray(curve, dtype=float)
    return gaussian_filter1d(curve, sigma, mode="nearest") if sigma > 0 else curve


def emergence_point(
    curve: np.ndarray, rule: Rule, theta: float = THETA, sigma: float = 1.0
) -> int | None:
    """Index of the checkpoint at which the smoothed curve [Q] emerges, None if it does not.

    "fixed": first at or above ``theta``. "relative": first at or above half of its maximum, if that
    is positive. "stable": first of three in a row at or above ``theta``. "knee": furthest from the
    chord between first and last point, above or below, if it leaves the chord at all. Raises
    ValueError for NaN.
    """
    curve = smooth(curve, sigma)
    if np.isnan(curve).any():
        raise ValueError("the curve has gaps (NaN)")
    if len(curve) == 0:
        return None
    match rule:
        case "fixed":
            return _first(curve >= theta)
        case "relative":
            return _first(curve >= _SHARE_OF_MAXIMUM * curve.max()) if curve.max() > 0 else None
        case "stable":
            if len(curve) < _IN_A_ROW:
                return None
            windows = np.lib.stride_tricks.sliding_window_view(curve >= theta, _IN_A_ROW)
            return _first(np.all(windows, axis=1))
        case "knee":
            distance = np.abs(curve - np.linspace(curve[0], curve[-1], len(curve)))
            has_left = distance.max() > _ON_THE_CHORD * np.abs(curve).max()
            return int(distance.argmax()) if has_left else None
    raise ValueError(f"unknown rule {rule!r}")


def _first(flags: np.ndarray) -> int | None:
    return int(flags.argmax()) if flags.any() else None


def order_correlation(
    first: Sequence[int | None], second: Sequence[int | None]
) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau (b) of two lists of emergence points of the same items.

    Items that never emerge (None) share the bottom rank, behind all others. NaN with fewer than
    three items or if one list has no order. Raises ValueError if the lists differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"the lists have {len(first)} and {len(second)} items")
    ranks = [
        stats.rankdata([np.inf if x is None else x for x in points]) for points in (first, second)
    ]
    if len(first) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return np.nan, np.nan
    return float(stats.spearmanr(*ranks).statistic), float(stats.kendalltau(*ranks).statistic)
