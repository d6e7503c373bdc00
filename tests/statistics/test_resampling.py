"""Intervals for facts clustered in seeds."""

import tracemalloc

import numpy as np
import pytest

from coemerge.statistics.intervals import bootstrap_mean
from coemerge.statistics.resampling import (
    hierarchical_bootstrap,
    hierarchical_means,
    hierarchical_rate,
    hierarchical_sums,
)
from tests.tolerances import BOOTSTRAP_RELATIVE, EXACT_IN_FLOAT64

CHUNKS_BYTES = 50 * 2**20  # measured 10 MB; all draws at once would take some 500


@pytest.fixture
def alike() -> list[np.ndarray]:
    """Three seeds that do not differ, facts that do."""
    facts = np.random.default_rng(0).normal(size=100)
    return [facts, facts[::-1], facts]


@pytest.fixture
def apart() -> list[np.ndarray]:
    """Five seeds that differ, facts that do not."""
    return [np.full(40, level) for level in (0.0, 0.2, 0.4, 0.6, 0.8)]


def width(estimate) -> float:
    return estimate.high - estimate.low


def test_with_one_seed_it_is_the_ordinary_bootstrap_over_facts():
    facts = np.random.default_rng(0).random(300)  # three chunks of draws
    estimate, ordinary = hierarchical_bootstrap([facts], seed=3), bootstrap_mean(facts, seed=3)
    assert (estimate.low, estimate.high) == pytest.approx((ordinary.low, ordinary.high))
    assert (estimate.mean, estimate.sd, estimate.n) == pytest.approx(
        (facts.mean(), ordinary.sd, 300)
    )
    assert abs(estimate.se / ordinary.se - 1) < BOOTSTRAP_RELATIVE


def test_seeds_that_do_not_differ_make_the_interval_that_of_all_facts(alike):
    pooled = bootstrap_mean(np.concatenate(alike))
    assert abs(width(hierarchical_bootstrap(alike)) / width(pooled) - 1) < BOOTSTRAP_RELATIVE


def test_seeds_that_differ_widen_the_interval(apart):
    estimate, pooled = hierarchical_bootstrap(apart), bootstrap_mean(np.concatenate(apart))
    assert width(estimate) > 3 * width(pooled)
    assert estimate.sd == pytest.approx(pooled.sd)
    # without spread within, the variance is that of a mean of five out of the five levels
    assert abs(estimate.se / np.sqrt(0.08 / 5) - 1) < BOOTSTRAP_RELATIVE


def test_every_fact_counts_the_same():
    assert hierarchical_bootstrap([np.zeros(30), np.ones(10)]).mean == 0.25


def test_other_statistics_are_resampled_alike(alike):
    """A mean that is not recognised as one takes the slow route."""
    slow = hierarchical_bootstrap(alike, statistic=lambda sample: float(sample.mean()), draws=4000)
    fast = hierarchical_bootstrap(alike)
    assert slow.mean == pytest.approx(fast.mean, abs=EXACT_IN_FLOAT64)
    assert abs(width(slow) / width(fast) - 1) < BOOTSTRAP_RELATIVE


def test_a_median_has_the_interval_of_a_median():
    values = np.random.default_rng(1).exponential(size=101)
    estimate = hierarchical_bootstrap([values], statistic=np.median, draws=1000)
    assert estimate.mean == np.median(values)
    assert estimate.low < np.median(values) < estimate.high < values.mean() + values.std()


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_the_same_seed_gives_the_same_interval(alike, statistic):
    first, again = (hierarchical_bootstrap(alike, statistic, seed=1, draws=50) for _ in range(2))
    assert first == again
    assert first != hierarchical_bootstrap(alike, statistic, seed=2, draws=50)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Ten seeds that differ as much as facts do; the ordinary bootstrap covers half as often."""
    rng = np.random.default_rng(0)
    covered, ordinary = 0, 0
    for k in range(200):
        values = list(rng.normal(size=(10, 1)) + rng.normal(size=(10, 30)))
        estimate = hierarchical_bootstrap(values, seed=k, draws=300)
        covered += estimate.low <= 0 <= estimate.high
        pooled = bootstrap_mean(np.concatenate(values), seed=k, draws=300)
        ordinary += pooled.low <= 0 <= pooled.high
    assert 0.85 < covered / 200 < 0.99
    assert ordinary / 200 < 0.6


def test_seeds_without_values_are_left_out(apart):
    assert hierarchical_bootstrap([*apart, np.array([])]) == hierarchical_bootstrap(apart)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_one_value_has_no_interval(statistic):
    estimate = hierarchical_bootstrap([np.array([0.5])], statistic, draws=10)
    assert (estimate.mean, estimate.n) == (0.5, 1)
    assert np.isnan([estimate.low, estimate.high, estimate.sd, estimate.se]).all()


@pytest.mark.parametrize("statistic", [np.mean, np.median])
@pytest.mark.parametrize("values", [[], [np.array([])]], ids=["no seed", "no fact"])
def test_no_values_are_refused(statistic, values: list[np.ndarray]):
    with pytest.raises(ValueError, match="no values"):
        hierarchical_bootstrap(values, statistic)


def test_undefined_values_are_refused():
    with pytest.raises(ValueError, match="drop and count"):
        hierarchical_bootstrap([np.array([0.5, np.nan])])


def test_memory_does_not_grow_with_the_draws():
    values = [np.zeros(5000)] * 3
    tracemalloc.start()
    hierarchical_bootstrap(values, draws=1400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < CHUNKS_BYTES


def test_a_rate_is_taken_over_the_defined_cells():
    cells = np.array([[1, 0, np.nan], [1, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    estimate = hierarchical_rate([cells, np.array([[0.0, 0.0, 0.0]])], draws=100)
    assert estimate.mean == pytest.approx(2 / 6)
    assert estimate.n == 3
    assert estimate.sd == pytest.approx(np.std([0.5, 1, 0], ddof=1))
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1


def test_cells_of_one_fact_are_kept_together():
    """Six equal cells per fact tell no more than one."""
    facts = (np.random.default_rng(0).random(200) < 0.4).astype(float)
    alone, six = hierarchical_rate([facts[:, None]]), hierarchical_rate([np.tile(facts, (6, 1)).T])
    assert (six.low, six.high) == pytest.approx((alone.low, alone.high))
    ordinary = hierarchical_bootstrap([facts])
    assert (alone.low, alone.high) == pytest.approx((ordinary.low, ordinary.high))


def test_truth_values_are_rates_too():
    assert hierarchical_rate([np.array([[True, False], [True, True]])], draws=10).mean == 0.75


def test_a_rate_over_nothing_is_refused():
    with pytest.raises(ValueError, match="no values"):
        hierarchical_rate([np.full((3, 2), np.nan), np.empty((0, 2))])


def test_a_function_of_sums_is_resampled_as_a_whole() -> None:
    """A ratio of sums, in one go, is what calling it on every resample gives."""
    rng = np.random.default_rng(0)
    tables = [rng.normal(1, 0.2, (30, 2)), rng.normal(2, 0.2, (20, 2))]
    value, low, high, undefined = hierarchical_sums(tables, lambda sums: sums[:, 0] / sums[:, 1])
    facts = np.concatenate(tables)
    assert value == pytest.approx(facts[:, 0].sum() / facts[:, 1].sum())
    assert low < value < high
    assert undefined == 0
    counted = [np.column_stack([t[:, 0], np.ones(len(t))]) for t in tables]
    mean = hierarchical_sums(counted, lambda sums: sums[:, 0] / sums[:, 1])
    expected = hierarchical_bootstrap([t[:, 0] for t in tables])
    assert mean[:3] == pytest.approx((expected.mean, expected.low, expected.high), abs=0.05)


def test_a_ratio_that_is_often_undefined_has_no_interval() -> None:
    def ratio(sums: np.ndarray) -> np.ndarray:
        return np.where(sums[:, 1] > 0, sums[:, 0] / np.maximum(sums[:, 1], 1), np.nan)

    value, low, high, undefined = hierarchical_sums([np.array([[1.0, 0], [1, 1]])], ratio)
    assert value == 2
    assert np.isnan([low, high]).all()
    assert undefined == pytest.approx(0.25, abs=0.02)


def test_many_columns_are_resampled_as_each_alone():
    rng = np.random.default_rng(0)
    tables = [rng.normal([0, 1, 2], 1, (n, 3)) for n in (30, 20)]

    found = hierarchical_means(tables, seed=4, draws=500)

    for column in range(3):
        alone = hierarchical_bootstrap([t[:, column] for t in tables], seed=4, draws=500)
        of_column = [v[column] for v in (found.mean, found.low, found.high, found.sd, found.n)]
        expected = [alone.mean, alone.low, alone.high, alone.sd, alone.n]
        assert of_column == pytest.approx(expected, abs=EXACT_IN_FLOAT64)


def test_undefined_cells_are_left_out_column_by_column():
    nan = np.nan
    tables = [np.array([[1, nan, nan, nan], [2, 5, nan, 3.0], [6, 5, nan, nan]]), np.empty((0, 4))]

    found = hierarchical_means(tables, draws=200)

    assert found.n.tolist() == [3, 2, 0, 1]
    assert found.mean == pytest.approx([3, 5, nan, 3], nan_ok=True)
    assert found.sd == pytest.approx([7**0.5, 0, nan, nan], nan_ok=True)
    assert found.low[1] == found.high[1] == 5
    assert np.isnan(found.low[2:]).all()
    assert found.low[0] < 3 < found.high[0]
    alone = hierarchical_means([np.ones((1, 2))], draws=10)
    assert (alone.mean.tolist(), np.isnan(alone.low).all()) == ([1, 1], True)
    with pytest.raises(ValueError, match="no values"):
        hierarchical_means([np.empty((0, 4))])


def test_weighted_facts_count_as_often_as_values_they_are_means_of():
    """Facts of 1, 2 and 3 values: the mean is that of the values, and resampling takes facts."""
    rng = np.random.default_rng(0)
    sizes = [rng.integers(1, 4, size=40) for _ in range(2)]
    values = [[rng.normal(size=n) for n in of_seed] for of_seed in sizes]
    tables = [np.array([[v.mean(), 1.0] for v in of_seed]) for of_seed in values]

    found = hierarchical_means(tables, draws=4000, weights=sizes)

    everything = np.concatenate([v for of_seed in values for v in of_seed])
    assert found.mean == pytest.approx([everything.mean(), 1.0], abs=EXACT_IN_FLOAT64)
    assert found.n.tolist() == [80, 80]
    sums = [np.array([[v.sum(), len(v)] for v in of_seed]) for of_seed in values]
    _, low, high, _ = hierarchical_sums(sums, lambda s: s[:, 0] / s[:, 1], draws=4000)
    assert (found.low[0], found.high[0]) == pytest.approx((low, high))


def test_units_are_resampled_as_one():
    """Facts that come thrice are as sure as facts that come once."""
    rng = np.random.default_rng(0)
    once = [rng.normal(size=(n, 2)) for n in (20, 30)]
    thrice = [np.tile(table, (3, 1)) for table in once]
    units = [np.tile([f"f{i}" for i in range(len(table))], 3) for table in once]
    alone, found = hierarchical_means(once), hierarchical_means(thrice, units=units)

    assert found.mean == pytest.approx(alone.mean)
    assert found.n.tolist() == [150, 150]
    width = alone.high - alone.low
    assert found.high - found.low == pytest.approx(width, rel=BOOTSTRAP_RELATIVE)
    apart = hierarchical_means(thrice, units=[np.arange(len(of)) for of in units])
    plain = hierarchical_means(thrice)
    assert (apart.low.tolist(), apart.high.tolist()) == (plain.low.tolist(), plain.high.tolist())
    one = hierarchical_means([np.ones((4, 1)), np.empty((0, 1))], units=[["a"] * 4, []])
    assert (one.n.tolist(), np.isnan(one.low).all()) == ([4], True)


def test_equal_weights_are_none():
    tables = [np.random.default_rng(0).normal(size=(30, 3))]
    tables[0][4, 1] = np.nan
    plain, weighted = (
        hierarchical_means(tables, draws=200, weights=weights) for weights in (None, [[2] * 30])
    )
    assert weighted.mean == pytest.approx(plain.mean)
    assert weighted.high == pytest.approx(plain.high)
    assert weighted.n.tolist() == plain.n.tolist() == [30, 29, 30]
