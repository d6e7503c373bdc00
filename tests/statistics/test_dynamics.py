"""How a single exposure is learnt and forgotten."""

import math

import numpy as np
import pytest

from coemerge.statistics.dynamics import fit_decay, retainability
from tests.tolerances import EXACT_IN_FLOAT64


def test_a_third_of_the_gain_is_left():
    """T-K1: -5 before, -2 at the peak, -4 later."""
    assert retainability(-5.0, -2.0, -4.0) == pytest.approx(1 / 3)


def test_all_of_the_gain_is_there_at_the_peak_and_none_where_it_began():
    assert retainability(-5.0, -2.0, -2.0) == 1.0
    assert retainability(-5.0, -2.0, -5.0) == 0.0


def test_more_than_all_is_left_where_it_goes_on_growing_and_less_than_none_below_the_start():
    assert retainability(-5.0, -2.0, -1.0) == pytest.approx(4 / 3)
    assert retainability(-5.0, -2.0, -6.0) == pytest.approx(-1 / 3)


@pytest.mark.parametrize("peak", [-5.0, -6.0], ids=["nothing gained", "something lost"])
def test_where_nothing_was_gained_there_is_nothing_to_retain(peak: float):
    assert math.isnan(retainability(-5.0, peak, -4.0))


def test_facts_are_reckoned_one_by_one():
    before, peak = np.array([-5.0, -5.0, -3.0]), np.array([-2.0, -5.0, -1.0])
    left = retainability(before, peak, np.array([-4.0, -4.0, -1.0]))
    assert left == pytest.approx([1 / 3, math.nan, 1.0], nan_ok=True)


def test_a_curve_is_reckoned_against_one_start_and_one_peak():
    assert retainability(-5.0, -1.0, np.array([-1.0, -2.0, -4.0])) == pytest.approx([1, 0.75, 0.25])


def test_a_number_comes_back_as_a_number():
    assert type(retainability(-5.0, -2.0, -4.0)) is float


def test_a_decay_by_a_fifth_per_decade_meets_zero_after_a_hundred_thousand_steps():
    """T-K2: (1, 1.0), (10, 0.8), (100, 0.6)."""
    decay = fit_decay(np.array([1, 10, 100]), np.array([1.0, 0.8, 0.6]))
    assert decay.slope == pytest.approx(-0.2, abs=EXACT_IN_FLOAT64)
    assert decay.intercept == pytest.approx(1.0, abs=EXACT_IN_FLOAT64)
    assert decay.steps_to_zero == pytest.approx(1e5)


def test_a_decay_is_the_line_of_least_squares():
    """One point above and one below the line at the same step cancel."""
    decay = fit_decay(np.array([1, 10, 10, 100]), np.array([1.0, 0.9, 0.7, 0.6]))
    assert decay.slope == pytest.approx(-0.2)


@pytest.mark.parametrize("retained", [[0.5, 0.7], [0.5, 0.5]], ids=["rises", "stays"])
def test_what_does_not_fall_never_meets_zero(retained: list[float]):
    assert fit_decay(np.array([1, 10]), np.array(retained)).steps_to_zero == math.inf


@pytest.mark.parametrize("steps", [[], [10], [10, 10]], ids=len)
def test_a_decay_needs_two_different_steps(steps: list[int]):
    with pytest.raises(ValueError, match="two different steps"):
        fit_decay(np.array(steps), np.ones(len(steps)))
