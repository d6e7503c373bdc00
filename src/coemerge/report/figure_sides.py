"""Whether an edit of one side of a fact shows on the other: success before and under edits, and
the share of an edit that shows (methods 4.2)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.plotting import (
    arm_label,
    error_lengths,
    legend_beside,
    percent_axis,
    plain_spines,
)
from coemerge.report.side_rows import ALL, EDITORS, MEASURES, OTHER, SIDES, THIRD, arms_of

_OWN, _OTHER, _REMOVAL = "own", "other", "removal"
_PLACES = {  # legend, colour, marker, height within an editor's band
    _OWN: ("edited side", "#0072B2", "o", -0.25),
    _OTHER: ("other side", "#D55E00", "s", 0.0),
    _REMOVAL: ("removal", "#7F7F7F", "^", 0.25),
}
_WIDTH = 0.7  # of the points of one arm, side by side
_APART = 0.05  # of a point and the same net of damage
_LEAST, _MOST = -0.35, 1.35  # of the axis of transfer; wider only for means beyond, to these:
_LIMITS = (-1.5, 2.5)


def draw_sides(rows: pd.DataFrame, measure: str) -> Figure:
    """A line of panels per edited side, a panel per arm; in it a band per editor: from success
    of the untouched model (ring) to that under the edit (filled), and that of a third object, which
    no edit asks for (cross)."""
    sides = [name for name in SIDES if (rows["edit_side"] == name).any()]
    arms = arms_of(rows)
    editors = [name for name in EDITORS if (rows["editor"] == name).any()]
    height = 0.9 + (1.1 + 0.62 * len(editors)) * len(sides)
    figure = Figure(figsize=(3.2 + 2.5 * len(arms), height), layout="constrained")
    panels = figure.subplots(len(sides), len(arms), squeeze=False, sharex=True, sharey=True)
    figure.suptitle(f"Does an edit of one side show on the other? {MEASURES[measure]}")
    for line, side in zip(panels, sides, strict=True):
        for axes, arm in zip(line, arms, strict=True):
            own = rows[(rows["edit_side"] == side) & (rows["arm"] == arm)]
            _bands(axes, own, side, editors)
            words = "of all arms" if arm == ALL else arm_label(arm)
            axes.set_title(f"{SIDES[side]}; facts\n{words}\n{_facts(own)}", fontsize=8)
    panels[0, 0].set_yticks(range(len(editors)), [EDITORS[name].label for name in editors])
    panels[0, 0].set_ylim(len(editors) - 0.5, -0.5)
    for axes in panels[-1]:
        percent_axis(axes, "share of prompts on which the\nwanted answer is likelier", "x")
    legend_beside(figure, panels.ravel(), "probe")
    return figure


def _bands(axes: Axes, rows: pd.DataFrame, side: str, editors: list[str]) -> None:
    for name, (label, colour, marker, aside) in _PLACES.items():
        probe = {_OWN: side, _OTHER: OTHER[side], _REMOVAL: _REMOVAL}[name]
        found = rows[rows["probe"] == probe]
        pre, post = (found[found["moment"] == moment] for moment in ("pre", "post"))
        heights = [editors.index(editor) + aside for editor in pre["editor"]]
        axes.errorbar(
            pre["value"], heights, xerr=error_lengths(pre, "value"), fmt=marker, color=colour,
            mfc="none", markersize=7.5, elinewidth=0.6, zorder=3,
            label=f"{label}: untouched model",
        )  # fmt: skip
        heights = [editors.index(editor) + aside for editor in post["editor"]]
        axes.errorbar(
            post["value"], heights, xerr=error_lengths(post, "value"), fmt=marker, color=colour,
            markersize=4.5, elinewidth=1.3, zorder=3, label=f"{label}: under the edit",
        )  # fmt: skip
        damage = rows[(rows["probe"] == THIRD.get(probe, "")) & (rows["moment"] == "post")]
        heights = [editors.index(editor) + aside for editor in damage["editor"]]
        axes.plot(damage["value"], heights, "x", color="#555555", markersize=5, zorder=4,
                  label="a third object, under the edit")  # fmt: skip
        joined = pre.merge(post, on="editor", suffixes=("_pre", "_post"))
        for row in joined.itertuples():
            height = editors.index(str(row.editor)) + aside
            ends = [float(row.value_pre), float(row.value_post)]
            axes.plot(ends, [height] * 2, color=colour, linewidth=2.4, alpha=0.35, zorder=2)
    for k in range(1, len(editors)):
        axes.axhline(k - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.05, 1.05)
    axes.set_xticks(np.linspace(0, 1, 5))
    axes.tick_params(axis="y", length=0)
    plain_spines(axes)


def _facts(rows: pd.DataFrame) -> str:
    """``n = 42 facts``, or ``n = 40 to 42 facts`` where probes are not of all of them."""
    if rows.empty:
        return "not measured"
    low, high = int(rows["n"].min()), int(rows["n"].max())
    return f"n = {low:,} facts" if low == high else f"n = {low:,} to {high:,} facts"


def draw_transfer(rows: pd.DataFrame) -> Figure:
    """A line of panels per measure, a panel per direction; in it a group of points per arm, in the
    order of the documents that training showed in the probe's format, a point per editor."""
    measures = [name for name in MEASURES if (rows["measure"] == name).any()]
    sides = [name for name in SIDES if (rows["edit_side"] == name).any()]
    width = 2.2 + sum(1.6 + 1.35 * len(arms_of(rows[rows["edit_side"] == s])) for s in sides)
    size = (width, 0.9 + 2.7 * len(measures))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(measures), len(sides), squeeze=False, sharey=True)
    figure.suptitle("How much of an edit shows on the other side?")
    for line, measure in zip(panels, measures, strict=True):
        for axes, side in zip(line, sides, strict=True):
            own = rows[(rows["measure"] == measure) & (rows["edit_side"] == side)]
            _arms(axes, own)
            axes.set_title(f"{SIDES[side]} asked from the {OTHER[side]} side, {measure}")
        line[0].set_ylabel("transfer index (TI)")
    panels[0, 0].set_ylim(*_range(rows))
    for axes in panels[-1]:
        axes.set_xlabel("documents in the asked side's formats, per fact")
    legend_beside(figure, panels.ravel(), "editor")
    return figure


def _arms(axes: Axes, rows: pd.DataFrame) -> None:
    arms = documents(rows)
    editors = [name for name in EDITORS if (rows["editor"] == name).any()]
    for k, name in enumerate(editors):
        own = rows[rows["editor"] == name]
        aside = _WIDTH * ((k + 0.5) / len(editors) - 0.5)
        for drawn, filled in ((own, False), (_net(own), True)):
            places = [list(arms).index(arm) + aside + _APART * filled for arm in drawn["arm"]]
            axes.errorbar(
                places, drawn["index"], yerr=error_lengths(drawn, "index"), fmt="o", markersize=5,
                mfc=None if filled else "none", color=EDITORS[name].colour,
                elinewidth=1.3 if filled else 0.7, capsize=2 * filled,
                label=EDITORS[name].label + (", net of damage" if filled else ""),
            )  # fmt: skip
    axes.axhline(0, color="#333333", linewidth=0.8, zorder=0)
    axes.axhline(1, color="#333333", linewidth=0.8, linestyle="--", zorder=0)
    labels = [f"{_counted(n)}\n{arm_label(arm)}\n{_of(rows, arm)}" for arm, n in arms.items()]
    axes.set_xticks(range(len(arms)), labels, fontsize=7.5)
    axes.set_xlim(-0.6, max(1, len(arms)) - 0.4)
    plain_spines(axes)


def _net(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with transfer net of damage in place of transfer, where it is defined."""
    if "net" not in rows:
        return rows.iloc[:0]
    known = rows[rows["net"].notna()]
    return known.assign(index=known["net"], low=known["net_low"], high=known["net_high"])


def documents(rows: pd.DataFrame) -> dict[str, float]:
    """Arm -> documents in the probe's formats, fewest first; NaN where nobody counted."""
    counted = rows.groupby("arm")["n_documents"].mean().reindex(arms_of(rows))
    return {str(arm): float(n) for arm, n in counted.sort_values(kind="stable").items()}


def _counted(n: float) -> str:
    return "not known" if np.isnan(n) else f"{n:,.0f}"


def _of(rows: pd.DataFrame, arm: str) -> str:
    return _facts(rows[rows["arm"] == arm])


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    """Of the axis: all points lie in it, but for absurd ones; intervals may leave it."""
    values = pd.concat([rows["index"], _net(rows)["index"]])
    low, high = values.min() - 0.1, values.max() + 0.1
    return max(min(_LEAST, low), _LIMITS[0]), min(max(_MOST, high), _LIMITS[1])
