"""What ablation costs an answer given at once, and one given after the fact was restated."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.bars import BarStyle, grouped_bars, tick
from coemerge.report.plotting import legend_beside, percent_axis, plain_spines, tasks_in_order
from coemerge.report.published import PUBLISHED_REASONING
from coemerge.report.results import Results, pick

ALL = "all"
MASKS = {
    "own": "answered\nformat",
    "route": "restating\nformat",
    "other_mean": "others,\nmean",
    "other_worst": "others,\nworst",
}
_STYLES = {
    "direct": BarStyle("answered at once", "#0072B2"),
    "cot": BarStyle("restated first (chain of thought)", "#E69F00"),
}
_FLOOR = "floor: random units of equal size,\nthe same mean or worst of as many"
_PUBLISHED = "published range (over models\nand data sets)"


def reasoning_rows(results: Results) -> pd.DataFrame:
    """Over all routes."""
    rows = pick(results.table("cot_drops"), route=ALL)
    return rows[rows["masks"].isin(MASKS) & rows["drop"].notna()] if len(rows) else rows


def draw_reasoning(rows: pd.DataFrame) -> Figure:
    """A panel for all formats, then one for each that is answered."""
    tasks = [ALL, *tasks_in_order(set(rows["task"]) - {ALL})]
    tasks = [task for task in tasks if (rows["task"] == task).any()]
    masks = [name for name in MASKS if (rows["masks"] == name).any()]
    columns = min(2, len(tasks))
    lines = -(-len(tasks) // columns)
    figure = Figure(figsize=(2.6 + 4.3 * columns, 1.0 + 2.5 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for unused in grid[len(tasks) :]:
        unused.set_visible(False)
    figure.suptitle(
        "What does an answer lose when the units of a format are ablated at every token?"
    )
    for k, (axes, task) in enumerate(zip(grid, tasks, strict=False)):
        own = rows[rows["task"] == task]
        _panel(axes, own, masks, published=task == ALL)
        named = "all formats" if task == ALL else f"answered in {task}"
        axes.set_title(f"{named} (n = {int(own['n'].max()):,} facts)")
        percent_axis(axes, "drop of accuracy" if k % columns == 0 else "")
        axes.tick_params(labelleft=k % columns == 0)
        if k + columns >= len(tasks):
            axes.set_xlabel("format whose units are ablated")
    legend_beside(figure, grid[: len(tasks)])
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, masks: list[str], published: bool) -> None:
    frame = rows.assign(group=rows["masks"], series=rows["prompting"], value=rows["drop"])
    places = grouped_bars(axes, frame, masks, _STYLES)
    for row in frame.itertuples():
        if (str(row.group), str(row.series)) not in places:
            continue
        middle, width = places[str(row.group), str(row.series)]
        if np.isfinite(row.floor):
            tick(axes, (middle, width), row.floor, _FLOOR)
        if published and (row.group, row.series) in PUBLISHED_REASONING:
            low, high = PUBLISHED_REASONING[str(row.group), str(row.series)]
            axes.bar(middle, high - low, width, bottom=low, fill=False, edgecolor="#444444",
                     linestyle=":", linewidth=1.2, zorder=4, label=_PUBLISHED)  # fmt: skip
    axes.set_xticklabels([MASKS[name] for name in masks], fontsize=8)
    plain_spines(axes)
