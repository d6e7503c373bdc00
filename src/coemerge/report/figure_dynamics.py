"""When facts emerge, in which order, and what injections leave."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from coemerge.report.plotting import (
    percent_axis,
    plain_spines,
    task_colour,
    tasks_in_order,
)
from coemerge.report.results import pick
from coemerge.report.style import VARIANT_COLOURS
from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.statistics.thresholds import THETA

RULE = "fixed"
_MAP = "PuOr"  # diverging, and told apart by colour-blind readers too
_SPLITS = {
    "seen_templates": "asked in the injected wording",
    "held_out_templates": "asked in other wordings",
}
_SPARE_COLOUR = "#CC79A7"
_DRAWS = 2000


def emergence_rows(points: pd.DataFrame) -> pd.DataFrame:
    """Under the usual rule and threshold."""
    return pick(points, rule=RULE, theta=THETA)


def order_rows(order: pd.DataFrame) -> pd.DataFrame:
    """Between tasks of one run, all arms, under the usual rule."""
    usual = pick(order, rule=RULE, theta=THETA, arm="all")
    return usual[usual["seed"] == usual["other_seed"]] if len(usual) else usual


def draw_emergence_points(points: pd.DataFrame, order: pd.DataFrame) -> Figure:
    """Left: step of emergence per task, facts shown in it beside others, with the share that never
    emerged. Right: rank correlation between tasks of the order in which facts emerge."""
    frame, orders = emergence_rows(points), order_rows(order)
    tasks = tasks_in_order(frame["task"])
    orders = orders[orders["rho"].notna()] if len(orders) else orders
    size = 1.6 + 0.75 * len(tasks)
    widths = [size, *([size * 0.95] if len(orders) else [])]
    figure = Figure(figsize=(sum(widths) + 0.8, max(3.9, 0.8 * size)), layout="constrained")
    panels = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    figure.suptitle("When do facts emerge, and in the same order in every format?")
    _steps_panel(panels[0], frame, tasks)
    if len(orders):
        _order_panel(figure, panels[1], orders, tasks)
    return figure


def _steps_panel(axes: Axes, frame: pd.DataFrame, tasks: list[str]) -> None:
    at = axes.get_xaxis_transform()
    shown = frame["exposures_total"] > 0
    for k, task in enumerate(tasks):
        for side, is_shown in ((-0.2, True), (0.2, False)):
            facts = frame[(frame["task"] == task) & (shown == is_shown)]
            emerged = facts.loc[facts["emerged_step"] >= 0, "emerged_step"].to_numpy(dtype=float)
            _strip(axes, k + side, emerged.clip(min=1), task_colour(task), is_shown)
            if len(facts):
                never = f"{100 * (1 - len(emerged) / len(facts)):.0f} %\n{len(facts)}"
                axes.text(k + side, 1.01, never, transform=at, ha="center", va="bottom", fontsize=7)
    axes.text(
        -0.55,
        1.01,
        "never:\nof",
        transform=at,
        ha="right",
        va="bottom",
        fontsize=7,
        color="#444444",
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(tasks)), tasks, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(tasks) - 0.5)
    axes.set_ylabel("optimizer step of emergence (log scale)")
    axes.set_title("filled: shown in this format; hollow: not shown in it", pad=24)
    plain_spines(axes)


def _strip(axes: Axes, place: float, steps: np.ndarray, colour: str, filled: bool) -> None:
    """A dot per fact, set off sideways by its rank, and a box of the quartiles."""
    if not len(steps):
        return
    aside = np.resize(np.linspace(-0.12, 0.12, 7), len(steps))
    face = colour if filled else "none"
    axes.scatter(
        place + aside, np.sort(steps), s=7, facecolors=face, edgecolors=colour, linewidths=0.5,
        alpha=0.5,
    )  # fmt: skip
    line = {"color": "black", "linewidth": 1.0}
    axes.boxplot(
        [steps], positions=[place], widths=0.3, whis=(0, 100), showfliers=False, manage_ticks=False,
        medianprops={**line, "linewidth": 1.8}, boxprops=line, whiskerprops=line, capprops=line,
    )  # fmt: skip


def _order_panel(figure: Figure, axes: Axes, orders: pd.DataFrame, tasks: list[str]) -> None:
    """Lower triangle: mean over seeds; below it the interval of the only seed, or the range of
    several; facts that emerged in both tasks, of all."""
    where = {task: k for k, task in enumerate(tasks)}
    rhos = np.full((len(tasks), len(tasks)), np.nan)
    several = orders["seed"].nunique() > 1
    for (one, other), cell in orders.groupby(["task", "other_task"]):
        row, column = sorted((where[str(one)], where[str(other)]), reverse=True)
        rho = rhos[row, column] = cell["rho"].mean()
        low = cell["rho"].min() if several else cell["low"].iloc[0]
        high = cell["rho"].max() if several else cell["high"].iloc[0]
        dark = colormaps[_MAP]((rho + 1) / 2)
        ink = "black" if np.dot(dark[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"
        counts = f"{int(cell['n_both'].sum()):,} / {int(cell['n'].sum()):,}"
        text = f"{rho:.2f}\n[{low:.2f}, {high:.2f}]\n{counts}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=6.5)
    edges = np.arange(len(tasks) + 1) - 0.5
    mesh = axes.pcolormesh(
        edges, edges, np.ma.masked_invalid(rhos), cmap=_MAP, vmin=-1, vmax=1, edgecolors="white",
        linewidth=0.8, zorder=0,
    )  # fmt: skip
    axes.set_xticks(range(len(tasks)), tasks, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set(xlim=(-0.5, len(tasks) - 1.5), ylim=(len(tasks) - 0.5, 0.5))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    spread = "range over seeds" if several else "95 % interval over facts"
    axes.set_title(f"Spearman's ρ, {spread},\nfacts emerged in both / facts")
    figure.colorbar(mesh, ax=axes, shrink=0.6, label="Spearman's ρ of the order of emergence")


def draw_retention(retention: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Share of a gain left against the steps since the peak after the last injection: mean over
    facts with 95 % intervals per regime, and the line of the fit."""
    splits = [split for split in _SPLITS if (retention["split"] == split).any()]
    figure = Figure(figsize=(1.2 + 4.6 * len(splits), 4.6), layout="constrained")
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    figure.suptitle("How much of what injections taught is left?")
    for axes, split in zip(panels, splits, strict=True):
        own = retention[(retention["split"] == split) & ~retention["is_outlier"].astype(bool)]
        for k, regime in enumerate(_regimes(own["regime"])):
            aside = 1 + 0.04 * (k - 1)  # lest whiskers at one place cover each other
            line = pick(fits, regime=regime, split=split)
            _regime(axes, regime, own[own["regime"] == regime], line, aside)
        axes.axhline(0, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_xlabel("optimizer steps since the peak, τ (log scale)")
        axes.set_title(_SPLITS[split])
        plain_spines(axes)
        axes.legend(
            frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16),
            title="slope per decade; steps to zero (95 % intervals over facts)", title_fontsize=8,
            alignment="left",
        )  # fmt: skip
    percent_axis(panels[0], "retainability R(τ): share of the gain left")
    return figure


def _regimes(found: pd.Series) -> list[str]:
    known = [name for name in VARIANT_COLOURS if (found == name).any()]
    return known + sorted(set(found) - set(known))


def _regime(axes: Axes, regime: str, own: pd.DataFrame, fit: pd.DataFrame, aside: float) -> None:
    colour = VARIANT_COLOURS.get(regime, _SPARE_COLOUR)
    means = pd.DataFrame(
        [
            (
                tau,
                *_mean([values.to_numpy() for _, values in cell.groupby("seed")["retainability"]]),
            )
            for tau, cell in own.groupby("tau")
        ],
        columns=["tau", "mean", "low", "high"],
    )
    errors = np.nan_to_num([means["mean"] - means["low"], means["high"] - means["mean"]])
    label = regime if fit.empty else _label(regime, fit.iloc[0])
    axes.errorbar(
        means["tau"] * aside, means["mean"], yerr=errors.clip(min=0), fmt="o", markersize=3.5,
        color=colour, elinewidth=0.8, capsize=2, label=label,
    )  # fmt: skip
    if len(fit) and len(means) and np.isfinite(fit["slope"].iloc[0]):
        ends = means["tau"].iloc[[0, -1]].to_numpy(dtype=float)
        height = fit["intercept"].iloc[0] + fit["slope"].iloc[0] * np.log10(ends)
        axes.plot(ends, height, color=colour, linewidth=1.5)


def _mean(values: list[np.ndarray]) -> tuple[float, float, float]:
    estimate = hierarchical_bootstrap(values, draws=_DRAWS)
    return estimate.mean, estimate.low, estimate.high


def _label(regime: str, fit: pd.Series) -> str:
    counts = f"n = {int(fit['n'] - fit['n_undefined']):,} of {int(fit['n']):,}"
    if not np.isfinite(fit["slope"]):
        return f"{regime} ({counts}): no line"
    slope = f"{fit['slope']:+.2f} [{fit['slope_low']:+.2f}, {fit['slope_high']:+.2f}]"
    low, high = (_steps(fit[f"steps_to_zero{end}"]) for end in ("_low", "_high"))
    return f"{regime} ({counts}): {slope}; {_steps(fit['steps_to_zero'])} [{low}, {high}]"


def _steps(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if value < 1e6 else "> 10⁶"
