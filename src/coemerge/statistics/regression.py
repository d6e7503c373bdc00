"""Least squares with an intercept per group, and its bootstrap over clusters (methods 2.11, 6.4).

A fit needs no more of its cells than sums over them. So sums are taken once per cluster, and a draw
of clusters is a sum of sums: no draw touches the cells again.

Axes: N cells, G groups, K terms (1 or 2), B draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from coemerge.statistics.intervals import BOOTSTRAP_DRAWS
from coemerge.statistics.resampling import hierarchical_sums

_ROUNDING = 1e-10  # relative: what is left of a term that others make up


@dataclass(frozen=True, slots=True)
class Cells:
    """What is fitted, of one seed: ``y`` [N] by ``terms`` [N,K]. ``group`` [N]: 0 to G-1, each with
    an intercept of its own; ``cluster`` [N]: what is resampled, any labels."""

    y: np.ndarray
    terms: np.ndarray
    group: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True, slots=True)
class Fit:
    """Per term [K]: ``coefficient`` with its 95 % interval ``low``, ``high``. ``r_squared``: of
    what varies within groups. ``n``: cells. NaN where terms do not vary, or make each other up."""

    coefficient: np.ndarray
    low: np.ndarray
    high: np.ndarray
    r_squared: float
    n: int


def least_squares(
    seeds: Sequence[Cells], n_groups: int, seed: int = 0, draws: int = BOOTSTRAP_DRAWS
) -> Fit:
    """Ordinary least squares of all cells; intervals resample seeds, then clusters within each.

    No interval for a single cluster, or where a tenth of the draws has no solution. Raises
    ValueError without cells, for numbers that are not finite, and for more than two terms.
    """
    seeds = [cells for cells in seeds if len(cells.y)]
    if not seeds:
        raise ValueError("no cells to fit")
    n_terms = seeds[0].terms.shape[1]
    if n_terms not in (1, 2):
        raise ValueError(f"fits have one or two terms, got {n_terms}")
    tables = [_cluster_sums(cells, n_groups) for cells in seeds]
    whole = sum(table.sum(0) for table in tables)[None]
    found = []
    for term in range(n_terms):
        statistic = partial(_coefficient, term=term, n_terms=n_terms, n_groups=n_groups)
        found.append(hierarchical_sums(tables, statistic, seed, draws)[:3])
    value, low, high = np.array(found).T
    return Fit(
        coefficient=value,
        low=low,
        high=high,
        r_squared=_r_squared(whole, value, n_groups),
        n=sum(len(cells.y) for cells in seeds),
    )


def _cluster_sums(cells: Cells, n_groups: int) -> np.ndarray:
    """[C, G + G*(K+1) + (K+1)^2] per cluster: cells of each group, sums of terms and y in each, and
    all their products."""
    values = np.column_stack([cells.terms, cells.y]).astype(float)
    if not np.isfinite(values).all():
        raise ValueError("some cells are not finite; drop and count what is undefined")
    dummies = np.eye(n_groups)[cells.group]
    by_group = dummies[:, :, None] * values[:, None]
    products = values[:, :, None] * values[:, None]
    rows = np.hstack(
        [dummies, by_group.reshape(len(values), -1), products.reshape(len(values), -1)]
    )
    return pd.DataFrame(rows).groupby(cells.cluster, sort=True).sum().to_numpy()


def _within(sums: np.ndarray, n_groups: int, n_terms: int) -> np.ndarray:
    """Products within groups [B,K+1,K+1]: what is left of them when each group's mean is out; 0 for
    those that are rounding alone."""
    n_values = n_terms + 1
    n, by_group, products = np.split(sums, [n_groups, n_groups * (1 + n_values)], axis=1)
    by_group = by_group.reshape(-1, n_groups, n_values)
    products = products.reshape(-1, n_values, n_values)
    means = by_group / np.maximum(n, 1)[:, :, None]
    within = products - np.einsum("bgi,bgj->bij", means, by_group)
    total, left = (np.diagonal(p, axis1=1, axis2=2) for p in (products, within))
    is_rounding = left <= _ROUNDING * total
    return np.where(is_rounding[:, :, None] | is_rounding[:, None], 0.0, within)


def _coefficient(sums: np.ndarray, term: int, n_terms: int, n_groups: int) -> np.ndarray:
    """[B] of one term; NaN where it is not determined. By Cramer's rule: one or two terms."""
    p, y = _within(sums, n_groups, n_terms), n_terms
    if n_terms == 1:
        above, below, size = p[:, 0, y], p[:, 0, 0], p[:, 0, 0]
    else:
        other = 1 - term
        above = p[:, term, y] * p[:, other, other] - p[:, other, y] * p[:, 0, 1]
        size = p[:, 0, 0] * p[:, 1, 1]
        below = size - p[:, 0, 1] ** 2
    is_determined = (size > 0) & (below > _ROUNDING * size)
    return np.divide(above, below, out=np.full(len(p), np.nan), where=is_determined)


def _r_squared(sums: np.ndarray, coefficient: np.ndarray, n_groups: int) -> float:
    p = _within(sums, n_groups, len(coefficient))[0]
    total = p[-1, -1]
    return float(p[:-1, -1] @ coefficient / total) if total > 0 else float("nan")
