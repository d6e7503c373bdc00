"""Consistency of neuron sets over queries, and classes of facts (methods T-Q1 to T-Q3, T-Q8)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from coemerge.statistics.consistency import (
    between_class_variance,
    consistency_scores,
    expected_overlap,
    is_inconsistent,
    otsu,
    welch,
)
from tests.tolerances import EXACT_IN_FLOAT64

SETS = st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(0, 8)).flatmap(
    lambda shape: arrays(bool, shape)
)
SHARES = arrays(float, st.integers(0, 12), elements=st.floats(0, 1))
WHOLE = st.integers(-9, 9).map(float)
LUMPY = arrays(float, st.integers(2, 12), elements=st.sampled_from([0, 0.1, 0.2, 0.5, 0.9, 1]))


def sets_of(*letters: str) -> np.ndarray:
    return np.array([[letter in of_query for letter in "abcdef"] for of_query in letters])


def test_scores_of_three_queries_done_by_hand():
    """T-Q1."""
    scores = consistency_scores(sets_of("abc", "bcd", "ce"))

    assert scores.cs1 == pytest.approx(0.2)
    assert scores.cs2 == pytest.approx(0.4)
    assert scores.n_union == 5


def test_identical_sets_agree_wholly_and_disjoint_ones_not():
    """T-Q2."""
    assert consistency_scores(sets_of("abc", "abc", "abc"))[:2] == (1, 1)
    assert consistency_scores(sets_of("ab", "cd", "e"))[:2] == (0, 0)


@given(SETS)
def test_scores_of_all_facts_at_once_are_ordered_and_those_of_each(sets: np.ndarray):
    cs1, cs2, n_union = consistency_scores(sets)

    defined = n_union > 0
    assert ((cs1 <= cs2) & (cs2 <= 1) & (cs1 >= 0))[defined].all()
    assert np.isnan(cs1[~defined]).all()
    assert np.isnan(cs2[~defined]).all()
    for fact, of_fact in enumerate(sets):
        members = [set(np.flatnonzero(of_query)) for of_query in of_fact]
        union = set.union(*members)
        assert n_union[fact] == len(union)
        if union:
            assert cs1[fact] == len(set.intersection(*members)) / len(union)
            twice = [n for n in union if sum(n in of_query for of_query in members) > 1]
            assert cs2[fact] == len(twice) / len(union)


@given(SETS)
def test_with_two_queries_both_scores_are_the_same(sets: np.ndarray):
    """T-Q2."""
    cs1, cs2, _ = consistency_scores(sets[:, :2])

    np.testing.assert_array_equal(cs1, cs2)


def test_otsu_cuts_where_it_separates_best():
    """T-Q3."""
    values = np.array([0.8, 0.1, 0.2, 0.1, 0.9])

    cuts, objective = between_class_variance(values)

    assert otsu(values) == pytest.approx(0.5)
    assert cuts == pytest.approx([0.15, 0.5, 0.85])
    assert objective.max() == pytest.approx(0.1233, abs=5e-5)
    assert sorted(objective)[-2] == pytest.approx(0.0683, abs=5e-5)


@given(LUMPY | SHARES)
def test_otsu_is_the_best_of_all_splits(values: np.ndarray):
    cut = otsu(values)

    if len(np.unique(values)) < 2:
        assert np.isnan(cut)
        return
    assert split_quality(values, cut) == pytest.approx(
        max(split_quality(values, lower) for lower in np.unique(values)[:-1]), abs=EXACT_IN_FLOAT64
    )


def split_quality(values: np.ndarray, cut: float) -> float:
    low, high = values[values <= cut], values[values > cut]
    assert len(low)
    assert len(high)
    return len(low) * len(high) / len(values) ** 2 * (low.mean() - high.mean()) ** 2


def test_a_cut_separates_neighbouring_floats_too():
    values = np.array([np.nextafter(1.0, 0), 1.0])

    assert is_inconsistent(values, otsu(values)).tolist() == [True, False]


@given(SHARES, st.floats(0, 1))
def test_classes_are_a_partition_for_any_cut(cs2: np.ndarray, cut: float):
    """T-Q8; consistent is strictly above."""
    inconsistent = is_inconsistent(cs2, cut)

    assert inconsistent.sum() + (cs2 > cut).sum() == len(cs2)
    assert not (inconsistent & (cs2 > cut)).any()


def test_a_fact_at_the_cut_is_inconsistent():
    assert is_inconsistent([0.2, 0.3, 0.4], 0.3).tolist() == [True, True, False]


def test_what_has_no_class_is_refused():
    with pytest.raises(ValueError, match="1 values of cs2 are NaN: leave out"):
        is_inconsistent([0.2, np.nan], 0.3)
    with pytest.raises(ValueError, match="the cut is NaN"):
        is_inconsistent([0.2, 0.2], otsu([0.2, 0.2]))
    with pytest.raises(ValueError, match="1 values are NaN"):
        otsu([0.2, 0.3, np.nan])
    with pytest.raises(ValueError, match=r"\[1, 6\].*k >= 2"):
        consistency_scores(sets_of("abc"))


@given(arrays(float, 5, elements=WHOLE), arrays(float, 3, elements=WHOLE))
def test_welch_has_no_more_degrees_of_freedom_than_two_samples(a: np.ndarray, b: np.ndarray):
    found = welch(a, b)

    if np.isnan(found.t):
        assert np.ptp(a) == np.ptp(b) == 0
        return
    most, least = (2 * stats.t.sf(abs(found.t), df) for df in (2, 6))  # min(n) - 1, n1 + n2 - 2
    assert least * (1 - 1e-9) <= found.p_value <= most * (1 + 1e-9)
    assert welch(b, a).t == -found.t


def test_welch_on_numbers_done_by_hand():
    """Means 2 and 5, variances 1 and 4: t = -3 / sqrt(1/3 + 4/3), 25/9 / (1/18 + 16/18) degrees."""
    found = welch([1, 2, 3], [3, 5, 7])

    t = -3 / (5 / 3) ** 0.5
    assert found.t == pytest.approx(t)
    assert found.p_value == pytest.approx(2 * stats.t.cdf(t, 25 / 9 / (17 / 18)))


@pytest.mark.parametrize("sides", [([1], [1, 2]), ([], [1, 2]), ([1, 1], [2, 2])])
def test_welch_is_undefined_without_spread(sides: tuple[list[float], list[float]]):
    assert np.isnan(welch(*sides)).all()


def test_random_sets_share_what_chance_says():
    assert expected_overlap(5, 5, 12 * 3072) == pytest.approx(25 / 36_864)
    assert expected_overlap(np.array([2, 4]), 5, 10).tolist() == [1, 2]
    with pytest.raises(ValueError, match="sets of 11 and 2 neurons do not fit into 10"):
        expected_overlap(11, 2, 10)
