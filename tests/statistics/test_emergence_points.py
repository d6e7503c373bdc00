"""When curves emerge and in which order."""

import math

import numpy as np
import pytest

from coemerge.statistics.emergence_points import emergence_point, order_correlation, smooth

K3 = np.array([0.1, 0.7, 0.4, 0.8, 0.9, 0.95])
RULES = ("fixed", "relative", "stable", "knee")


@pytest.mark.parametrize(("rule", "index"), [("fixed", 1), ("stable", 3), ("relative", 1)])
def test_k3_a_curve_that_dips(rule, index: int):
    assert emergence_point(K3, rule, theta=0.6, sigma=0) == index


def test_the_threshold_itself_is_enough():
    assert emergence_point(np.array([0.5, 0.6]), "fixed", theta=0.6, sigma=0) == 1


def test_half_of_the_maximum_is_enough():
    assert emergence_point(np.array([0.0, 0.1, 0.2]), "relative", sigma=0) == 1


def test_a_knee_is_furthest_from_the_chord_on_either_side():
    saturating, late = np.array([0, 0.8, 0.9, 1.0]), np.array([0, 0, 0.1, 1.0])
    assert emergence_point(saturating, "knee", sigma=0) == 1
    assert emergence_point(late, "knee", sigma=0) == 2


@pytest.mark.parametrize("curve", [[], [0.5], [0.1, 0.5], [0.1, 0.2, 0.3, 0.4], [0.3] * 5], ids=len)
def test_a_straight_line_has_no_knee(curve: list[float]):
    assert emergence_point(np.array(curve), "knee", sigma=0) is None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sigma", [0, 1])
def test_a_curve_at_zero_never_emerges(rule, sigma: float):
    assert emergence_point(np.zeros(6), rule, sigma=sigma) is None


def test_without_anything_above_zero_there_is_no_half_of_the_maximum():
    assert emergence_point(np.array([-0.4, -0.1]), "relative", sigma=0) is None


@pytest.mark.parametrize("curve", [[0.9, 0.9], [0.9, 0.9, 0.1, 0.9, 0.9]], ids=["short", "broken"])
def test_two_in_a_row_are_not_stable(curve: list[float]):
    assert emergence_point(np.array(curve), "stable", sigma=0) is None


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_curve_never_emerges(rule):
    assert emergence_point(np.array([]), rule) is None


def test_smoothing_is_on_unless_turned_off():
    peak = np.array([0, 0, 0, 0.9, 0, 0, 0])
    assert emergence_point(peak, "fixed") is None
    assert emergence_point(peak, "fixed", sigma=0) == 3


def test_smoothing_keeps_a_level_and_spreads_a_peak():
    assert smooth(np.full(5, 0.4)) == pytest.approx([0.4] * 5)
    peak = smooth(np.eye(1, 9, 4)[0])
    assert peak.sum() == pytest.approx(1, abs=1e-3)
    assert peak[4] / peak[3] == pytest.approx(math.exp(0.5))


def test_without_smoothing_the_curve_is_as_it_was():
    assert (smooth(K3, sigma=0) == K3).all()


def test_gaps_are_refused():
    with pytest.raises(ValueError, match="gaps"):
        emergence_point(np.array([0.1, np.nan, 0.9]), "fixed", sigma=0)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="unknown rule"):
        emergence_point(K3, "first")  # type: ignore[arg-type]


def test_equal_orders_correlate_fully_whatever_the_times():
    assert order_correlation([1, 2, 5, None], [10, 20, 21, 40]) == pytest.approx((1, 1))


def test_reversed_orders_correlate_negatively():
    assert order_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx((-1, -1))


def test_one_swap_among_four():
    assert order_correlation([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx((0.8, 2 / 3))


def test_what_never_emerges_shares_the_bottom_rank():
    with_gaps = order_correlation([3, 1, None, None], [3, 1, 2, 9])
    assert with_gaps == pytest.approx(order_correlation([3, 1, 99, 99], [3, 1, 2, 9]))


@pytest.mark.parametrize("points", [[], [1, 2], [None, None, None], [4, 4, 4]], ids=str)
def test_without_an_order_there_is_no_correlation(points: list[int | None]):
    others = list(range(len(points)))
    assert all(math.isnan(value) for value in order_correlation(points, others))


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="3 and 2"):
        order_correlation([1, 2, 3], [1, 2])
