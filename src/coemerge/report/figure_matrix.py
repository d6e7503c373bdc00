"""From which format into which: heat maps of source and target, generative formats first."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from coemerge.report.heat_map import heat_map
from coemerge.report.plotting import arm_label, is_discriminative, tasks_in_order
from coemerge.report.results import pick
from coemerge.statistics.thresholds import THETA

_BASES = {
    "exposed": "Of facts shown in a source format, how many are known in the target format?",
    "emerged": "Of facts known in a source format, how many are known in the target format?",
}
_OPTIONS = {"fresh": "fresh option sets", "seen": "option sets seen together in training"}


def matrix_rows(matrix: pd.DataFrame, basis: str, arms: tuple[str, ...]) -> pd.DataFrame:
    """Cells at the usual threshold; formats without options (``none``) stand in both pictures."""
    frame = pick(matrix, basis=basis, theta=THETA)
    return frame[frame["arm"].isin(arms) & frame["rate"].notna()]


def draw_matrix(matrix: pd.DataFrame, basis: str, arms: tuple[str, ...]) -> Figure:
    """One row of heat maps per arm, fresh option sets beside seen ones; each cell has its rate and
    the number of facts behind it."""
    frame = matrix_rows(matrix, basis, arms)
    shown = [arm for arm in arms if (frame["arm"] == arm).any()]
    options = [o for o in _OPTIONS if (frame["options"] == o).any()] or ["fresh"]
    tasks = tasks_in_order([*frame["source"], *frame["target"]])
    side = 1.5 + 0.68 * len(tasks)
    size = (side * len(options) + 0.8, (side - 0.2) * len(shown) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(shown), len(options), squeeze=False)
    figure.suptitle(_BASES[basis])
    for row, arm in zip(panels, shown, strict=True):
        for axes, option in zip(row, options, strict=True):
            cells = frame[(frame["arm"] == arm) & frame["options"].isin([option, "none"])]
            mesh = _heat_map(axes, cells, tasks)
            axes.set_title(f"{_of_arm(arm)}\n{_OPTIONS[option]}", pad=20)
    bar = figure.colorbar(mesh, ax=panels, shrink=0.5, label="facts emerged on the target")
    bar.ax.yaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
    return figure


def _of_arm(arm: str) -> str:
    return "facts of all arms" if arm == "all" else f"facts {arm_label(arm, ' ')}"


def _heat_map(axes: Axes, cells: pd.DataFrame, tasks: list[str]) -> QuadMesh:
    where = {task: k for k, task in enumerate(tasks)}
    rates = np.full((len(tasks), len(tasks)), np.nan)
    texts = np.full(rates.shape, "", dtype=object)
    for cell in cells.itertuples():
        place = where[str(cell.source)], where[str(cell.target)]
        rates[place] = cell.rate
        texts[place] = f"{100 * rates[place]:.0f} %\nn={int(np.nan_to_num(cell.n))}"
    mesh = heat_map(axes, rates, texts, tasks, tasks)
    axes.set(xlabel="target format", ylabel="source format")
    _mark_blocks(axes, tasks)
    return mesh


def _mark_blocks(axes: Axes, tasks: list[str]) -> None:
    """Lines between generative and discriminative formats, their names above and to the right."""
    cut = sum(not is_discriminative(task) for task in tasks)
    last = len(tasks) - 0.5
    if 0 < cut < len(tasks):
        for draw in (axes.axhline, axes.axvline):
            draw(cut - 0.5, color="white", linewidth=5)
            draw(cut - 0.5, color="black", linewidth=1.4)
    for name, first, end in (("generative", 0, cut), ("discriminative", cut, len(tasks))):
        if end == first:
            continue
        middle = (first + end - 1) / 2
        style = {"fontsize": 8, "color": "#444444"}
        axes.text(middle, -0.62, name, ha="center", va="bottom", **style)  # type: ignore[arg-type]
        axes.text(last + 0.12, middle, name, ha="left", va="center", rotation=270, **style)  # type: ignore[arg-type]
