"""Intervals for facts clustered in model seeds: seeds are resampled, then facts within each
(methods 2.11)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from coemerge.statistics.intervals import BOOTSTRAP_DRAWS, Estimate

_DEFINED = 0.9  # share of draws that an interval needs
_CHUNK = 2**20  # values resampled at once, which bounds the memory


def hierarchical_bootstrap(
    values: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], float] = np.mean,
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
) -> Estimate:
    """``statistic`` of all values with its 95 % percentile interval; ``values`` holds one array of
    facts [n_i] per model seed.

    A draw takes as many seeds as there are, with replacement, and n_i facts of each, with
    replacement. ``mean`` is the statistic of all values as one sample, ``sd`` is across the values,
    ``se`` the SD of the statistic over the draws, ``n`` the number of values. With one seed this is
    the ordinary bootstrap over facts; with few the spread between seeds is underestimated, by
    (S - 1) / S in variance. Seeds without values are left out. Means are vectorised, any other
    statistic is called once per draw; draws for which it is not defined (NaN) are left out, and
    with more than a tenth of them there is no interval. A single value has none. Raises ValueError
    without values and for NaN, which the caller drops and counts.
    """
    samples = [sample for v in values if len(sample := np.asarray(v, dtype=float))]
    pooled = np.concatenate(samples) if samples else np.empty(0)
    if np.isnan(pooled).any():
        raise ValueError("some values are NaN; drop and count what is undefined")
    if statistic is np.mean:
        return _ratio([np.stack([s, np.ones_like(s)], axis=1) for s in samples], seed, draws)
    if len(pooled) == 0:
        raise ValueError("no values to average")
    results = np.array([statistic(s) for s in _resamples(samples, seed, draws)])
    defined = results[np.isfinite(results)]
    results = defined if len(defined) >= _DEFINED * len(results) else np.array([np.nan])
    return _estimate(float(statistic(pooled)), pooled, results)


def hierarchical_rate(
    successes: Sequence[np.ndarray], seed: int = 0, draws: int = BOOTSTRAP_DRAWS
) -> Estimate:
    """Share of the cells that succeed, with an interval that keeps the cells of a fact together;
    ``successes`` holds one array of 0 and 1 [F, K] per model seed, NaN where undefined.

    For shares of (fact, task) pairs, such as the failure rate of methods 3.3: pairs of one fact are
    no independent units, so whole facts are resampled, as in ``hierarchical_bootstrap``. Facts
    without a defined cell are left out; ``n`` is the number of the others and ``sd`` is across
    their own shares. Raises ValueError if no cell is defined.
    """
    tables = []
    for cells in (np.asarray(s, dtype=float) for s in successes):
        counts = (~np.isnan(cells)).sum(axis=1)
        table = np.stack([np.nansum(cells, axis=1), counts], axis=1)
        if counts.any():
            tables.append(table[counts > 0])
    return _ratio(tables, seed, draws)


def hierarchical_sums(
    tables: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
) -> tuple[float, float, float, float]:
    """(value, low, high, share of undefined draws) of a statistic that is a function of sums over
    facts, such as a ratio of means: ``statistic`` maps sums [B,C] to [B], NaN where undefined.

    ``tables`` holds the facts [n_i, C] of each seed; resampled as in ``hierarchical_bootstrap``,
    all draws at once. No interval for one fact, or where more than a tenth of the draws is
    undefined. Raises ValueError without facts.
    """
    tables = [table for table in tables if len(table)]
    if not tables:
        raise ValueError("no values to average")
    facts = np.concatenate(tables)
    value = float(statistic(facts.sum(axis=0)[None])[0])
    if len(facts) == 1:
        return value, np.nan, np.nan, float(np.isnan(value))
    found = np.concatenate([statistic(s) for s in _resampled_sums(tables, seed, draws)])
    defined = found[np.isfinite(found)]
    undefined = 1 - len(defined) / len(found)
    if undefined > 1 - _DEFINED or np.isnan(value):
        return value, np.nan, np.nan, undefined
    low, high = np.quantile(defined, (0.025, 0.975))
    return value, float(low), float(high), undefined


@dataclass(frozen=True, slots=True)
class ColumnMeans:
    """As ``Estimate``, of C columns at once, each [C]; NaN where a column has no value, and for the
    interval and SD of a single one."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sd: np.ndarray
    n: np.ndarray


def hierarchical_means(
    tables: Sequence[np.ndarray],
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
    weights: Sequence[np.ndarray] | None = None,
    units: Sequence[np.ndarray] | None = None,
) -> ColumnMeans:
    """Means of the columns of ``tables``, the facts [n_i, C] of each seed, with their intervals;
    for many columns at the cost of one resampling. NaN is left out column by column, within each
    draw too. ``weights``, one array [n_i] per seed: what a fact counts, such as how many prompts
    its values are means of; ``sd`` and ``n`` are of facts all the same. ``units``, one array [n_i]
    per seed: facts of equal units are resampled together, and a single unit has no interval. Raises
    ValueError without facts."""
    ones = [np.ones(len(table)) for table in tables] if weights is None else weights
    pairs = [(t, w) for t, w in zip(tables, ones, strict=True) if len(t)]
    if not pairs:
        raise ValueError("no values to average")
    tables = [np.asarray(table, dtype=float) for table, _ in pairs]
    counted = [
        np.hstack([np.where(np.isnan(t), 0, t), ~np.isnan(t)]) * np.asarray(w, float)[:, None]
        for t, (_, w) in zip(tables, pairs, strict=True)
    ]
    if units is not None:
        named = [of_seed for of_seed in units if len(of_seed)]
        counted = [sums_of_units(*of) for of in zip(counted, named, strict=True)]
    facts = np.concatenate(tables)
    n = (~np.isnan(facts)).sum(axis=0)
    n_units = (np.concatenate(counted)[:, len(n) :] > 0).sum(axis=0)
    mean, low, high, sd = np.full((4, facts.shape[1]), np.nan)
    whole, n_whole = np.split(np.concatenate(counted).sum(axis=0), 2)
    mean[n > 0] = whole[n > 0] / n_whole[n > 0]
    sd[n > 1] = np.nanstd(facts[:, n > 1], axis=0, ddof=1)
    total, count = np.split(np.concatenate(list(_resampled_sums(counted, seed, draws))), 2, axis=1)
    found = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    known = (n_units > 1) & (np.isfinite(found).mean(axis=0) >= _DEFINED)
    if known.any():
        low[known], high[known] = np.nanquantile(found[:, known], (0.025, 0.975), axis=0)
    return ColumnMeans(mean, low, high, sd, n)


def sums_of_units(table: np.ndarray, units: np.ndarray) -> np.ndarray:
    """[n,C] -> [U,C]: sums over the rows of equal ``units`` [n], in sorted order of these."""
    _, places = np.unique(units, return_inverse=True)
    sums = np.zeros((places.max() + 1 if len(places) else 0, table.shape[1]))
    np.add.at(sums, places, table)
    return sums


def _ratio(tables: Sequence[np.ndarray], seed: int, draws: int) -> Estimate:
    """Sum of the first column over that of the second; one table of facts [n_i, 2] per seed."""
    if not tables:
        raise ValueError("no values to average")
    facts = np.concatenate(tables)
    total, count = facts.sum(axis=0)
    sums = np.concatenate(list(_resampled_sums(tables, seed, draws)))
    return _estimate(total / count, facts[:, 0] / facts[:, 1], sums[:, 0] / sums[:, 1])


def _resampled_sums(tables: Sequence[np.ndarray], seed: int, draws: int) -> Iterator[np.ndarray]:
    """Column sums of resampled tables [n_i, C], [draws, C] in chunks."""
    rng, n_seeds = np.random.default_rng(seed), len(tables)
    at_once = max(1, _CHUNK // (n_seeds * max(len(table) for table in tables)))
    for start in range(0, draws, at_once):
        picks = rng.integers(n_seeds, size=(min(at_once, draws - start), n_seeds))
        sums = np.zeros((len(picks), tables[0].shape[1]))
        for i, table in enumerate(tables):
            draw = np.nonzero(picks == i)[0]  # a draw comes up once per time it picks this seed
            facts = rng.integers(len(table), size=(len(draw), len(table)))
            cells = (draw[:, None] * len(table) + facts).ravel()
            times = np.bincount(cells, minlength=len(picks) * len(table))
            sums += times.reshape(len(picks), len(table)) @ table.astype(float)
        yield sums


def _resamples(samples: Sequence[np.ndarray], seed: int, draws: int) -> Iterator[np.ndarray]:
    """Resampled values of all seeds as one array, one per draw."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        picked = [samples[i] for i in rng.integers(len(samples), size=len(samples))]
        yield np.concatenate([s[rng.integers(len(s), size=len(s))] for s in picked])


def _estimate(mean: float, units: np.ndarray, results: np.ndarray) -> Estimate:
    n = len(units)
    if n == 1:
        return Estimate(float(mean), np.nan, np.nan, np.nan, np.nan, 1)
    low, high = np.quantile(results, (0.025, 0.975))
    sd, se = units.std(ddof=1), results.std(ddof=1)
    return Estimate(float(mean), float(low), float(high), float(sd), float(se), n)
