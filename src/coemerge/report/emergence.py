"""How many facts have emerged, task by task, while the model trains."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.plotting import task_colour, task_line, tasks_in_order
from coemerge.report.style import save_figure
from coemerge.statistics.thresholds import COMPETENT, THETA
from coemerge.tables.views import steady_scores

_PANELS = {
    "facts shown in this format": lambda frame: frame["exposures"] > 0,
    "facts shown in other formats only": lambda frame: (
        (frame["exposures"] == 0) & (frame["arm"] != "A5_never")
    ),
    "facts never shown (A5)": lambda frame: frame["arm"] == "A5_never",
}


def draw_emergence(tables: Path, directory: Path) -> None:
    """Three panels by exposure: fraction of facts with score above 0.6 against the optimizer step,
    on the held-out paraphrases that were asked at every step. Writes emergence.png and .svg."""
    frame = steady_scores(pq.read_table(tables / "prompt_scores.parquet").to_pandas())
    known = pq.read_table(tables / "acquisition.parquet").to_pandas()
    last = known[known["step"] == known["step"].max()].drop_duplicates(["fact_id", "task"])
    frame = frame.merge(last[["fact_id", "task", "arm", "exposures"]], on=["fact_id", "task"])
    with mpl.rc_context({"svg.hashsalt": "coemerge", "font.size": 9}):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (title, select) in zip(panels, _PANELS.items(), strict=True):
            _draw_panel(axes, frame[select(frame)], title)
        panels[0].set_ylabel(f"fraction of facts emerged (score > {THETA})")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
        save_figure(figure, directory, "emergence")


def _draw_panel(axes: Axes, frame: pd.DataFrame, title: str) -> None:
    for task in tasks_in_order(frame["task"]):
        rows = frame[frame["task"] == task]
        curve = (rows["score"] > THETA).groupby(rows["step"]).mean()
        axes.plot(
            curve.index, curve.to_numpy(), task_line(task), color=task_colour(task), label=task
        )
    pairs = frame.groupby(["fact_id", "task"]).ngroups
    axes.set_title(f"{title}\n({pairs} fact-task pairs)", fontsize=9)
    axes.axhline(COMPETENT, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlabel("optimizer step")
    axes.set_ylim(-0.03, 1.03)
    axes.spines[["top", "right"]].set_visible(False)
