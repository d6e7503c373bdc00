"""What the figures of a study share: settings, order of tasks, legends, averages over seeds."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from coemerge.report.style import ARM_COLOURS, DISCRIMINATIVE, TASK_COLOURS

_ARMS = {
    "all": "all arms",
    "A0_full": "shown in all formats",
    "A1_withheld_target": "shown in all but one",
    "A2_single_source": "shown in one alone",
    "A3_dose": "shown in one, 1 to 100 times",
    "A4_order": "shown in two, in turn",
    "A5_never": "never shown",
    "A6_one_direction": "in one direction",
    "A7_one_synonym": "in one synonym",
    "A8_wordings": "once, again, or reworded",
    "entity_only": "shown from the entity side",
    "relation_only": "shown from the relation side",
    "both_sides": "shown from both sides",
    "unknown": "exposure not known",
}
_SPARE_COLOURS = ("#6A4C93", "#8C6D31", "#7F7F7F", "#637939")


@contextmanager
def drawing() -> Iterator[None]:
    """Settings under which a figure is both made and saved; equal figures give equal bytes."""
    with mpl.rc_context({"svg.hashsalt": "coemerge", "font.size": 9}):
        mpl.rcParams.update({"axes.titlesize": 9, "figure.titlesize": 10})
        mpl.rcParams["text.parse_math"] = False  # names of tasks and arms are text, "$" included
        yield


def tasks_in_order(tasks: Iterable[str]) -> list[str]:
    """Generative before discriminative ones, each in the order of the palette, others by name."""
    known = list(TASK_COLOURS)

    def place(task: str) -> tuple[bool, int, str]:
        return is_discriminative(task), known.index(task) if task in known else len(known), task

    return sorted(set(tasks), key=place)


def arm_label(arm: str, between: str = "\n") -> str:
    """The arm in words, and its name."""
    words = _ARMS.get(arm)
    return f"{words}{between}({arm})" if words and arm != "all" else words or arm


def is_discriminative(task: str) -> bool:
    """Also of forms that reason first and then answer in such a format (``cot_fitb_mcqa``)."""
    return task in DISCRIMINATIVE or task.split("_")[-1] in DISCRIMINATIVE


def task_colour(task: str) -> str:
    spare = _SPARE_COLOURS[sum(task.encode()) % len(_SPARE_COLOURS)]
    return TASK_COLOURS.get(task, spare)


def arm_colour(arm: str) -> str:
    return ARM_COLOURS.get(arm, ARM_COLOURS["unknown"])


def task_line(task: str) -> str:
    return "--" if is_discriminative(task) else "-"


def pooled(frame: pd.DataFrame, keys: list[str], value: str, weight: str = "n") -> pd.DataFrame:
    """Mean of ``value`` weighted by ``weight`` within ``keys``; others do not count."""
    usable = frame[frame[value].notna() & (frame[weight] > 0)]
    weighted = usable.assign(_sum=usable[value] * usable[weight])
    sums = weighted.groupby(keys, as_index=False)[["_sum", weight]].sum()
    return sums.assign(**{value: sums["_sum"] / sums[weight]}).drop(columns="_sum")


def by_seed(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """[step, seed] -> value. Seeds differ by a few steps, and so do their checkpoints: between its
    own a seed is interpolated. Steps beyond the last (or before the first) of a seed are left out,
    lest the mean over seeds jumps."""
    wide = frame.pivot(index="step", columns="seed", values=value)
    return wide.interpolate(method="index", limit_area="inside").dropna()


def percent_axis(axes: Axes, label: str, which: str = "y") -> None:
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{round(100 * x, 1) + 0:g} %".replace("-", "−"))
    )
    axis.set_label_text(label)


def step_axis(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("optimizer step")


def plain_spines(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def legend_beside(figure: Figure, panels: Iterable[Axes], title: str | None = None) -> None:
    """One legend for all panels, right of them: each label once, in the order of drawing."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside right center",
        frameon=False,
        title=title,
    )


def error_lengths(frame: pd.DataFrame, value: str) -> np.ndarray:
    """[2, rows] distances from ``value`` down to ``low`` and up to ``high``; 0 where unknown."""
    down, up = frame[value] - frame["low"], frame["high"] - frame[value]
    return np.nan_to_num(np.array([down, up], dtype=float).clip(min=0))
