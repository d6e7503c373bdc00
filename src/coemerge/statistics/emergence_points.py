"""When a curve emerges, and whether two sets of curves emerge in the same order (methods 3.11)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats
from scipy.ndimage import gaussian_filter1d

from coemerge.statistics.intervals import BOOTSTRAP_DRAWS
from coemerge.statistics.thresholds import THETA

Rule = Literal["fixed", "relative", "stable", "knee"]

_SHARE_OF_MAXIMUM = 0.5
_IN_A_ROW = 3
_FEWEST = 3  # items that can be said to have an order
_CHUNK = 2**20  # values resampled at once, which bounds the memory
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
    ranks = [stats.rankdata(points) for points in _together(first, second)]
    if len(first) < _FEWEST or any(np.ptp(rank) == 0 for rank in ranks):
        return np.nan, np.nan
    return float(stats.spearmanr(*ranks).statistic), float(stats.kendalltau(*ranks).statistic)


def order_interval(
    first: Sequence[int | None],
    second: Sequence[int | None],
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
) -> tuple[float, float]:
    """95 % percentile interval of the rho of ``order_correlation``: items are resampled.

    Draws in which one list has no order are left out; NaN where the rho itself is undefined.
    """
    levels = [np.unique(points, return_inverse=True)[1] for points in _together(first, second)]
    n = len(first)
    if n < _FEWEST or any(level.max() == 0 for level in levels):
        return np.nan, np.nan
    rng, at_once, found = np.random.default_rng(seed), max(1, _CHUNK // n), []
    for start in range(0, draws, at_once):
        picks = rng.integers(n, size=(min(at_once, draws - start), n))
        x, y = (_centred_ranks(level[picks]) for level in levels)
        with np.errstate(invalid="ignore"):
            found.append((x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1)))
    low, high = np.nanquantile(np.concatenate(found), (0.025, 0.975))
    return float(low), float(high)


def _together(
    first: Sequence[int | None], second: Sequence[int | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Both lists as numbers, infinite where an item never emerges."""
    if len(first) != len(second):
        raise ValueError(f"the lists have {len(first)} and {len(second)} items")
    x, y = (np.array([np.inf if p is None else p for p in points]) for points in (first, second))
    return x, y


def _centred_ranks(levels: np.ndarray) -> np.ndarray:
    """Ranks within each row of ``levels`` [D, n] (0, 1, ...), less their mean; ties share theirs.

    From the counts of each level, as there are few of them: an item's rank is the number of items
    below its level and half of those at it.
    """
    n_rows, n = levels.shape
    n_levels = int(levels.max()) + 1
    flat = levels + n_levels * np.arange(n_rows)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_rows * n_levels).reshape(n_rows, n_levels)
    middles = np.cumsum(counts, axis=1) - counts / 2
    return np.take_along_axis(middles, levels, axis=1) - n / 2
