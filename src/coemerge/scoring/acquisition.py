"""From prompt scores to acquisition: averaged over paraphrases, with emergence and competence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor

from coemerge.scoring.probe import CELL_COLUMNS
from coemerge.statistics.thresholds import THETA

_CELL = ["fact_id", "task", "split", "options"]


def prompt_score_columns(
    step: int, cells: pa.Table, chance: np.ndarray, means: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Columns of the prompt_scores table. ``chance`` [n_cells] goes with ``cells``."""
    columns: dict[str, Any] = {name: cells[name] for name in CELL_COLUMNS}
    columns["step"] = np.full(len(cells), step, dtype=np.int64)
    columns["chance"] = chance
    for name, values in means.items():
        columns[name] = values.numpy()
    return columns


def acquisition_frame(
    prompt_scores: pd.DataFrame,
    facts: pd.DataFrame,
    exposures: pd.DataFrame,
    tokens_seen: Mapping[int, int],
    run_id: str,
    seed: int,
) -> pd.DataFrame:
    """The acquisition table: per step, fact, task, split and kind of option sets.

    ``exposures`` has the exposure table's columns; a (fact, task) that it does not list at a step
    was not shown by then.
    """
    values = ["p_first", "nll", "chance", "score", "accuracy"]
    grouped = prompt_scores.groupby(["step", *_CELL], sort=True, observed=True)
    frame = grouped[values].mean()
    frame["n_prompts"] = grouped["n_rotations"].sum()
    frame = frame.reset_index().merge(facts[["fact_id", "relation", "arm"]], on="fact_id")
    shown = exposures.groupby(["step", "fact_id", "task"], sort=False)["n_documents"].sum()
    frame = frame.merge(
        shown.rename("exposures").reset_index(), on=["step", "fact_id", "task"], how="left"
    )
    frame["exposures"] = frame["exposures"].fillna(0).astype(np.int64)
    frame["tokens_seen"] = frame["step"].map(dict(tokens_seen))
    frame["run_id"], frame["seed"] = run_id, seed
    return frame.sort_values(["step", *_CELL], ignore_index=True)


def emerged(score: pd.Series, theta: float = THETA) -> pd.Series:
    """1[score > theta], strictly (methods 3.2)."""
    return score > theta


def step_of_share(frame: pd.DataFrame, share: float, theta: float = THETA) -> int | None:
    """The first step at which at least ``share`` of the rows' facts have emerged, or None.

    ``frame`` holds one task's rows (columns step, score), one per fact and step.
    """
    by_step = emerged(frame["score"], theta).groupby(frame["step"]).mean()
    reached = by_step.index[by_step >= share]
    return int(reached[0]) if len(reached) else None
