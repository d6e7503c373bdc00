"""What masks do: to their own format, to the others, to other facts; beside their controls."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from coemerge.report.bars import grouped_bars
from coemerge.report.heat_map import heat_map
from coemerge.report.mask_rows import SERIES, VARIANTS
from coemerge.report.plotting import legend_beside, percent_axis, plain_spines, tasks_in_order
from coemerge.report.published import PUBLISHED_DROPS, PUBLISHED_RECOVERY, PUBLISHED_SPARED

OTHER_FACTS = "other facts,\nsame format"
MEASURES = {
    "target_drop": ("drop: own fact,\nown format", PUBLISHED_DROPS),
    "tasks_drop": ("drop: own fact,\nother formats", PUBLISHED_SPARED),
    "facts_drop": ("drop: other facts,\nsame format", PUBLISHED_SPARED),
    "recovery": ("recovery,\npatched back", PUBLISHED_RECOVERY),
}
_STYLES = {style.label: style for style in SERIES.values()}
_SETS = {"all": "all masks", "valid": "valid masks alone"}


def draw_drops(cells: pd.DataFrame) -> Figure:
    """A heat map per variant: rows are the masks' formats and, below, what the mask of a column's
    format does to other facts; columns the formats that are asked."""
    variants = [name for name in VARIANTS if (cells["variant"] == name).any()]
    tasks = tasks_in_order([*cells["mask_task"], *cells["eval_task"]])
    side = 1.6 + 0.62 * len(tasks)
    figure = Figure(figsize=(side * len(variants) + 0.9, side + 0.5), layout="constrained")
    panels = figure.subplots(1, len(variants), squeeze=False, sharey=True)[0]
    figure.suptitle("What does a format lose when the units found for one format are ablated?")
    for axes, variant in zip(panels, variants, strict=True):
        own = cells[cells["variant"] == variant]
        mesh = _drop_panel(axes, own, tasks)
        axes.set_title(f"{VARIANTS[variant]}\n({int(own['n'].max())} facts)")
    panels[0].set_ylabel("units found for this format are ablated")
    bar = figure.colorbar(mesh, ax=panels, shrink=0.6, label="mean relative drop of accuracy")
    bar.ax.yaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
    return figure


def _drop_panel(axes: Axes, cells: pd.DataFrame, tasks: list[str]) -> QuadMesh:
    where = {task: k for k, task in enumerate(tasks)}
    drops = np.full((len(tasks) + 1, len(tasks)), np.nan)
    texts = np.full(drops.shape, "", dtype=object)
    for cell in cells.itertuples():
        row, column = where[str(cell.mask_task)], where[str(cell.eval_task)]
        if cell.eval_facts != "own":
            if row != column:
                continue
            row = len(tasks)
        drops[row, column] = cell.drop
        spread = f"\n± {100 * cell.sd:.0f}" if np.isfinite(cell.sd) else ""
        texts[row, column] = f"{round(100 * cell.drop) + 0} %{spread}".replace("-", "−")
    mesh = heat_map(axes, drops, texts, [*tasks, OTHER_FACTS], tasks)
    axes.axhline(len(tasks) - 0.5, color="white", linewidth=5)
    axes.set_xlabel("asked in this format")
    return mesh


def draw_controls(rows: pd.DataFrame) -> Figure:
    """Drops and recovery of masks beside second masks, masks of other facts and random units: over
    all masks, and over valid ones."""
    sets = [name for name in _SETS if (rows["masks"] == name).any()]
    measures = [name for name in MEASURES if (rows["measure"] == name).any()]
    size = (1.2 + 2.0 * len(measures), 1.2 + 2.9 * len(sets))
    figure = Figure(figsize=(size[0] + 2.4, size[1]), layout="constrained")
    panels = figure.subplots(len(sets), 1, squeeze=False, sharey=True)[:, 0]
    figure.suptitle("Are masks necessary, specific and sufficient, and more so than other units?")
    for axes, chosen in zip(panels, sets, strict=True):
        _control_panel(axes, rows[rows["masks"] == chosen], measures)
        axes.set_title(f"{_SETS[chosen]}{_counted(rows[rows['masks'] == chosen])}")
        percent_axis(axes, "share of accuracy")
    legend_beside(figure, panels)
    return figure


def _control_panel(axes: Axes, rows: pd.DataFrame, measures: list[str]) -> None:
    grouped_bars(axes, rows.assign(group=rows["measure"]), measures, _STYLES)
    for place, measure in enumerate(measures):
        low, high = MEASURES[measure][1]
        axes.fill_between(
            [place - 0.46, place + 0.46], low, high, color="#F0E442", alpha=0.4, linewidth=0,
            zorder=0, label="published range (one model,\none relation; over formats)",
        )  # fmt: skip
    axes.set_xticklabels([MEASURES[measure][0] for measure in measures])
    plain_spines(axes)


def _counted(rows: pd.DataFrame) -> str:
    """How many facts, of the main kind of masks."""
    main = rows[(rows["variant"] == "exclusive") & (rows["control"] == "none")]
    return f" ({int(main['n'].max()):,} facts)" if len(main) else ""


def draw_by_task(rows: pd.DataFrame) -> Figure:
    """Drop on the mask's own format, and recovery, format by format, beside the same controls."""
    measures = [name for name in ("target_drop", "recovery") if (rows["measure"] == name).any()]
    tasks = tasks_in_order(rows["task"])
    figure = Figure(figsize=(3.4 + 1.15 * len(tasks), 0.9 + 2.6 * len(measures)),
                    layout="constrained")  # fmt: skip
    panels = figure.subplots(len(measures), 1, squeeze=False, sharex=True)[:, 0]
    figure.suptitle("Format by format: what masks take, and what they bring back")
    for axes, measure in zip(panels, measures, strict=True):
        own = rows[rows["measure"] == measure]
        grouped_bars(axes, own.assign(group=own["task"]), tasks, _STYLES, numbers=False)
        axes.set_xticklabels(tasks)
        percent_axis(axes, MEASURES[measure][0])
        plain_spines(axes)
    legend_beside(figure, panels)
    return figure
