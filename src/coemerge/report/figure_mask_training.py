"""Masks of every checkpoint: from when on can a format be taken from a fact alone?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.plotting import (
    is_discriminative,
    percent_axis,
    plain_spines,
    step_axis,
    task_colour,
    task_line,
    tasks_in_order,
)

_MEASURES = {
    "necessity": ("necessity: own fact and format", "relative drop"),
    "specificity_tasks": ("specificity: own fact, other formats", "relative drop"),
    "specificity_facts": ("specificity: other facts, same format", "relative drop"),
    "sufficiency": ("sufficiency: own fact and format", "recovery"),
    "density": ("size of masks", "share of heads and neurons"),
}
_PAIRS = {
    "generative, generative": ("#0072B2", "-"),
    "generative, discriminative": ("#000000", ":"),
    "discriminative, discriminative": ("#D55E00", "--"),
}


def draw_training(masks: pd.DataFrame, overlaps: pd.DataFrame) -> Figure:
    """Means over facts at each step at which masks were trained: necessity, specificity,
    sufficiency and size per format, and overlap between kinds of formats."""
    shown = [name for name in _MEASURES if masks[name].notna().any()]
    if len(overlaps):  # none of two empty masks
        overlaps = overlaps.dropna(subset=["jaccard"])
    n_panels = len(shown) + bool(len(overlaps))
    columns = min(3, n_panels)
    rows = -(-n_panels // columns)
    figure = Figure(figsize=(0.6 + 3.3 * columns, 1.3 + 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[n_panels:]:
        unused.set_visible(False)
    figure.suptitle("From when on can the units of one format be told from those of the others?")
    for axes, name in zip(grid, shown, strict=False):
        _measure_panel(axes, masks, name)
    if len(overlaps):
        _overlap_panel(grid[len(shown)], overlaps)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _measure_panel(axes: Axes, masks: pd.DataFrame, name: str) -> None:
    means = masks.groupby(["task", "step"])[name].mean()
    for task in tasks_in_order(masks["task"]):
        line = means[task].dropna()
        axes.plot(line.index, line, task_line(task), color=task_colour(task), marker="o",
                  markersize=3, linewidth=1.5, label=task)  # fmt: skip
    title, label = _MEASURES[name]
    _finish(axes, title)
    percent_axis(axes, label)
    if name != "density":
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -0.03), max(high, 1.03))
    else:
        axes.set_ylim(0, 1.15 * means.max() or 1)


def kinds_of(task: str, other: str) -> str:
    """``generative, discriminative`` in this order."""
    kinds = [("generative", "discriminative")[is_discriminative(name)] for name in (task, other)]
    return ", ".join(sorted(kinds, reverse=True))


def _overlap_panel(axes: Axes, overlaps: pd.DataFrame) -> None:
    """Pairs of formats by kind: first the mean within a fact, then over facts."""
    pairs = zip(overlaps["task"], overlaps["other_task"], strict=True)
    frame = overlaps.assign(kinds=[kinds_of(one, other) for one, other in pairs])
    by_fact = frame.groupby(["kinds", "step", "fact_id"])["jaccard"].mean()
    means = by_fact.groupby(["kinds", "step"]).mean()
    for kinds, (colour, line) in _PAIRS.items():
        if kinds in means.index.get_level_values("kinds"):
            own = means[kinds]
            axes.plot(own.index, own, line, color=colour, marker="o", markersize=3, linewidth=1.5,
                      label=kinds)  # fmt: skip
    axes.legend(frameon=False, fontsize=7, handlelength=2.4, loc="upper left")
    _finish(axes, "overlap of masks of one fact")
    axes.set_ylim(0, 1.5 * means.max() or 1)  # room for the legend
    percent_axis(axes, "units in both, of either")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title)
    step_axis(axes)
    plain_spines(axes)
