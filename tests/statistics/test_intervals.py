"""Means with intervals over facts."""

import numpy as np
import pytest

from coemerge.statistics.intervals import at_chance, bootstrap_mean, wilson_mean
from tests.tolerances import BOOTSTRAP_RELATIVE, EXACT_IN_FLOAT64, TEXTBOOK_DIGITS


@pytest.fixture
def uniform() -> np.ndarray:
    return np.random.default_rng(0).random(400)


def test_the_mean_is_that_of_the_values():
    assert bootstrap_mean(np.array([1.0, 2.0, 6.0])).mean == 3.0


def test_sd_and_se_are_those_of_the_sample():
    estimate = bootstrap_mean(np.array([1.0, 2.0, 3.0, 4.0]))
    assert abs(estimate.sd - (5 / 3) ** 0.5) < EXACT_IN_FLOAT64
    assert abs(estimate.se - (5 / 3) ** 0.5 / 2) < EXACT_IN_FLOAT64


def test_the_interval_is_the_normal_one_for_many_values(uniform):
    estimate = bootstrap_mean(uniform)
    half_width = 1.96 * uniform.std(ddof=1) / 20
    assert abs((estimate.high - estimate.mean) / half_width - 1) < BOOTSTRAP_RELATIVE
    assert abs((estimate.mean - estimate.low) / half_width - 1) < BOOTSTRAP_RELATIVE


def test_the_interval_of_two_values_spans_them():
    """A quarter of the resamples are all of one value, so both ends lie beyond 2.5 %."""
    estimate = bootstrap_mean(np.array([0.0, 1.0]))
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_equal_values_have_an_interval_of_no_width():
    estimate = bootstrap_mean(np.full(5, 0.25))
    assert (estimate.low, estimate.high, estimate.sd) == (0.25, 0.25, 0.0)


def test_intervals_narrow_with_the_number_of_facts(uniform):
    few, many = bootstrap_mean(uniform[:50]), bootstrap_mean(uniform)
    assert many.high - many.low < few.high - few.low


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for k in range(200):
        estimate = bootstrap_mean(rng.random(40), seed=k, draws=500)
        covered += estimate.low <= 0.5 <= estimate.high
    assert 0.88 < covered / 200 < 0.99


def test_the_same_seed_gives_the_same_interval(uniform):
    assert bootstrap_mean(uniform, seed=1) == bootstrap_mean(uniform, seed=1)


def test_one_value_has_no_interval():
    estimate = bootstrap_mean(np.array([0.5]))
    assert estimate.mean == 0.5
    assert np.isnan([estimate.low, estimate.high, estimate.sd, estimate.se]).all()


def test_the_number_of_values_is_reported(uniform):
    assert bootstrap_mean(uniform).n == 400


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean(np.array([]))


def test_scores_around_zero_are_at_chance():
    scores = np.random.default_rng(0).normal(0, 0.2, size=200)
    assert at_chance(bootstrap_mean(scores - scores.mean()))


def test_scores_far_above_zero_are_not_at_chance():
    scores = np.random.default_rng(0).normal(0.5, 0.1, size=50)
    assert not at_chance(bootstrap_mean(scores))


def test_scores_far_below_zero_are_not_at_chance():
    scores = np.random.default_rng(0).normal(-0.5, 0.1, size=50)
    assert not at_chance(bootstrap_mean(scores))


def test_wilson_interval_has_the_textbook_value_for_none_of_ten() -> None:
    estimate = wilson_mean(np.zeros(10), lowest=0.0)
    assert estimate.low == pytest.approx(0.0, abs=EXACT_IN_FLOAT64)
    assert estimate.high == pytest.approx(0.277533, abs=TEXTBOOK_DIGITS)


def test_wilson_interval_scales_with_the_bounds() -> None:
    plain = wilson_mean(np.array([0.0, 1.0, 1.0, 0.0]), lowest=0.0)
    wide = wilson_mean(np.array([-1.0, 1.0, 1.0, -1.0]), lowest=-1.0)
    assert (wide.low, wide.high) == pytest.approx((2 * plain.low - 1, 2 * plain.high - 1))


@pytest.mark.parametrize("n_candidates", [10, 16])
def test_x1_a_model_that_commits_to_random_answers_is_at_chance(n_candidates: int) -> None:
    chance = 1 / n_candidates
    passed = 0
    for seed in range(200):
        is_lucky = np.random.default_rng(seed).random(40) < chance
        scores = np.where(is_lucky, 1.0, -chance / (1 - chance))
        passed += at_chance(wilson_mean(scores, lowest=-chance / (1 - chance)))
    assert passed >= 170  # both conditions of T-X1 together: about nine in ten


def test_x1_a_model_that_knows_a_third_of_the_facts_is_not_at_chance() -> None:
    scores = np.where(np.arange(40) < 14, 1.0, -1 / 15)
    assert not at_chance(wilson_mean(scores, lowest=-1 / 15))


def test_x1_a_model_that_avoids_the_answer_is_not_at_chance() -> None:
    assert not at_chance(wilson_mean(np.full(40, -0.6), lowest=-1.0))
