"""Co-emergence of facts on tasks: a worked example, properties and null models."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coemerge.statistics.co_emergence import (
    REASONS,
    Pairs,
    co_emergence,
    failure_by_window,
    is_competent,
    permutation_null,
    split_half_failure,
    transfer_matrix,
)

SUSTAINED = ("any", "last", "3-in-a-row")
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 7))
HISTORIES = SHAPES.flatmap(lambda shape: arrays(bool, shape))
WINDOWS = st.none() | st.integers(0, 8)


def history(*tasks: str) -> np.ndarray:
    """[F, K, Q] from one string per task: facts by spaces, checkpoints by characters."""
    rows = [[[c == "1" for c in fact] for fact in task.split()] for task in tasks]
    return np.array(rows).swapaxes(0, 1)


def pair(target: str, source: str, **rule) -> Pairs:
    """One fact on a target (task 0, always competent) and a source (task 1, never)."""
    emerged = history(target, source)
    competent = np.array([[True], [False]]) & np.ones(len(target), dtype=bool)
    return co_emergence(emerged, competent, **rule)


@pytest.fixture
def b1() -> np.ndarray:
    """The example of T-B1: facts f1 to f4, tasks A and B, three checkpoints."""
    return history("111 011 010 001", "011 000 000 001")


@pytest.fixture
def pairs(b1) -> Pairs:
    return co_emergence(b1, is_competent(b1))


def test_b1_competence_follows_the_share_of_emerged_facts(b1):
    assert is_competent(b1).tolist() == [[True, True, True], [False, True, True]]
    assert is_competent(b1, share=0.75).tolist() == [[False, True, True], [False] * 3]


def test_b1_pairs_are_testable_excluded_or_untestable(pairs):
    on_a = ["", "no_prerequisite", "no_prerequisite", ""]
    on_b = ["", "", "prerequisite_lost", ""]
    assert pairs.reason.T.tolist() == [on_a, on_b]
    assert (pairs.n_testable, pairs.n_excluded, pairs.n_untestable) == (5, 1, 2)


def test_b1_one_in_five_fails(pairs):
    assert pairs.success.T.tolist() == [[True, False, False, True], [True, False, False, True]]
    assert pairs.failure_rate() == pytest.approx(0.2)
    assert pairs.failure_rate(np.array([[False, True]])) == pytest.approx(1 / 3)


def test_b1_times_are_checkpoint_indices(pairs):
    assert pairs.prerequisite.T.tolist() == [[1, -1, -1, 2], [1, 1, 1, 2]]
    assert pairs.emerged_at.T.tolist() == [[0, 1, 1, 2], [1, -1, -1, 2]]


def test_b1_transfer_between_the_tasks(b1):
    rate, n = transfer_matrix(b1[:, :, -1], is_competent(b1)[:, -1], b1[:, :, -1])
    nan = np.nan
    assert rate == pytest.approx(np.array([[nan, 2 / 3], [2 / 2, nan]]), nan_ok=True)
    assert n.tolist() == [[0, 3], [2, 0]]


def test_b1_a_pair_that_had_emerged_before_can_be_excluded(b1):
    """f1 is on A at the first checkpoint and on B, which asks for it, at the second."""
    pairs = co_emergence(b1, is_competent(b1), exclude_preemerged=True)
    assert pairs.reason[0].tolist() == ["pre_emerged", ""]
    assert (pairs.n_testable, pairs.n_excluded, pairs.n_untestable) == (4, 2, 2)
    assert pairs.failure_rate() == pytest.approx(0.25)


@given(HISTORIES, WINDOWS)
def test_b2_facts_that_emerge_on_all_tasks_at_once_do_not_fail(emerged, window):
    alike = np.repeat(emerged[:, :1], 3, axis=1)
    pairs = co_emergence(alike, is_competent(alike), window)
    assert pairs.success[pairs.testable].all()


@given(arrays(float, (4, 3, 5), elements=st.floats(-1, 1)), st.floats(-1, 1), st.floats(0, 1))
def test_b3_a_higher_threshold_never_makes_a_task_competent(scores, theta, more):
    low, high = is_competent(scores > theta), is_competent(scores > theta + more)
    assert (low | ~high).all()


@given(HISTORIES, st.data())
def test_b4_every_pair_is_testable_excluded_or_untestable(emerged, data):
    competent = data.draw(arrays(bool, emerged.shape[1:]))
    rule = {"sustained": data.draw(st.sampled_from(SUSTAINED)), "window": data.draw(WINDOWS)}
    pairs = co_emergence(emerged, competent, exclude_preemerged=data.draw(st.booleans()), **rule)
    counts = (pairs.n_testable, pairs.n_excluded, pairs.n_untestable)
    assert sum(counts) == emerged.shape[0] * emerged.shape[1]
    assert min(counts) >= 0
    assert set(pairs.reason[~pairs.testable]) <= set(REASONS)
    assert not pairs.success[~pairs.testable].any()


def by_the_letter(target, others, competent, window, sustained) -> bool | None:
    """Methods 3.3 for one pair, in loops: None where it is not testable."""
    times = range(len(target))
    ready = [c for c in times if competent[c] and others[c]]
    if not ready or not others[-1] or not competent[-1]:
        return None
    end = len(target) - 1 if window is None else min(ready[0] + window, len(target) - 1)
    seen = [bool(target[c]) for c in range(ready[0], end + 1)]
    if sustained == "last":
        return seen[-1]
    length = 1 if sustained == "any" else min(3, len(seen))
    return any(all(seen[i : i + length]) for i in range(len(seen) - length + 1))


@given(HISTORIES, WINDOWS, st.sampled_from(SUSTAINED), st.data())
def test_the_arrays_follow_the_rule_pair_by_pair(emerged, window, sustained, data):
    competent = data.draw(arrays(bool, emerged.shape[1:]))
    pairs = co_emergence(emerged, competent, window, sustained)
    for f, t in itertools.product(*map(range, emerged.shape[:2])):
        others = np.delete(emerged[f], t, axis=0).any(axis=0)
        expected = by_the_letter(emerged[f, t], others, competent[t], window, sustained)
        assert pairs.testable[f, t] == (expected is not None)
        assert pairs.success[f, t] == bool(expected)


@pytest.mark.parametrize(
    ("sustained", "window", "success"),
    [
        ("any", 0, False),
        ("any", 1, True),
        ("last", 1, True),
        ("last", 3, False),
        ("last", None, True),
        ("3-in-a-row", 1, False),  # shorter than three: needs all of it
        ("3-in-a-row", 6, False),
        ("3-in-a-row", 7, True),
        ("3-in-a-row", None, True),
    ],
)
def test_windows_and_rules_on_one_history(sustained, window, success: bool):
    """The source emerges at index 1, so windows begin there."""
    pairs = pair("101100111", "011111111", sustained=sustained, window=window)
    assert pairs.prerequisite[0, 0] == 1
    assert pairs.success[0, 0] == success


def test_a_short_window_that_is_full_is_sustained():
    assert pair("0011", "0011", sustained="3-in-a-row").success[0, 0]


def test_emergence_before_the_window_does_not_count():
    assert not pair("1000", "0111").success[0, 0]


def test_emergence_at_the_start_of_the_window_is_not_before_it():
    assert pair("0111", "0111", exclude_preemerged=True).testable[0, 0]


def test_a_task_that_is_lost_is_named():
    emerged = history("011", "011")
    pairs = co_emergence(emerged, np.array([[True, True, False], [True] * 3]))
    assert pairs.reason.tolist() == [["task_lost", ""]]


def test_failures_never_become_more_as_the_window_grows(b1):
    emerged = np.random.default_rng(0).random((20, 3, 9)) < 0.4
    rates = failure_by_window(emerged, is_competent(emerged), [0, 1, 2, 4, None])
    assert (np.diff(rates) <= 0).all()
    assert rates[0] > rates[-1]
    whole = failure_by_window(b1, is_competent(b1), [None], exclude_preemerged=True)
    assert whole == pytest.approx([0.25])


def test_a_rate_over_no_pair_is_undefined(pairs):
    assert np.isnan(pairs.failure_rate(np.zeros((4, 2), dtype=bool)))
    assert np.isnan(pair("000", "000").failure_rate())


def test_arrays_that_do_not_fit_are_refused(b1):
    with pytest.raises(ValueError, match="expected"):
        co_emergence(b1, is_competent(b1)[:, :2])
    with pytest.raises(ValueError, match="negative"):
        co_emergence(b1, is_competent(b1), window=-1)
    with pytest.raises(ValueError, match="unknown rule"):
        co_emergence(b1, is_competent(b1), sustained="first")  # type: ignore[arg-type]


def test_transfer_needs_facts_on_the_source_and_a_competent_target():
    emerged = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
    rate, n = transfer_matrix(emerged, np.array([True, True, False]), emerged)
    assert n.tolist() == [[0, 2, 0], [1, 0, 0], [0, 0, 0]]
    assert np.isnan(rate).tolist() == (n == 0).tolist()
    assert (rate[0, 1], rate[1, 0]) == (0.5, 1.0)


def test_transfer_from_the_facts_trained_on_a_task():
    emerged = np.array([[1, 1], [0, 1], [1, 0], [1, 0]], dtype=bool)
    trained = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=bool)
    rate, n = transfer_matrix(emerged, np.array([True, True]), trained)
    assert (rate[0, 1], n[0, 1]) == (pytest.approx(2 / 3), 3)
    assert (rate[1, 0], n[1, 0]) == (1.0, 1)


def test_independent_tasks_lie_within_the_permutation_null():
    rng = np.random.default_rng(0)
    emerged = (rng.random((40, 3, 1)) < 0.5) & np.ones(4, dtype=bool)
    competent = is_competent(emerged)
    null = permutation_null(emerged, competent, np.arange(40) % 4, rng, draws=200)
    low, high = np.quantile(null, (0.001, 0.999))
    assert null.shape == (200,)
    assert low <= co_emergence(emerged, competent).failure_rate() <= high


def test_tasks_that_share_their_facts_fail_less_than_the_permutation_null():
    rng = np.random.default_rng(0)
    emerged = np.repeat(rng.random((40, 1, 4)) < 0.5, 3, axis=1)
    null = permutation_null(emerged, is_competent(emerged), np.zeros(40, dtype=int), rng, draws=50)
    assert null.min() > 0


def test_facts_are_traded_only_within_their_group():
    """Each group is of one kind, in no order, so that trading within it changes nothing."""
    groups = np.array([3, 1, 3, 1, 3])
    emerged = np.where((groups == 3)[:, None, None], history("011", "000"), history("111", "111"))
    competent = np.ones((2, 3), dtype=bool)
    null = permutation_null(emerged, competent, groups, np.random.default_rng(0), draws=5)
    assert null == pytest.approx(co_emergence(emerged, competent).failure_rate())


def test_the_null_follows_the_rule_it_is_given(b1):
    single = np.arange(4)  # groups of one fact: nothing to trade
    rule = {"window": 0, "exclude_preemerged": True}
    null = permutation_null(b1, is_competent(b1), single, np.random.default_rng(0), draws=2, **rule)
    assert null == pytest.approx(co_emergence(b1, is_competent(b1), **rule).failure_rate())


def test_without_noise_a_fact_does_not_fail_itself():
    scores = np.random.default_rng(0).random((10, 3, 1)).repeat(10, axis=2)
    mean, draws = split_half_failure(scores, 0.6, np.random.default_rng(0), draws=20)
    assert mean == 0
    assert (draws == 0).all()


def test_two_paraphrases_of_which_one_is_known_always_disagree():
    scores = np.tile([1.0, 0.0], (5, 2, 1))
    assert split_half_failure(scores, 0.6, np.random.default_rng(0), draws=10)[0] == 1


def test_three_known_of_four_disagree_always_and_share_one_half():
    """One half has both known, the other one of two: in one of the two directions nothing is asked
    for, in the other it is missing."""
    scores = np.tile([1.0, 1.0, 1.0, 0.0], (5, 2, 1))
    scores[0] = 1.0  # known throughout: asked for in both directions, and there
    mean, _ = split_half_failure(scores, 0.6, np.random.default_rng(0), draws=10)
    assert mean == pytest.approx(8 / (8 + 4))


def test_missing_paraphrases_are_passed_over_and_one_is_not_split():
    nan = np.nan
    scores = np.array([[[1.0, nan, 1.0, nan, nan], [nan, 1.0, nan, nan, nan]]])
    mean, draws = split_half_failure(scores, 0.6, np.random.default_rng(0), draws=10)
    assert mean == 0
    assert not np.isnan(draws).any()


def test_where_nothing_emerges_on_a_half_there_is_no_failure_to_speak_of():
    mean, draws = split_half_failure(np.zeros((3, 2, 4)), 0.6, np.random.default_rng(0), draws=3)
    assert np.isnan(mean)
    assert np.isnan(draws).all()
