"""Does a fact that emerged on one task emerge on the others? (methods 3.3)

Axes: F facts, K tasks, Q checkpoints in training order, P paraphrases. Times are checkpoint indices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from coemerge.statistics.thresholds import COMPETENT

Sustained = Literal["any", "last", "3-in-a-row"]

UNTESTABLE = "no_prerequisite"  # t is never competent while f has emerged on another task
PREREQUISITE_LOST = "prerequisite_lost"  # at the last checkpoint f has emerged on no other task
TASK_LOST = "task_lost"  # t is not competent at the last checkpoint
PRE_EMERGED = "pre_emerged"  # f had emerged on t before c*; left out on request
REASONS = (UNTESTABLE, PREREQUISITE_LOST, TASK_LOST, PRE_EMERGED)

_IN_A_ROW = 3


def is_competent(emerged: np.ndarray, share: float = COMPETENT) -> np.ndarray:
    """Whether at least ``share`` of the facts have emerged: [F, K, Q] bool -> [K, Q] bool
    (methods 3.2)."""
    return np.asarray(emerged, dtype=bool).mean(axis=0) >= share


@dataclass(frozen=True, slots=True)
class Pairs:
    """The (fact, target task) pairs; every array is [F, K].

    ``testable`` bool; ``reason`` str objects, empty where testable, else one of ``REASONS``;
    ``prerequisite`` int, the checkpoint c* from which the target should follow, -1 for none;
    ``emerged_at`` int, the first checkpoint with emergence on the target, -1 for never; ``success``
    bool, False where not testable.
    """

    testable: np.ndarray
    reason: np.ndarray
    prerequisite: np.ndarray
    emerged_at: np.ndarray
    success: np.ndarray

    @property
    def n_testable(self) -> int:
        """Pairs that count."""
        return int(self.testable.sum())

    @property
    def n_untestable(self) -> int:
        """Pairs whose prerequisite never held."""
        return int((self.reason == UNTESTABLE).sum())

    @property
    def n_excluded(self) -> int:
        """Pairs whose prerequisite held once but that are left out; the three counts add to F K."""
        return self.testable.size - self.n_testable - self.n_untestable

    def failure_rate(self, mask: np.ndarray | None = None) -> float:
        """Share of the testable pairs (within ``mask`` [F, K]) that fail; NaN if there are none."""
        counted = self.testable if mask is None else self.testable & np.asarray(mask, dtype=bool)
        return float(1 - self.success[counted].mean()) if counted.any() else np.nan


def co_emergence(
    emerged: np.ndarray,
    competent: np.ndarray,
    window: int | None = None,
    sustained: Sustained = "any",
    exclude_preemerged: bool = False,
) -> Pairs:
    """The time rule of methods 3.3, steps 1-4, for ``emerged`` [F, K, Q] and ``competent`` [K, Q].

    c* is the first checkpoint at which the target task is competent and the fact has emerged on
    another task. The pair succeeds if the fact is seen on the target within c* ... c* + ``window``
    checkpoints (None: to the last; windows end at the last checkpoint): at "any" of them, at the
    "last" of them, or at "3-in-a-row" (all of them if the window is shorter). With
    ``exclude_preemerged`` pairs that had emerged on the target before c* are excluded. Raises
    ValueError if the shapes do not fit or the window is negative.
    """
    emerged, competent = np.asarray(emerged, dtype=bool), np.asarray(competent, dtype=bool)
    if emerged.ndim != 3 or competent.shape != emerged.shape[1:] or emerged.shape[2] == 0:
        raise ValueError(f"expected [F, K, Q] and [K, Q], got {emerged.shape}, {competent.shape}")
    if window is not None and window < 0:
        raise ValueError("the window must not be negative")
    on_another = emerged.sum(axis=1, keepdims=True) - emerged > 0
    prerequisite = _first(competent & on_another)
    emerged_at = _first(emerged)
    reason = np.full(prerequisite.shape, "", dtype=object)
    if exclude_preemerged:  # the later assignments take precedence
        reason[(emerged_at >= 0) & (emerged_at < prerequisite)] = PRE_EMERGED
    reason[:, ~competent[:, -1]] = TASK_LOST
    reason[~on_another[:, :, -1]] = PREREQUISITE_LOST
    reason[prerequisite < 0] = UNTESTABLE
    testable = reason == ""
    success = testable & _held(emerged, prerequisite, window, sustained)
    return Pairs(testable, reason, prerequisite, emerged_at, success)


def _first(flags: np.ndarray) -> np.ndarray:
    """Index of the first True along the last axis, -1 where there is none."""
    return np.where(flags.any(axis=-1), flags.argmax(axis=-1), -1)


def _held(
    emerged: np.ndarray, start: np.ndarray, window: int | None, sustained: Sustained
) -> np.ndarray:
    """Whether ``emerged`` [F, K, Q] holds from ``start`` [F, K] on; of no meaning at start -1."""
    last = emerged.shape[2] - 1
    end = np.full_like(start, last) if window is None else np.minimum(start + window, last)
    times = np.arange(last + 1)
    inside = (times >= start[:, :, None]) & (times <= end[:, :, None])
    held = emerged & inside
    match sustained:
        case "any":
            return held.any(axis=2)
        case "last":
            return np.take_along_axis(emerged, end[:, :, None], axis=2)[:, :, 0]
        case "3-in-a-row":
            in_a_row = (held[:, :, :-2] & held[:, :, 1:-1] & held[:, :, 2:]).any(axis=2)
            is_short = end - start + 1 < _IN_A_ROW
            return np.where(is_short, (held == inside).all(axis=2), in_a_row)
    raise ValueError(f"unknown rule {sustained!r}")


def failure_by_window(
    emerged: np.ndarray, competent: np.ndarray, windows: Sequence[int | None], **rule: Any
) -> np.ndarray:
    """Failure rate for every window of ``windows`` (checkpoints, None to the last); ``rule`` are
    the other options of ``co_emergence``. At window 0 emergence must be simultaneous."""
    rates = [co_emergence(emerged, competent, w, **rule).failure_rate() for w in windows]
    return np.array(rates, dtype=float)


def transfer_matrix(
    emerged_last: np.ndarray, competent_last: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """M[s, t], the share of the facts in the basis of task s that have emerged on task t, and the
    number n[s, t] of those facts, both [K, K] (methods 3.3).

    ``basis`` [F, K] says which facts count as known on the source: ``emerged_last`` itself for the
    published matrix, or the facts trained on s. ``emerged_last`` [F, K] and ``competent_last`` [K]
    are those of the last checkpoint. Where t is not competent and on the diagonal n is 0; without
    facts the share is NaN.
    """
    known = np.asarray(basis, dtype=bool).astype(int)
    is_cell = ~np.eye(known.shape[1], dtype=bool) & np.asarray(competent_last, dtype=bool)
    n = np.where(is_cell, known.sum(axis=0)[:, None], 0)
    both = known.T @ np.asarray(emerged_last, dtype=bool).astype(int)
    rate = np.full(n.shape, np.nan)
    np.divide(both, n, out=rate, where=n > 0)
    return rate, n


def permutation_null(
    emerged: np.ndarray,
    competent: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    draws: int = 200,
    **rule: Any,
) -> np.ndarray:
    """Failure rates [draws] if the tasks were independent (methods 3.3, null a): in every draw the
    facts of each group (``groups`` [F], the relation) trade their histories, separately per task.

    The share of emerged facts, and with it competence, stays. ``rule`` as in ``co_emergence``.
    """
    emerged, groups = np.asarray(emerged, dtype=bool), np.asarray(groups)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    rates = np.empty(draws)
    for draw in range(draws):
        shuffled = emerged.copy()
        for facts in members:
            for task in range(emerged.shape[1]):
                shuffled[facts, task] = emerged[rng.permutation(facts), task]
        rates[draw] = co_emergence(shuffled, competent, **rule).failure_rate()
    return rates
