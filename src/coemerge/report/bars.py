"""Grouped bars with intervals, one style per series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coemerge.report.plotting import error_lengths

_WIDTH = 0.8  # of a group


@dataclass(frozen=True, slots=True)
class BarStyle:
    label: str
    colour: str
    hatch: str = ""


def grouped_bars(
    axes: Axes,
    frame: pd.DataFrame,
    groups: Sequence[str],
    styles: Mapping[str, BarStyle],
    numbers: bool = True,
) -> dict[tuple[str, str], tuple[float, float]]:
    """Bars of ``frame`` (columns group, series, value, low, high), each with its interval and, if
    wanted, its percentage; returns middle and width of each, by group and series."""
    series = [name for name in styles if (frame["series"] == name).any()]
    width = _WIDTH / max(1, len(series))
    places: dict[tuple[str, str], tuple[float, float]] = {}
    for k, name in enumerate(series):
        own = frame[(frame["series"] == name) & frame["group"].isin(groups)]
        own = own[own["value"].notna()]
        middles = np.array([groups.index(group) for group in own["group"]], dtype=float)
        middles += (k - (len(series) - 1) / 2) * width
        style = styles[name]
        axes.bar(
            middles, own["value"], 0.9 * width, color=style.colour, hatch=style.hatch,
            edgecolor="white" if style.hatch else "none", linewidth=0, label=style.label, zorder=2,
        )  # fmt: skip
        axes.errorbar(
            middles, own["value"], yerr=error_lengths(own, "value"), fmt="none", ecolor="#333333",
            elinewidth=0.9, capsize=2, zorder=3,
        )  # fmt: skip
        for middle, row in zip(middles, own.itertuples(), strict=True):
            places[str(row.group), name] = (float(middle), width)
            if numbers:
                top = np.nanmax([row.value, row.high, 0.0])
                told = f"{round(100 * row.value) + 0:.0f}".replace("-", "−")
                axes.annotate(told, (middle, top), (0, 2), textcoords="offset points",
                              ha="center", va="bottom", fontsize=7.5)  # fmt: skip
    axes.margins(y=0.12)  # for the numbers
    axes.set_xticks(range(len(groups)))
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.axhline(0, color="#333333", linewidth=0.8, zorder=4)
    return places


def tick(axes: Axes, place: tuple[float, float], value: float, label: str) -> None:
    """A black line across the bar at ``place`` (middle and width)."""
    middle, width = place
    axes.plot([middle - 0.5 * width, middle + 0.5 * width], [value] * 2, color="black",
              linewidth=2.2, zorder=5, label=label)  # fmt: skip
