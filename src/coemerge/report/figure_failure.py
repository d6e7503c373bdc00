"""How often a fact known elsewhere fails to be known in a format the model can do."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.plotting import (
    arm_colour,
    arm_label,
    error_lengths,
    legend_beside,
    percent_axis,
    plain_spines,
)
from coemerge.report.published import PUBLISHED_FAILURE
from coemerge.report.results import TO_THE_END, USUAL_RULE, nulls_of, pick
from coemerge.statistics.thresholds import THETA

_THETAS = {0.4: ("v", "#56B4E9"), THETA: ("o", "#0072B2"), 0.8: ("^", "#000000")}
_NULLS = {
    "permutation": ("facts permuted, as if\nformats were independent", "#E69F00", "--"),
    "split_half": ("one half of the paraphrases\nagainst the other", "#CC79A7", "-."),
    "exposure_matched": ("exposure matched\n(shown in every format)", "#009E73", (0, (5, 1))),
}
_SUSTAINED = {
    "any": ("o", "-", "#0072B2"),
    "last": ("s", "--", "#000000"),
    "3-in-a-row": ("^", ":", "#7F7F7F"),
}


def arms_in_order(arms: pd.Series) -> list[str]:
    """``all`` first, then by name."""
    return sorted(set(arms), key=lambda arm: (arm != "all", arm))


def arm_rows(failure: pd.DataFrame) -> pd.DataFrame:
    """Rates under the usual rule, at every threshold."""
    rule = {name: value for name, value in USUAL_RULE.items() if name != "theta"}
    return pick(failure, **rule).dropna(subset=["rate"])


def draw_failure_by_arm(failure: pd.DataFrame, nulls: pd.DataFrame) -> Figure:
    """Failure rate per arm with 95 % intervals at three thresholds; nulls as lines with bands."""
    frame = arm_rows(failure)
    arms = arms_in_order(frame["arm"])
    figure = Figure(figsize=(8.6, 1.7 + 0.62 * max(len(arms), 3)), layout="constrained")
    axes = figure.subplots()
    figure.suptitle("How often does a fact known elsewhere fail to be known in a format?")
    thetas = [t for t in _THETAS if np.isclose(frame["theta"], t).any()]
    for k, theta in enumerate(thetas):
        marker, colour = _THETAS[theta]
        rows = pick(frame, theta=theta)
        heights = [arms.index(arm) + 0.2 * (k - (len(thetas) - 1) / 2) for arm in rows["arm"]]
        axes.errorbar(
            rows["rate"], heights, xerr=error_lengths(rows, "rate"), fmt=marker, color=colour,
            markersize=5, capsize=2, linewidth=1.2, label=f"θ = {theta:g}",
        )  # fmt: skip
    _reference_lines(axes, nulls_of(nulls, "failure_rate"))
    axes.set_yticks(range(len(arms)), [arm_label(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    percent_axis(axes, "testable (fact, format) pairs that fail to co-emerge", which="x")
    plain_spines(axes)
    _counts(axes, pick(frame, theta=THETA), arms)
    legend_beside(figure, [axes])
    return figure


def _counts(axes: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    """Testable, excluded and untestable pairs, in a column right of the axes."""
    at = axes.get_yaxis_transform()
    axes.text(1.02, -0.5, "pairs: testable\n/ excluded / untestable", transform=at, fontsize=7,
              va="bottom", color="#444444")  # fmt: skip
    for row in rows.itertuples():
        counts = (row.n_testable, row.n_excluded, row.n_untestable)
        text = " / ".join(f"{int(np.nan_to_num(count)):,}" for count in counts)
        axes.text(1.02, arms.index(str(row.arm)), text, transform=at, fontsize=8, va="center")


def _reference_lines(axes: Axes, nulls: pd.DataFrame) -> None:
    for row in nulls.itertuples():
        label, colour, line = _NULLS.get(str(row.null), (str(row.null), "#7F7F7F", ":"))
        axes.axvline(row.value, color=colour, linestyle=line, linewidth=1.4, zorder=1,
                     label=f"control: {label}")  # fmt: skip
        if np.isfinite([row.low, row.high]).all():
            axes.axvspan(row.low, row.high, color=colour, alpha=0.15, linewidth=0, zorder=0)
    axes.axvline(PUBLISHED_FAILURE, color="grey", linestyle=":", linewidth=1.4, zorder=1,
                 label="published, θ = 0.6")  # fmt: skip


def draw_failure_by_window(failure: pd.DataFrame) -> Figure:
    """Failure rate against the time allowed: all arms under each rule for lasting, and each arm
    under the usual one."""
    frame = pick(failure, theta=THETA).dropna(subset=["rate"])
    windows = sorted(set(frame["window"]), key=lambda w: (w == TO_THE_END, w))
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    figure.suptitle("Does the failure rate only say that the format needs more time?")
    for k, rule in enumerate(r for r in _SUSTAINED if (frame["sustained"] == r).any()):
        marker, line, colour = _SUSTAINED[rule]
        rows = pick(frame, arm="all", sustained=rule)
        style = {"color": colour, "fmt": marker + line}
        _window_line(left, rows, windows, f"all arms, {rule}", 0.14 * k, **style)
    usual = pick(frame, sustained=USUAL_RULE["sustained"])
    for k, arm in enumerate(a for a in arms_in_order(usual["arm"]) if a != "all"):
        style = {"color": arm_colour(arm), "fmt": "osv^Dd"[k % 6] + "-"}
        _window_line(right, pick(usual, arm=arm), windows, arm_label(arm), 0.08 * k, **style)
    for axes, title in ((left, "how long it must last"), (right, "by arm (emerged at any time)")):
        ends = ["end" if w == TO_THE_END else f"{int(w):,}" for w in windows]
        axes.set_xticks(range(len(windows)), ends)
        axes.set_xlabel("checkpoints allowed after the pair became testable")
        axes.set_title(title)
        plain_spines(axes)
    percent_axis(left, "testable pairs that fail")
    left.set_ylim(-0.03, 1.03)
    legend_beside(figure, [left, right])
    return figure


def _window_line(
    axes: Axes, rows: pd.DataFrame, windows: list[int], label: str, aside: float, **style: Any
) -> None:
    """Drawn a little to the right, lest markers at one place cover each other."""
    if rows.empty:
        return
    places = [windows.index(window) + aside for window in rows["window"]]
    ordered = rows.assign(place=places).sort_values("place")
    axes.errorbar(
        ordered["place"], ordered["rate"], yerr=error_lengths(ordered, "rate"), label=label,
        markersize=4, capsize=2, linewidth=1.4, elinewidth=0.8, **style,
    )  # fmt: skip
