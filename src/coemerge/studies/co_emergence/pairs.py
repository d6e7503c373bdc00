"""Do facts co-emerge across tasks? (methods 3.1-3.4, 3.8-3.10)

From the scores of one run or of several seeds: which facts have emerged when, how often a fact
known in one task fails to appear in another, and what training in one task alone gives the others.
Rows of ``tables.co_emergence_records``; no model here.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from coemerge.prompts.tasks import get_task
from coemerge.statistics.co_emergence import (
    UNTESTABLE,
    Pairs,
    co_emergence,
    is_competent,
    permutation_null,
    split_half_failure,
)
from coemerge.statistics.intervals import Estimate
from coemerge.statistics.resampling import hierarchical_bootstrap, hierarchical_rate
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.shared.scored import Scores

Rows = list[dict[str, Any]]
ALL, FULL, SINGLE, NEVER = "all", "A0_full", "A2_single_source", "A5_never"
POOLED = -1  # seed of rows that several runs share
RULES = ("any", "last", "3-in-a-row")


def check_scores(runs: Sequence[Scores]) -> None:
    """Raises ValueError where runs cannot be taken together."""
    tasks = runs[0].tasks
    for run in runs[1:]:
        if run.tasks != tasks:
            raise ValueError(
                f"{run.run_id} was asked {run.tasks}, but {runs[0].run_id} {tasks}: analyse them "
                "apart"
            )
    if len({run.seed for run in runs}) < len(runs):
        raise ValueError(f"runs of one seed: {[run.run_id for run in runs]}; name different seeds")


class CoEmergence:
    """The tables of the study, one method each."""

    def __init__(self, runs: Sequence[Scores], config: CoEmergenceConfig) -> None:
        check_scores(runs)
        self.runs = runs
        self.config = config

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
                    draws = self._draws(theta, window)
                    rows += [
                        {**keys, "arm": arm, **self._failure(found, arm, draws)}
                        for arm in (ALL, *self._arms())
                    ]
        return rows

    def _failure(self, found: list[Pairs], arm: str, draws: int) -> dict[str, Any]:
        """Columns of one arm."""
        masks = [_of_arm(run, arm) for run in self.runs]
        own = list(zip(found, masks, strict=True))
        reasons = np.concatenate([p.reason[mask].ravel() for p, mask in own])
        n_testable, n_untestable = (int((reasons == r).sum()) for r in ("", UNTESTABLE))
        failed = [np.where(p.testable, ~p.success, np.nan)[mask] for p, mask in own]
        estimate = hierarchical_rate(failed, self.config.seed, draws) if n_testable else None
        return {
            **_interval(estimate, "rate"),
            "n_testable": n_testable,
            "n_excluded": len(reasons) - n_testable - n_untestable,
            "n_untestable": n_untestable,
        }

    def matrix(self) -> Rows:
        """P(target | source) at the last checkpoint, for facts exposed in the source or emerged in
        it, by arm and kind of option sets."""
        rows: Rows = []
        for theta in self.config.thetas:
            for options in ("fresh", "seen"):
                for basis in ("exposed", "emerged"):
                    for arm in (ALL, *self._arms()):
                        rows += self._transfers(theta, options, basis, arm)
        return rows

    def _transfers(self, theta: float, options: str, basis: str, arm: str) -> Rows:
        tasks = self.runs[0].tasks
        cells = list(itertools.permutations(range(len(tasks)), 2))
        pooled = [_known(run, theta, basis, arm, options, cells) for run in self.runs]
        rows = []
        for column, (s, t) in enumerate(cells):
            known = [values[:, [column]] for values in pooled]
            if n := _count(known):
                estimate = hierarchical_rate(known, self.config.seed, self._draws(theta))
                rows.append(
                    {
                        "basis": basis,
                        "theta": theta,
                        "source": tasks[s],
                        "target": tasks[t],
                        "arm": arm,
                        "options": options,
                        **_interval(estimate, "rate"),
                        "n": n,
                    }
                )
        return rows

    def by_kind(self) -> Rows:
        """Transfer between kinds of tasks, pooled over their cells: of facts shown in the source
        alone (arm A2), and of facts of any arm that have emerged on the source."""
        kinds = [get_task(task).kind for task in self.runs[0].tasks]
        theta, draws = self.config.thetas[0], self.config.bootstrap_draws
        rows: Rows = []
        for basis, arm in (("exposed", SINGLE), ("emerged", ALL)):
            for options in ("fresh", "seen"):
                for source, target in itertools.product(("generative", "discriminative"), repeat=2):
                    cells = [
                        (s, t)
                        for s, t in itertools.permutations(range(len(kinds)), 2)
                        if (kinds[s], kinds[t]) == (source, target)
                    ]
                    known = [_known(run, theta, basis, arm, options, cells) for run in self.runs]
                    if n := _count(known):
                        estimate = hierarchical_rate(known, self.config.seed, draws)
                        names = {"basis": basis, "arm": arm, "options": options}
                        kind = {"source": source, "target": target}
                        rows.append({**names, **kind, **_interval(estimate, "rate"), "n": n})
        return rows

    def transfer(self) -> Rows:
        """T[s -> t]: mean score on t of facts shown in s alone, by number of exposures, and that of
        facts never shown (methods 2.4)."""
        rows: Rows = []
        tasks = self.runs[0].tasks
        for s, source in enumerate(tasks):
            for dose in sorted({int(x) for run in self.runs for x in _alone(run, s)} - {0}):
                for t, target in enumerate(tasks):
                    shown = [run.mean[_alone(run, s) == dose, t, -1] for run in self.runs]
                    never = [run.mean[_of_arm(run, NEVER), t, -1] for run in self.runs]
                    if not sum(map(len, shown)):
                        continue
                    estimate = self._mean(shown, self.config.bootstrap_draws)
                    floor = float(np.concatenate(never).mean()) if sum(map(len, never)) else np.nan
                    rows.append(
                        {
                            "seed": self.runs[0].seed if len(self.runs) == 1 else POOLED,
                            "source": source,
                            "target": target,
                            "exposures": dose,
                            **_interval(estimate, "score"),
                            "never": floor,
                            "n": estimate.n,
                        }
                    )
        return rows

    def nulls(self) -> Rows:
        """What failure rate to expect without any structure, from measurement noise alone, and for
        facts shown everywhere against facts shown in one task."""
        theta, draws = self.config.thetas[0], self.config.null_draws
        rng = np.random.default_rng(self.config.seed)
        permuted, halves = [], []
        for run in self.runs:
            emerged = run.mean > theta
            groups = np.unique(run.facts["relation"], return_inverse=True)[1]
            permuted.append(permutation_null(emerged, is_competent(emerged), groups, rng, draws))
            if run.score.shape[2] > 1:
                halves.append(split_half_failure(run.score[..., -1], theta, rng, draws)[1])
        rows: Rows = []
        for name, values in {"permutation": permuted, "split_half": halves}.items():
            if values:
                mean = np.mean(values, axis=0)
                low, high = np.quantile(mean, (0.025, 0.975))
                rows.append(_null(name, float(mean.mean()), float(low), float(high), len(mean)))
        found = [_pairs(run, theta, -1, "any") for run in self.runs]
        cell = self._failure(found, FULL, self._draws(theta))
        if cell["n_testable"]:  # shown in every format: what fails here is no lack of it
            rate, low, high = (cell[name] for name in ("rate", "low", "high"))
            rows.append(_null("exposure_matched", rate, low, high, cell["n_testable"]))
        return rows

    def _arms(self) -> list[str]:
        return sorted({arm for run in self.runs for arm in run.facts["arm"]})

    def _draws(self, theta: float, window: int = -1) -> int:
        """Of the bootstrap: fewer for what only varies the main setting."""
        main = theta == self.config.thetas[0] and window == -1
        return self.config.bootstrap_draws if main else min(1000, self.config.bootstrap_draws)

    def _mean(self, per_fact: list[np.ndarray], draws: int) -> Estimate:
        return hierarchical_bootstrap(per_fact, seed=self.config.seed, draws=draws)


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


def _known(
    run: Scores, theta: float, basis: str, arm: str, options: str, cells: list[tuple[int, int]]
) -> np.ndarray:
    """Whether each fact of the basis is known on the target of each (source, target), [F, cells];
    NaN where the fact does not count or the target is not competent."""
    last = _last(run, options)
    emerged = last > theta
    competent = is_competent(run.mean > theta)[:, -1]
    chosen = emerged if basis == "emerged" else run.exposures[..., -1] > 0
    chosen = chosen & _of_arm(run, arm)[:, None] & np.isfinite(last)
    known = np.full((len(last), len(cells)), np.nan)
    for column, (s, t) in enumerate(cells):
        counts = chosen[:, s] & competent[t] & np.isfinite(last[:, t])
        known[counts, column] = emerged[counts, t]
    return known


def _count(known: list[np.ndarray]) -> int:
    return sum(int(np.isfinite(values).sum()) for values in known)


def _of_arm(run: Scores, arm: str) -> np.ndarray:
    """Mask of facts, [F]."""
    arms = run.facts["arm"].to_numpy()
    return np.ones(len(arms), dtype=bool) if arm == ALL else arms == arm


def _last(run: Scores, options: str) -> np.ndarray:
    return run.seen if options == "seen" else run.mean[..., -1]


def _alone(run: Scores, source: int) -> np.ndarray:
    """Documents in the source, [F]; 0 for facts that were shown elsewhere too."""
    counts = run.exposures[..., -1]
    others = counts.sum(axis=1) - counts[:, source]
    return np.where(others == 0, counts[:, source], 0).astype(int)


def _interval(estimate: Estimate | None, name: str) -> dict[str, float]:
    """Columns of an estimate; NaN where there was nothing to average."""
    if estimate is None:
        return {name: np.nan, "low": np.nan, "high": np.nan}
    return {name: estimate.mean, "low": estimate.low, "high": estimate.high}


def _null(name: str, value: float, low: float, high: float, n: int) -> dict[str, Any]:
    return {"null": name, "value": value, "low": low, "high": high, "n": n}
