"""Lines from before to after, one per group and series: hollow marks before, filled ones after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from coemerge.report.plotting import error_lengths, plain_spines

_BAND = 0.64  # of the series of a group, one below the other


@dataclass(frozen=True, slots=True)
class Mark:
    label: str
    colour: str
    marker: str


def dumbbells(
    axes: Axes,
    frame: pd.DataFrame,
    groups: Sequence[str],
    styles: Mapping[str, Mark],
    words: tuple[str, str] = ("untouched model", "under the edit"),
) -> None:
    """``frame``: columns group, series, moment (pre or post), value, low, high; a line of each
    group and series that has both moments. Groups stand below each other, the series of ``styles``
    in each."""
    series = [name for name in styles if (frame["series"] == name).any()]
    for k, name in enumerate(series):
        aside = _BAND * ((k + 0.5) / len(series) - 0.5)
        style = styles[name]
        own = frame[(frame["series"] == name) & frame["group"].isin(groups)]
        own = own[own["value"].notna()]
        ends = {moment: own[own["moment"] == moment] for moment in ("pre", "post")}
        for (moment, rows), said in zip(ends.items(), words, strict=True):
            if rows.empty:
                continue
            before = moment == "pre"
            heights = [groups.index(group) + aside for group in rows["group"]]
            axes.errorbar(
                rows["value"], heights, xerr=error_lengths(rows, "value"), fmt=style.marker,
                color=style.colour, mfc="none" if before else None, markersize=7 if before else 4.5,
                elinewidth=0.6 if before else 1.2, zorder=3, label=f"{style.label}: {said}",
            )  # fmt: skip
        for row in ends["pre"].merge(ends["post"], on="group").itertuples():
            height = groups.index(str(row.group)) + aside
            axes.plot([row.value_x, row.value_y], [height] * 2, color=style.colour, linewidth=2.2,
                      alpha=0.35, zorder=2)  # fmt: skip
    for k in range(1, len(groups)):
        axes.axhline(k - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    plain_spines(axes)
