"""What the parts of the study share: runs that belong together, arms, intervals as columns."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from coemerge.statistics.intervals import Estimate
from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.shared.scored import Scores

Rows = list[dict[str, Any]]
ALL, FULL, SINGLE, NEVER = "all", "A0_full", "A2_single_source", "A5_never"
POOLED = -1  # seed of rows that several runs share


class Asked(Protocol):
    """A run that is, or will be, scored."""

    @property
    def run_id(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def tasks(self) -> list[str]: ...


def check_scores(runs: Sequence[Asked]) -> None:
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


class OnRuns:
    """A part of the study: tables of ``runs`` under ``config``, one method each. Raises ValueError
    where the runs cannot be taken together."""

    def __init__(self, runs: Sequence[Scores], config: CoEmergenceConfig) -> None:
        check_scores(runs)
        self.runs = runs
        self.config = config


def arms_of(runs: Sequence[Scores]) -> list[str]:
    return sorted({arm for run in runs for arm in run.facts["arm"]})


def of_arm(run: Scores, arm: str) -> np.ndarray:
    """Mask of facts, [F]."""
    arms = run.facts["arm"].to_numpy()
    return np.ones(len(arms), dtype=bool) if arm == ALL else arms == arm


def draws_of(config: CoEmergenceConfig, theta: float, window: int = -1) -> int:
    """Of the bootstrap: fewer for what only varies the main setting."""
    main = theta == THETA and window == -1
    return config.bootstrap_draws if main else min(1000, config.bootstrap_draws)


def interval(estimate: Estimate | None, name: str) -> dict[str, float]:
    """Columns of an estimate; NaN where there was nothing to average."""
    if estimate is None:
        return {name: np.nan, "low": np.nan, "high": np.nan}
    return {name: estimate.mean, "low": estimate.low, "high": estimate.high}
