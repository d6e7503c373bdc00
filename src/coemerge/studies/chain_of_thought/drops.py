"""Mean drops over facts, each with the floor that random units of equal size set (methods 3.7)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.chain_of_thought.config import ChainOfThoughtConfig

Rows = list[dict[str, Any]]
ALL = "all"
STATISTICS = ("own", "route", "other_mean", "other_worst")
_ANSWERED = ["seed", "fact_id", "task", "route", "prompting", "control", "draw"]


def cot_drops(effects: pd.DataFrame, config: ChainOfThoughtConfig) -> Rows:
    """``CotDropsRecord`` from rows of ``CotEffectsRecord``: each task by its route, each task, and
    all tasks together (a fact's tasks are averaged first: the fact is the unit)."""
    rows = []
    for masks in STATISTICS:
        for (task, route, prompting), frame in _groups(_per_fact(effects, masks)):
            names = {"task": task, "route": route, "prompting": prompting, "masks": masks}
            rows.append({**names, **_row(frame, config)})
    return rows


def _per_fact(effects: pd.DataFrame, masks: str) -> pd.DataFrame:
    """One drop per fact, task, prompting, control and draw; of several masks the mean or the
    worst, random ones as many as there are masks."""
    own = effects["mask_task"] == effects["task"]
    chosen = {"own": own, "route": effects["mask_task"] == effects["route"]}.get(masks, ~own)
    grouped = effects[chosen].groupby(_ANSWERED)["drop"]
    return (grouped.max() if masks == "other_worst" else grouped.mean()).reset_index()


def _groups(drops: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """((task, route, prompting), one drop per fact, control and draw)."""
    unit = ["seed", "fact_id", "control", "draw"]
    for together in ({}, {"route": ALL}, {"task": ALL, "route": ALL}):
        for key, frame in drops.assign(**together).groupby(["task", "route", "prompting"]):
            task, route, prompting = map(str, key)
            yield (task, route, prompting), frame.groupby(unit)["drop"].mean().reset_index()


def _row(drops: pd.DataFrame, config: ChainOfThoughtConfig) -> dict[str, Any]:
    found = drops[drops["control"] == "none"]
    by_seed = [group["drop"].to_numpy() for _, group in found.groupby("seed")]
    estimate = hierarchical_bootstrap(by_seed, seed=config.seed, draws=config.bootstrap_draws)
    draws = drops[drops["control"] == "random"].groupby("draw")["drop"].mean().to_numpy()
    return {
        "drop": estimate.mean,
        "sd": estimate.sd,
        "low": estimate.low,
        "high": estimate.high,
        "floor": max(0.0, float(draws.mean())),
        "floor_high": float(np.quantile(draws, 0.975)),
        "n": estimate.n,
        "n_draws": len(draws),
    }
