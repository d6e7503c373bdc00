"""Signed ratios of probabilities, and paired tests of them (methods 6.4)."""

import numpy as np
import pytest
from scipy import stats

from coemerge.statistics.shifts import outer_quantiles, paired_p_values, shift
from coemerge.statistics.variance import benjamini_hochberg
from tests.tolerances import EXACT_IN_FLOAT64


def test_shifts_of_three_probabilities():
    """T-Y3."""
    found = shift([0.2, 0.3, 0.3], [0.3, 0.2, 0.3])

    assert found == pytest.approx([0.5, -0.5, 0.0], abs=EXACT_IN_FLOAT64)


def test_doubled_and_halved_are_as_far():
    assert shift(0.1, 0.2) == -shift(0.2, 0.1) == 1.0


def test_zeros_have_no_ratio_but_a_direction():
    assert shift([0.0, 0.0, 0.4], [0.0, 0.4, 0.0]).tolist() == [0.0, np.inf, -np.inf]


def test_one_mean_against_many_draws():
    assert shift(np.array([0.2, 0.4]), np.full((3, 2), 0.4)).tolist() == [[1.0, 0.0]] * 3


def test_negative_numbers_are_no_probabilities():
    with pytest.raises(ValueError, match="some are negative"):
        shift([-0.1], [0.1])


def test_p_values_are_those_of_the_paired_test():
    rng = np.random.default_rng(0)
    before = rng.random((30, 2, 3))
    after = before + rng.normal(0.02, 0.1, before.shape)

    found = paired_p_values(before, after)

    assert found == pytest.approx(stats.ttest_rel(before, after).pvalue, rel=1e-9)
    unpaired = stats.ttest_ind(before, after).pvalue
    assert np.abs(found - unpaired).max() > 0.1, "of the pairs, not of two samples"


def test_without_spread_there_is_certainty_either_way():
    before = np.array([[0.1, 0.1], [0.3, 0.3], [0.7, 0.7]])

    found = paired_p_values(before, before + np.array([0.0, 0.125]))

    assert found.tolist() == [1.0, 0.0]
    assert np.isnan(paired_p_values(before[:1], before[:1])).all(), "a single pair"


def test_benjamini_hochberg_by_hand():
    """Sorted .005 .01 .03 .04 .5: times 5/rank is .025 .025 .05 .05 .5; the first two and the third
    share what a later one has."""
    found = benjamini_hochberg(np.array([0.04, 0.005, 0.5, 0.01, 0.03]))

    assert found == pytest.approx([0.05, 0.025, 0.5, 0.025, 0.05])


def test_quantiles_are_those_of_numpy_unless_a_neighbour_is_infinite():
    values = np.stack([np.arange(21.0), np.arange(21.0)], axis=1)
    values[0, 1], values[20, 1] = -np.inf, np.inf

    low, high = outer_quantiles(values, 0.025, 0.975)

    assert low.tolist() == [0.5, -np.inf]
    assert high.tolist() == [19.5, np.inf]
    all_infinite = outer_quantiles(np.array([-np.inf] * 3 + [np.inf] * 3), 0.4, 0.6)
    assert all_infinite == (-np.inf, np.inf)
