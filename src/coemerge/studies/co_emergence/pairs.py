"""Does a fact that is known in one task follow in the others? (methods 3.3)

From the scores of one run or of several seeds: pairs (fact, task) that may be tested, and how often
they fail, with controls. Rows of ``tables.co_emergence_records``; no model here.
"""

from typing import Any

import numpy as np

from coemerge.statistics.co_emergence import (
    UNTESTABLE,
    Pairs,
    co_emergence,
    is_competent,
)
from coemerge.statistics.resampling import hierarchical_rate
from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.nulls import null_rows
from coemerge.studies.co_emergence.runs import (
    ALL,
    FULL,
    OnRuns,
    Rows,
    arms_of,
    draws_of,
    interval,
    of_arm,
)
from coemerge.studies.shared.scored import Scores

RULES = ("any", "last", "3-in-a-row")


class Failures(OnRuns):
    """Tables of pairs and of their failures, one method each."""

    def pairs(self) -> Rows:
        """One row per seed, fact, task and threshold: may it be tested, and did it follow?"""
        rows: Rows = []
        for run in self.runs:
            for theta in self.config.thetas:
                for rule in RULES:
                    rows += _pair_rows(run, theta, rule, _pairs(run, theta, -1, rule))
        return rows

    def failure(self) -> Rows:
        """Share of testable pairs that did not follow, by threshold, window, rule and arm."""
        rows: Rows = []
        for theta in self.config.thetas:
            for rule in RULES:
                for window in self.config.windows if rule == "any" else [-1]:
                    found = [_pairs(run, theta, window, rule) for run in self.runs]
                    keys = {"theta": theta, "window": window, "sustained": rule}
                    draws = draws_of(self.config, theta, window)
                    rows += [
                        {**keys, "arm": arm, **self._failure(found, arm, draws)}
                        for arm in (ALL, *arms_of(self.runs))
                    ]
        return rows

    def _failure(self, found: list[Pairs], arm: str, draws: int) -> dict[str, Any]:
        """Columns of one arm."""
        masks = [of_arm(run, arm) for run in self.runs]
        own = list(zip(found, masks, strict=True))
        reasons = np.concatenate([p.reason[mask].ravel() for p, mask in own])
        n_testable, n_untestable = (int((reasons == r).sum()) for r in ("", UNTESTABLE))
        failed = [np.where(p.testable, ~p.success, np.nan)[mask] for p, mask in own]
        estimate = hierarchical_rate(failed, self.config.seed, draws) if n_testable else None
        return {
            **interval(estimate, "rate"),
            "n_testable": n_testable,
            "n_excluded": len(reasons) - n_testable - n_untestable,
            "n_untestable": n_untestable,
        }

    def nulls(self) -> Rows:
        """Controls: null models, and the failures of facts that every format showed."""
        found = [_pairs(run, THETA, -1, "any") for run in self.runs]
        shown = self._failure(found, FULL, draws_of(self.config, THETA))
        return null_rows(self.runs, self.config, shown)


def _pairs(run: Scores, theta: float, window: int, rule: str) -> Pairs:
    emerged = run.mean > theta
    limit = None if window < 0 else window
    return co_emergence(emerged, is_competent(emerged), limit, rule)  # type: ignore[arg-type]


def _pair_rows(run: Scores, theta: float, rule: str, pairs: Pairs) -> Rows:
    steps = np.append(run.steps, -1)  # index -1: never
    return [
        {
            "seed": run.seed,
            "fact_id": fact.fact_id,
            "task": task,
            "arm": fact.arm,
            "theta": theta,
            "window": -1,
            "sustained": rule,
            "testable": bool(pairs.testable[f, t]),
            "excluded_reason": pairs.reason[f, t],
            "prerequisite_step": int(steps[pairs.prerequisite[f, t]]),
            "emerged_step": int(steps[pairs.emerged_at[f, t]]),
            "co_emerged": bool(pairs.success[f, t]),
        }
        for f, fact in enumerate(run.facts.itertuples())
        for t, task in enumerate(run.tasks)
    ]
