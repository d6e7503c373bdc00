"""Does a fact that emerged on one task emerge on the others? (methods 3.3)

Axes: F facts, K tasks, Q checkpoints in order of training, P paraphrases. Times are indices of
checkpoints.
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
    """The (fact, target task) pairs; every array is [F, K]."""

    testable: np.ndarray  # bool
    reason: np.ndarray  # str objects: "" where testable, else one of REASONS
    prerequisite: np.ndarray  # int, c*: the target should follow from here; -1 for none
    emerged_at: np.ndarray  # int, first checkpoint with emergence on the target; -1 for never
    success: np.ndarray  # bool, False where not testable

    @property
    def n_testable(self) -> int:
        """Pairs that the failure rate is taken over."""
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

    c* is the first checkpoint at which the target is competent and the fact has emerged on another
    task. A pair succeeds if the fact has emerged on the target within the checkpoints c* ... c* +
    ``window`` (None: to the last; none reaches further): at "any" of them, at the "last" one, or at
    "3-in-a-row" (all of a shorter window). Raises ValueError for shapes that do not fit.
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
            return np.any(held, axis=2)
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
    """M[s, t], the share of the facts in the basis of source s that have emerged on target t, and
    the number n[s, t] of those facts, both [K, K] (methods 3.3).

    ``basis`` [F, K]: which facts count on a source; ``emerged_last`` [F, K] for the published
    matrix, or the facts trained on s. On the diagonal and where t is not competent n is 0, M NaN.
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
    """Failure rates [draws] if tasks were independent (methods 3.3, null a): the facts of a group
    (``groups`` [F] int, the relation) trade whole histories, separately per task, so that the share
    of emerged facts, hence competence, stays. ``rule`` as in ``co_emergence``."""
    emerged, groups = np.asarray(emerged, dtype=bool), np.asarray(groups)
    by_group = groups.argsort(kind="stable")
    rates, shuffled = np.empty(draws), np.empty_like(emerged)
    for draw in range(draws):
        keys = rng.random(emerged.shape[:2])
        order = np.lexsort((keys, np.broadcast_to(groups[:, None], keys.shape)), axis=0)
        shuffled[by_group] = np.take_along_axis(emerged, order[:, :, None], axis=0)
        rates[draw] = co_emergence(shuffled, competent, **rule).failure_rate()
    return rates


def split_half_failure(
    scores: np.ndarray, theta: float, rng: np.random.Generator, draws: int = 200
) -> tuple[float, np.ndarray]:
    """How often a fact fails to co-emerge with itself (methods 3.3, null b): mean and [draws].

    ``scores`` [F, K, P], NaN where missing. Every draw splits the paraphrases of each pair into two
    random halves of equal size (an odd one is left out) and counts, in both directions, the pairs
    whose mean exceeds ``theta`` on one half but not on the other, as a share of those where it does
    on the one. NaN for draws in which it never does. Half the paraphrases are noisier than all, so
    this overstates the noise of the full score.
    """
    scores = np.asarray(scores, dtype=float)
    half = (~np.isnan(scores)).sum(axis=2, keepdims=True) // 2
    shares = np.full(draws, np.nan)
    for draw in range(draws):
        keys = np.where(np.isnan(scores), np.inf, rng.random(scores.shape))
        mixed = np.take_along_axis(scores, keys.argsort(axis=2), axis=2)
        place = np.arange(scores.shape[2])
        parts = (place < half, (place >= half) & (place < 2 * half))
        sums = np.stack([np.where(part, mixed, 0).sum(axis=2) for part in parts])
        one, other = (half[:, :, 0] > 0) & (sums / np.maximum(half[:, :, 0], 1) > theta)
        if (one | other).any():
            shares[draw] = (one ^ other).sum() / (one.sum() + other.sum())
    defined = shares[~np.isnan(shares)]
    return float(defined.mean()) if len(defined) else np.nan, shares
