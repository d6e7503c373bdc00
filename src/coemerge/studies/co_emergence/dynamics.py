"""When facts emerge, and whether they do so in the same order in two tasks or two runs
(methods 3.11). What injections leave is in ``retention``."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coemerge.statistics.emergence_points import (
    Rule,
    emergence_point,
    order_correlation,
    order_interval,
    smooth,
)
from coemerge.statistics.intervals import BOOTSTRAP_DRAWS
from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.retention import retention_tables
from coemerge.studies.co_emergence.runs import ALL, Rows, check_scores
from coemerge.studies.shared.scored import Scores

RULES: tuple[Rule, ...] = ("fixed", "relative", "stable", "knee")
_FEWEST = 3  # facts of a group whose order is compared
_NEVER = -1
_FEWER_DRAWS = 1000  # for the intervals of rules other than the first


def dynamics_tables(
    runs: Sequence[Scores],
    run_directories: Sequence[Path | None],
    theta: float = THETA,
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
) -> dict[str, Rows]:
    """Rows by table, columns as in ``tables.dynamics_records``; tables without rows are left out.

    ``run_directories``: of each run, None for models from elsewhere; their ``tables/`` may hold
    probes around injections. ``seed`` and ``draws`` of the bootstrap. Raises ValueError where runs
    cannot be taken together.
    """
    check_scores(runs)
    homes = {
        run.seed: home / "tables"
        for run, home in zip(runs, run_directories, strict=True)
        if home is not None
    }
    tables = {
        "emergence_points": [row for run in runs for row in emergence_rows(run, theta)],
        "emergence_order": order_rows(runs, theta, seed, draws),
        **retention_tables(homes, seed, draws),
    }
    return {name: rows for name, rows in tables.items() if rows}


def emergence_indices(run: Scores, theta: float) -> dict[Rule, np.ndarray]:
    """By rule, the index of the checkpoint at which each fact emerges on each task, [F, K]; -1 for
    never."""
    curves = smooth(run.mean)
    found: dict[Rule, np.ndarray] = {}
    for rule in RULES:
        points = [emergence_point(c, rule, theta, sigma=0) for c in np.concatenate(curves)]
        numbers = [_NEVER if point is None else point for point in points]
        found[rule] = np.array(numbers, dtype=int).reshape(curves.shape[:2])
    return found


def emergence_rows(run: Scores, theta: float = THETA) -> Rows:
    """One row per fact, task and rule."""
    steps = np.append(run.steps, _NEVER)  # index -1: never
    rows: Rows = []
    for rule, points in emergence_indices(run, theta).items():
        shown = np.take_along_axis(run.exposures, points[..., None], axis=2)[..., 0]
        rows += [
            {
                "seed": run.seed,
                "fact_id": fact.fact_id,
                "task": task,
                "rule": rule,
                "theta": theta,
                "arm": fact.arm,
                "emerged_step": int(steps[points[f, t]]),
                "exposures": int(shown[f, t]),
                "exposures_total": int(run.exposures[f, t, -1]),
            }
            for f, fact in enumerate(run.facts.itertuples())
            for t, task in enumerate(run.tasks)
        ]
    return rows


def order_rows(
    runs: Sequence[Scores],
    theta: float = THETA,
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
) -> Rows:
    """Rank correlations of emergence points: between all pairs of tasks of a run, and between runs
    in each task for the facts of both. By rule, for all facts and for each arm of at least three.

    ``seed`` and ``draws`` of the bootstrap over facts; rules other than "fixed" get at most 1000.
    """
    found = [emergence_indices(run, theta) for run in runs]
    rows: Rows = []
    for run, points in zip(runs, found, strict=True):
        arms = run.facts["arm"].to_numpy()
        for s, t in itertools.combinations(range(len(run.tasks)), 2):
            names = _names(theta, (run, s), (run, t))
            for rule in RULES:
                pair = points[rule][:, [s, t]]
                rows += _by_arm({**names, "rule": rule}, pair, arms, seed, draws)
    for one, other in itertools.combinations(range(len(runs)), 2):
        a, b = runs[one], runs[other]
        _, left, right = np.intersect1d(
            a.facts["fact_id"], b.facts["fact_id"], assume_unique=True, return_indices=True
        )
        arms, others = (r.facts["arm"].to_numpy()[i] for r, i in ((a, left), (b, right)))
        arms = np.where(arms == others, arms, "")
        for t in range(len(a.tasks)):
            names = _names(theta, (a, t), (b, t))
            for rule in RULES:
                pair = np.stack([found[one][rule][left, t], found[other][rule][right, t]], axis=1)
                rows += _by_arm({**names, "rule": rule}, pair, arms, seed, draws)
    return rows


def _names(theta: float, one: tuple[Scores, int], other: tuple[Scores, int]) -> dict[str, Any]:
    """Key columns of two (run, index of task)."""
    (a, s), (b, t) = one, other
    seeds = {"seed": a.seed, "other_seed": b.seed}
    return {**seeds, "task": a.tasks[s], "other_task": b.tasks[t], "theta": theta}


def _by_arm(
    names: dict[str, Any], points: np.ndarray, arms: np.ndarray, seed: int, draws: int
) -> Rows:
    """Rows of one pair of lists ``points`` [F, 2]; ``arms`` [F], empty for facts of two arms."""
    if names["rule"] != RULES[0]:
        draws = min(_FEWER_DRAWS, draws)
    rows: Rows = []
    for arm in (ALL, *sorted(set(arms) - {""})):
        chosen = points if arm == ALL else points[arms == arm]
        if len(chosen) < _FEWEST:
            continue
        first, second = ([None if p < 0 else int(p) for p in column] for column in chosen.T)
        rho, tau = order_correlation(first, second)
        low, high = order_interval(first, second, seed, draws)
        counts = {"n": len(chosen), "n_both": int((chosen >= 0).all(axis=1).sum())}
        values = {"rho": rho, "low": low, "high": high, "tau": tau}
        rows.append({**names, "arm": arm, **values, **counts})
    return rows
