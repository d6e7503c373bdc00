"""Violins with their points, and the mean with its interval beside them."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import Collection

from coemerge.report.plotting import error_lengths

_SPREAD = 0.3  # of points, to both sides of the middle
_GOLDEN = (5**0.5 - 1) / 2  # multiples of it spread evenly, and equal data give equal drawings


def violins(
    axes: Axes, groups: Sequence[np.ndarray], means: pd.DataFrame, colours: Sequence[str]
) -> None:
    """One violin per group, over the range of its values; ``means`` (place, value, low, high) as
    black dots with intervals."""
    drawn = [place for place, values in enumerate(groups) if len(values)]
    if drawn:
        parts = axes.violinplot(
            [groups[place] for place in drawn], drawn, widths=0.85, showextrema=False
        )
        for place, body in zip(drawn, cast(list[Collection], parts["bodies"]), strict=True):
            body.set(facecolor=colours[place], edgecolor="none", alpha=0.3)
    for place in drawn:
        values = np.sort(groups[place])
        aside = _SPREAD * (2 * (np.arange(len(values)) * _GOLDEN % 1) - 1)
        axes.scatter(place + aside, values, s=7, color=colours[place], alpha=0.75, linewidth=0)
    if len(means):
        axes.errorbar(
            means["place"], means["value"], yerr=error_lengths(means, "value"), fmt="o",
            color="black", markersize=4.5, elinewidth=1.6, capsize=3, zorder=5,
            label="mean over facts, 95 % interval",
        )  # fmt: skip
    axes.set_xlim(-0.6, len(groups) - 0.4)
