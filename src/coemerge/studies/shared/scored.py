"""Scores of a series of models as arrays [facts, tasks, paraphrases, checkpoints]."""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from coemerge.prompts.tasks import TASKS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """One series: a run, or models from elsewhere. ``facts`` (columns fact_id, relation, arm) has
    one row per fact, in the order of the arrays' first axis.

    ``score`` [F, K, P, Q]: held-out paraphrases, fresh option sets; ``probability`` likewise;
    ``seen`` [F, K]: the mean score with option sets that training showed, at the last checkpoint
    (as ``score`` where a task has none); ``exposures`` [F, K, Q]: documents shown, 0 where that is
    not known; ``shown_anywhere`` [F]: by the last checkpoint, in tasks that are not asked too.
    """

    run_id: str
    seed: int
    steps: np.ndarray
    tasks: list[str]
    facts: pd.DataFrame
    score: np.ndarray
    probability: np.ndarray
    seen: np.ndarray
    exposures: np.ndarray
    shown_anywhere: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """Over paraphrases, [F, K, Q]."""
        return self.score.mean(axis=2)


def arrange(
    run_id: str,
    seed: int,
    facts: pd.DataFrame,
    rows: pd.DataFrame,
    exposure: pd.DataFrame | None = None,
) -> Scores:
    """Arrays out of ``rows`` (columns of prompt_scores) and the ledger ``exposure`` that training
    kept. Facts that were not asked in every task are left out (and told).

    Raises ValueError where no fact was, or a prompt was not scored at every step.
    """
    tasks = [task for task in TASKS if task in set(rows["task"])]
    steps = np.sort(rows["step"].unique())
    fresh = rows[rows["options"] != "seen"]
    rank = fresh.groupby(["step", "fact_id", "task"])["template_id"].rank("dense").astype(int) - 1
    wide = fresh.assign(paraphrase=rank).set_index(["fact_id", "task", "paraphrase", "step"])
    asked = fresh.groupby("fact_id")["task"].nunique()
    kept = facts[facts["fact_id"].isin(asked[asked == len(tasks)].index)].reset_index(drop=True)
    if len(kept) < len(asked):
        log.warning("%d facts are not asked in every task: left out", len(asked) - len(kept))
    if kept.empty:
        raise ValueError(
            f"{run_id}: no fact is asked in all of {', '.join(tasks)}: name fewer tasks"
        )
    n_paraphrases = int(rank.max()) + 1
    index = pd.MultiIndex.from_product(
        [kept["fact_id"], tasks, range(n_paraphrases), steps],
        names=["fact_id", "task", "paraphrase", "step"],
    )
    shape = (len(kept), len(tasks), n_paraphrases, len(steps))
    score, p = (wide[c].reindex(index).to_numpy().reshape(shape) for c in ("score", "p_full"))
    if np.isnan(score).any():
        raise ValueError(f"{run_id}: some prompts were not scored at every checkpoint")
    return Scores(
        run_id=run_id,
        seed=seed,
        steps=steps,
        tasks=tasks,
        facts=kept,
        score=score,
        probability=p,
        seen=_seen(rows, kept, tasks, score),
        exposures=_exposures(exposure, kept, tasks, steps),
        shown_anywhere=_shown_anywhere(exposure, kept, steps[-1]),
    )


def _seen(
    rows: pd.DataFrame, facts: pd.DataFrame, tasks: list[str], score: np.ndarray
) -> np.ndarray:
    last = rows[(rows["step"] == rows["step"].max()) & (rows["options"] == "seen")]
    means = last.groupby(["fact_id", "task"])["score"].mean()
    index = pd.MultiIndex.from_product([facts["fact_id"], tasks])
    seen = means.reindex(index).to_numpy().reshape(len(facts), len(tasks))
    lettered = np.isin(tasks, last["task"].unique())
    return np.where(lettered, seen, score[..., -1].mean(axis=2))


def _exposures(
    table: pd.DataFrame | None, facts: pd.DataFrame, tasks: list[str], steps: np.ndarray
) -> np.ndarray:
    """Documents shown by each checkpoint, [F, K, Q]."""
    if table is None:
        return np.zeros((len(facts), len(tasks), len(steps)), dtype=int)
    counts = table.groupby(["fact_id", "task", "step"])["n_documents"].sum().unstack("step")
    logged = counts.columns.to_numpy()
    nearest = logged[np.clip(np.searchsorted(logged, steps, side="right") - 1, 0, None)]
    index = pd.MultiIndex.from_product([facts["fact_id"], tasks])
    values = counts.reindex(index)[nearest].fillna(0).to_numpy(copy=True)
    values[:, steps < logged.min()] = 0
    return values.reshape(len(facts), len(tasks), len(steps))


def _shown_anywhere(table: pd.DataFrame | None, facts: pd.DataFrame, last: int) -> np.ndarray:
    if table is None:
        return np.zeros(len(facts), dtype=int)
    logged = table["step"].unique()
    then = table[table["step"] == max((step for step in logged if step <= last), default=-1)]
    counts = then.groupby("fact_id")["n_documents"].sum()
    return counts.reindex(facts["fact_id"]).fillna(0).to_numpy(dtype=int)
