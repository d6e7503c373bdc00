"""How alike the neuron sets of one fact's queries are, and which facts count as consistent
(methods 5.2).

Axes: k queries of a fact, n neurons of a model (all layers, flattened); ``...`` facts, localisers.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats


class ConsistencyScores(NamedTuple):
    """``cs1``: share of the union that is in all k sets; ``cs2``: in at least two of them; both NaN
    where the union is empty. ``n_union``: neurons of any of the k sets. All of shape [...]."""

    cs1: np.ndarray
    cs2: np.ndarray
    n_union: np.ndarray


class Welch(NamedTuple):
    """``t`` and its two-sided ``p_value``."""

    t: float
    p_value: float


def consistency_scores(sets: np.ndarray) -> ConsistencyScores:
    """CS1 and CS2 of neuron sets, bool [..., k, n].

    They depend on k and on the sizes of the sets: compare at equal ones. Raises ValueError for
    fewer than two queries, which have nothing to agree on.
    """
    sets = np.asarray(sets, bool)
    if sets.ndim < 2 or sets.shape[-2] < 2:
        raise ValueError(
            f"sets of shape {list(sets.shape)}: needs [..., k, n] with the sets of k >= 2 queries"
        )
    k = sets.shape[-2]
    n_sets = sets.sum(-2, dtype=np.int32)  # that hold a neuron, [..., n]
    n_union = (n_sets > 0).sum(-1)
    cs1, cs2 = (
        np.divide(shared.sum(-1), n_union, out=np.full(n_union.shape, np.nan), where=n_union > 0)
        for shared in (n_sets == k, n_sets > 1)
    )
    return ConsistencyScores(cs1, cs2, n_union)


def between_class_variance(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cuts, objective), both [distinct values - 1], cuts ascending.

    A cut halves the way between two neighbouring values; its objective is
    ``w0 w1 (mu0 - mu1)^2``, w the share and mu the mean of the values below and above.
    Raises ValueError for NaN.
    """
    values = np.sort(np.asarray(values, float), axis=None)
    if np.isnan(values).any():
        raise ValueError(
            f"{np.isnan(values).sum()} values are NaN: leave out facts without any neuron"
        )
    below, above = values[:-1], values[1:]
    n_below = np.arange(1, len(values))
    n_above = n_below[::-1]
    mean_below = below.cumsum() / n_below
    mean_above = above[::-1].cumsum()[::-1] / n_above
    objective = n_below * n_above / max(len(values), 1) ** 2 * (mean_below - mean_above) ** 2
    # between floats without another in between, the middle may round up to the higher one
    cuts = np.minimum(below + (above - below) / 2, np.nextafter(above, -np.inf))
    is_cut = below < above
    return cuts[is_cut], objective[is_cut]


def otsu(values: np.ndarray) -> float:
    """The cut that separates values best into low and high ones (Otsu 1979), over all cuts between
    observed values; the lowest of equally good ones, NaN if all values are alike or there is none.

    Raises ValueError for NaN among the values.
    """
    cuts, objective = between_class_variance(values)
    return float(cuts[objective.argmax()]) if len(cuts) else np.nan


def is_inconsistent(cs2: np.ndarray, cut: float) -> np.ndarray:
    """Class K_I, bool of the shape of ``cs2``; a fact is consistent (K_C) iff strictly above.

    Raises ValueError for NaN: a fact without neurons, or values without a cut, have no class.
    """
    cs2 = np.asarray(cs2, float)
    if np.isnan(cut):
        raise ValueError("the cut is NaN: values that are all alike have no two classes")
    if np.isnan(cs2).any():
        raise ValueError(
            f"{np.isnan(cs2).sum()} values of cs2 are NaN: leave out facts without any neuron"
        )
    return cs2 <= cut


def welch(a: np.ndarray, b: np.ndarray) -> Welch:
    """Welch's t-test of ``mean(a) - mean(b)``, variances unequal, two-sided.

    Between classes that were split on the tested variable it only checks the arithmetic. NaN for
    fewer than two values on a side, and where no value differs from its side's mean.
    """
    a, b = (np.asarray(side, float).ravel() for side in (a, b))
    if min(len(a), len(b)) < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return Welch(np.nan, np.nan)
    t, p_value = stats.ttest_ind_from_stats(
        *(a.mean(), a.std(ddof=1), len(a)), *(b.mean(), b.std(ddof=1), len(b)), equal_var=False
    )
    return Welch(float(t), float(p_value))


def expected_overlap(
    n1: np.ndarray | float, n2: np.ndarray | float, total: int
) -> np.ndarray | float:
    """Neurons that random sets of n1 and of n2 among ``total`` share on average, ``n1 n2 / total``.

    Raises ValueError for sets larger than ``total``.
    """
    if total <= 0 or np.max(n1) > total or np.max(n2) > total:
        raise ValueError(f"sets of {np.max(n1)} and {np.max(n2)} neurons do not fit into {total}")
    return n1 * n2 / total
