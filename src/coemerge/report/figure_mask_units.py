"""Where masks lie: sizes by layer, and the units that masks share."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.heat_map import heat_map
from coemerge.report.plotting import (
    error_lengths,
    legend_beside,
    percent_axis,
    plain_spines,
    task_colour,
    task_line,
    tasks_in_order,
)

_KINDS = {"head": "attention heads", "neuron": "MLP neurons"}


def draw_layers(layers: pd.DataFrame, sizes: pd.DataFrame) -> Figure:
    """Share of each layer's heads and neurons that a mask holds, a line per format; mean sizes in
    the legend."""
    kinds = [kind for kind in _KINDS if (layers["kind"] == kind).any()]
    tasks = tasks_in_order(layers["task"])
    figure = Figure(figsize=(3.2 + 3.4 * len(kinds), 3.6), layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    figure.suptitle("In which layers are the units of each format?")
    for axes, kind in zip(panels, kinds, strict=True):
        for k, task in enumerate(tasks):
            own = layers[(layers["kind"] == kind) & (layers["task"] == task)].sort_values("layer")
            aside = 0.06 * (k - (len(tasks) - 1) / 2)  # lest whiskers cover each other
            axes.errorbar(
                own["layer"] + aside, own["density"], yerr=error_lengths(own, "density"),
                color=task_colour(task), linestyle=task_line(task), marker="o", markersize=3.5,
                linewidth=1.4, elinewidth=0.8, capsize=2, label=_size_label(sizes, task),
            )  # fmt: skip
        axes.set_xticks(sorted(set(layers["layer"])))
        axes.set_xlabel("layer")
        axes.set_title(_KINDS[kind])
        axes.set_ylim(bottom=0)
        percent_axis(axes, "units of the layer in a mask" if axes is panels[0] else "")
        plain_spines(axes)
    legend_beside(figure, panels, "mean size of a mask" if len(sizes) else None)
    return figure


def _size_label(sizes: pd.DataFrame, task: str) -> str:
    """``fitb: 3.2 heads, 41 neurons``."""
    told = []
    for measure, unit in (("n_heads", "heads"), ("n_neurons", "neurons")):
        found = sizes[(sizes["task"] == task) & (sizes["measure"] == measure)] if len(sizes) else []
        if len(found):
            told.append(f"{found['value'].iloc[0]:.3g} {unit}")  # type: ignore[call-overload]
    return f"{task}: {', '.join(told)}" if told else task


def draw_overlap(overlap: pd.DataFrame) -> Figure:
    """Below the diagonal: one fact, two formats; on it: two facts, one format; in brackets what
    random units of equal number share."""
    tasks = tasks_in_order([*overlap["task"], *overlap["other_task"]])
    where = {task: k for k, task in enumerate(tasks)}
    shared = np.full((len(tasks), len(tasks)), np.nan)
    texts = np.full(shared.shape, "", dtype=object)
    for cell in overlap.itertuples():
        row, column = sorted((where[str(cell.task)], where[str(cell.other_task)]), reverse=True)
        if (cell.between == "facts") != (row == column):
            continue
        shared[row, column] = cell.jaccard
        texts[row, column] = f"{cell.jaccard:.2f}\n({cell.expected:.2f})"
    side = 1.9 + 0.66 * len(tasks)
    figure = Figure(figsize=(side + 1.6, side + 0.2), layout="constrained")
    axes = figure.subplots()
    figure.suptitle("Trained freely, do masks of two formats share units?")
    mesh = heat_map(axes, shared, texts, tasks, tasks, top=max(0.2, float(np.nanmax(shared))))
    _clear_above(axes, len(tasks))
    axes.set_title("off the diagonal: one fact, two formats\non it: two facts, one format\n"
                   "in brackets: expected of random units")  # fmt: skip
    figure.colorbar(mesh, ax=axes, shrink=0.6, label="units in both masks, of those in either")
    return figure


def _clear_above(axes: Axes, n: int) -> None:
    """Only the lower triangle is drawn."""
    for row in range(n - 1):
        axes.fill_between([row + 0.5, n - 0.5], row - 0.5, row + 0.5, color="white", zorder=1)
    for text in list(axes.texts):
        place = text.get_position()
        if place[0] > place[1]:
            text.remove()
