"""How the score in one format grows with documents in another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.plotting import (
    error_lengths,
    is_discriminative,
    legend_beside,
    plain_spines,
    pooled,
    task_colour,
    task_line,
    tasks_in_order,
)

OWN = "the same format"
_KINDS = (
    OWN,
    "generative → other generative",
    "generative → discriminative",
    "discriminative → generative",
    "discriminative → other discriminative",
)
_CROWDED = 1000  # from here on labels of powers of ten alone have room
_TICKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)


def kind_of(source: str, target: str) -> str:
    if source == target:
        return OWN
    names = [
        "discriminative" if is_discriminative(task) else "generative" for task in (source, target)
    ]
    return f"{names[0]} → {'other ' if names[0] == names[1] else ''}{names[1]}"


def draw_exposure(exposure: pd.DataFrame) -> Figure:
    """Score of the target against documents in the source alone, one panel per kind of pair: a
    line per pair, and in grey the mean over pairs."""
    pairs = pairs_of(with_dose_zero(exposure))
    pairs["kind"] = [kind_of(s, t) for s, t in zip(pairs["source"], pairs["target"], strict=True)]
    kinds = [kind for kind in _KINDS if (pairs["kind"] == kind).any()]
    columns = min(3, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = Figure(figsize=(1.8 + 2.9 * columns, 0.6 + 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    figure.suptitle("How many documents in one format does it take to answer in another?")
    for axes, kind in zip(panels, kinds, strict=False):
        _panel(axes, pairs[pairs["kind"] == kind])
        axes.set_title(kind)
    for axes in panels[len(kinds) :]:
        axes.set_visible(False)
    for k, axes in enumerate(panels[: len(kinds)]):
        if k % columns == 0:
            axes.set_ylabel("score (0: chance, 1: certain)")
        if k + columns >= len(kinds):
            axes.set_xlabel("documents in the source format (log)")
            axes.tick_params(labelbottom=True)
    legend_beside(figure, panels[: len(kinds)], title="target format")
    return figure


def with_dose_zero(exposure: pd.DataFrame) -> pd.DataFrame:
    """Rows with a score; where the table names that of facts never shown, it is the one at 0."""
    usable = exposure[exposure["score"].notna() & (exposure["n"] > 0)]
    if "never" not in usable or (usable["exposures"] == 0).any():
        return usable
    floor = usable.drop_duplicates(["seed", "source", "target"]).dropna(subset=["never"])
    floor = floor.assign(exposures=0, score=floor["never"], low=np.nan, high=np.nan)
    return pd.concat([floor, usable], ignore_index=True)


def pairs_of(usable: pd.DataFrame) -> pd.DataFrame:
    """One row per source, target and number of documents: mean over seeds, with the interval of
    the only seed or the range of several."""
    keys = ["source", "target", "exposures"]
    means = pooled(usable, keys, "score")
    groups = usable.groupby(keys, as_index=False)
    several = usable["seed"].nunique() > 1
    bounds = {"low": ("score" if several else "low", "min"),
              "high": ("score" if several else "high", "max")}  # fmt: skip
    return means.merge(groups.agg(**bounds), on=keys)


def _panel(axes: Axes, pairs: pd.DataFrame) -> None:
    for target in tasks_in_order(pairs["target"]):
        own = pairs[pairs["target"] == target]
        for k, (_, line) in enumerate(own.sort_values("exposures").groupby("source")):
            axes.errorbar(
                line["exposures"], line["score"], yerr=error_lengths(line, "score"),
                fmt=task_line(target), color=task_colour(target), marker=".", linewidth=1,
                elinewidth=0.6, alpha=0.85, label=target if k == 0 else None,
            )  # fmt: skip
    mean = pairs.groupby("exposures")["score"].mean()
    full = pairs.groupby("exposures").size() == pairs.groupby(["source", "target"]).ngroups
    mean = mean[full]  # where pairs are missing the mean would be of other pairs
    if len(mean) > 1 and pairs.groupby(["source", "target"]).ngroups > 1:
        axes.errorbar(
            mean.index,
            mean,
            color="black",
            alpha=0.25,
            linewidth=6,
            zorder=0,
            label="mean of pairs",
        )
    axes.axhline(0, color="grey", linewidth=0.8, linestyle=":")
    _document_axis(axes, pairs["exposures"].to_numpy(dtype=float))
    plain_spines(axes)


def _document_axis(axes: Axes, exposures: np.ndarray) -> None:
    """Logarithmic from 1 on, with room for 0."""
    top = max(1.0, float(exposures.max()))
    ticks = [tick for tick in _TICKS if tick <= 1.3 * top]  # the axis grows to the last one
    if ticks[-1] >= _CROWDED:
        ticks = [tick for tick in ticks if not str(tick).startswith("3")]
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
