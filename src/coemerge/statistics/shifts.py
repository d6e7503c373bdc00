"""How far probabilities move when a model is changed, and whether they do (methods 6.4)."""

import numpy as np
from scipy import stats


def shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """``(after - before) / min(after, before)``, elementwise: 0.5 says half more, -0.5 that it was
    half more before, so that doubled and halved are +1 and -1 (T-Y3).

    Where just one of the two is 0 there is no such ratio: +inf or -inf, the sign still that of the
    change; two zeros are equal, 0. The ratio is as wild as the smaller of the two is small. Raises
    ValueError for negative values.
    """
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if (before < 0).any() or (after < 0).any():
        raise ValueError("a shift is of probabilities: some are negative")
    change, least = after - before, np.minimum(after, before)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(change == 0, 0.0, change / least)


def outer_quantiles(values: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Two quantiles over axis 0, [D,...] -> [...] each, of values that may be infinite: where a
    quantile would lie between an infinite value and another, it is the outer of the two."""
    with np.errstate(invalid="ignore"):
        between = np.quantile(values, (low, high), axis=0)
    outer = (
        np.quantile(values, low, axis=0, method="lower"),
        np.quantile(values, high, axis=0, method="higher"),
    )
    below, above = (np.where(np.isfinite(a), a, b) for a, b in zip(between, outer, strict=True))
    return below, above


def paired_p_values(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Two-sided paired t-tests over axis 0, [N,...] -> [...]. Pairs that do not differ at all have
    p = 1; that all differ by the same, p = 0; a single pair says nothing, NaN."""
    difference = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    n = len(difference)
    if n < 2:
        return np.full(difference.shape[1:], np.nan)
    mean, sd = difference.mean(0), difference.std(0, ddof=1)
    # exactly: the SD of equal numbers need not be 0 in binary
    sd = np.where((difference == difference[0]).all(0), 0.0, sd)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, mean / (sd / np.sqrt(n)))
    return 2 * stats.t.sf(np.abs(t), n - 1)
