"""Rows of tables that are means over facts, with their intervals."""

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd

from coemerge.statistics.resampling import hierarchical_bootstrap

Rows = list[dict[str, Any]]


class Draws(Protocol):
    """Settings of a study, as far as intervals need them."""

    @property
    def seed(self) -> int: ...

    @property
    def bootstrap_draws(self) -> int: ...


def means(
    frame: pd.DataFrame,
    keys: Sequence[str],
    value: str,
    config: Draws,
) -> Rows:
    """Of every group by ``keys``: the mean of ``value`` over facts (first within a fact), its SD
    across them, and an interval over seeds and facts (columns seed, fact_id). Undefined values are
    left out; groups without any are not there."""
    defined = frame.dropna(subset=[value])
    rows: Rows = []
    for key, group in defined.groupby(list(keys), sort=False):
        of_fact = group.groupby(["seed", "fact_id"])[value].mean()
        samples = [facts.to_numpy(float) for _, facts in of_fact.groupby("seed")]
        found = hierarchical_bootstrap(samples, seed=config.seed, draws=config.bootstrap_draws)
        named = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append(
            {
                **named,
                value: found.mean,
                "sd": found.sd,
                "low": found.low,
                "high": found.high,
                "n": found.n,
            }
        )
    return rows


def measured(
    frame: pd.DataFrame, keys: Sequence[str], measures: Sequence[str], config: Draws
) -> Rows:
    """``means`` of several columns below each other: ``measure`` is the column, ``value`` its
    mean."""
    rows: Rows = []
    for measure in measures:
        long = frame.assign(value=frame[measure].astype(float), measure=measure)
        rows += means(long, [*keys, "measure"], "value", config)
    return rows


def without_sd(rows: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != "sd"} for row in rows]
