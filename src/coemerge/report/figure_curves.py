"""Two pictures over training: facts emerged per task, and what explains the scores' variance."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.plotting import (
    by_seed,
    legend_beside,
    percent_axis,
    plain_spines,
    pooled,
    step_axis,
    task_colour,
    task_line,
    tasks_in_order,
)
from coemerge.report.published import PUBLISHED_INTERACTION
from coemerge.report.results import pick
from coemerge.statistics.thresholds import COMPETENT, THETA

NEVER, UNKNOWN = "A5_never", "unknown"
_EMERGED_TITLE = "How many facts does the model know, format by format, while it trains?"
_SCALES = {"raw": "score as it is (raw)", "logit": "logit of the probability"}
_COMPONENTS = {
    "interaction": ("fact × format", "#D55E00"),
    "task": ("format", "#0072B2"),
    "fact": ("fact", "#009E73"),
}


def draw_emerged(curves: pd.DataFrame) -> Figure:
    """Fraction of facts emerged per task over steps: facts shown in that format, in other formats
    only, never, or by what is not known. Thick: mean over seeds; thin: each seed."""
    arms = curves[curves["arm"] != "all"]
    exposed, never = arms["exposed"].astype(bool), arms["arm"] == NEVER
    unknown = arms["arm"] == UNKNOWN
    choices = {
        "shown in this format": arms[exposed & ~never],
        "shown in other formats only": arms[~exposed & ~never & ~unknown],
        "never shown (A5)": arms[never],
        "whose exposure is not known": arms[unknown],
    }
    shown = {title: frame for title, frame in choices.items() if len(frame)}
    figure = Figure(figsize=(1.9 + 2.7 * len(shown), 3.7), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    figure.suptitle(_EMERGED_TITLE if len(shown) > 1 else _EMERGED_TITLE.replace(", ", ",\n"))
    for axes, (title, frame) in zip(panels, shown.items(), strict=True):
        _emerged_panel(axes, frame)
        axes.set_title(f"facts {title}")
    percent_axis(panels[0], f"facts emerged (score > {THETA:g})")
    panels[0].set_ylim(-0.03, 1.03)
    legend_beside(figure, panels)
    return figure


def _emerged_panel(axes: Axes, frame: pd.DataFrame) -> None:
    rates = pooled(frame, ["seed", "step", "task"], "emerged_fraction")
    for task in tasks_in_order(rates["task"]):
        seeds = by_seed(rates[rates["task"] == task], "emerged_fraction")
        colour, line = task_colour(task), task_line(task)
        if seeds.shape[1] > 1:
            axes.plot(seeds.index, seeds, line, color=colour, linewidth=0.6, alpha=0.45)
        axes.plot(seeds.index, seeds.mean(axis=1), line, color=colour, linewidth=1.8, label=task)
    axes.axhline(
        COMPETENT,
        color="grey",
        linewidth=1,
        linestyle=":",
        label=f"competent ({100 * COMPETENT:.0f} %)",
    )
    step_axis(axes)
    plain_spines(axes)


def draw_variance(variance: pd.DataFrame) -> Figure:
    """Share of variance of fact, task and their interaction over steps; solid with paraphrase
    noise in the denominator, dashed without."""
    plain = pick(variance, model="plain")
    scales = [scale for scale in _SCALES if (plain["scale"] == scale).any()]
    figure = Figure(figsize=(1.8 + 4.1 * len(scales), 3.8), layout="constrained")
    panels = figure.subplots(1, len(scales), sharey=True, squeeze=False)[0]
    figure.suptitle("Do scores depend on the fact, on the format, or on the pair of both?")
    for axes, scale in zip(panels, scales, strict=True):
        rows = plain[plain["scale"] == scale]
        _variance_panel(axes, rows)
        axes.set_title(f"{_SCALES[scale]}\n{_significance(rows)}")
    percent_axis(panels[0], "share of variance η²")
    panels[0].set_ylim(-0.03, 1.03)
    legend_beside(figure, panels)
    return figure


def _variance_panel(axes: Axes, rows: pd.DataFrame) -> None:
    for component, (name, colour) in _COMPONENTS.items():
        for denominator, line, width in (("total", "-", 1.8), ("cells", "--", 1.2)):
            mine = pick(rows, component=component, denominator=denominator)
            seeds = by_seed(mine, "eta_squared")
            if seeds.empty:
                continue
            label = name if denominator == "total" else f"{name}, noise left out"
            if seeds.shape[1] > 1 and denominator == "total":
                axes.plot(seeds.index, seeds, line, color=colour, linewidth=0.6, alpha=0.45)
            mean = seeds.mean(axis=1)
            axes.plot(seeds.index, mean, line, color=colour, linewidth=width, label=label)
    axes.axhline(
        PUBLISHED_INTERACTION,
        color="grey",
        linewidth=1,
        linestyle=":",
        label="published fact × task\n(final model)",
    )
    step_axis(axes)
    plain_spines(axes)


def _significance(rows: pd.DataFrame) -> str:
    tested = pick(rows, component="interaction", denominator="total")["q_value"].dropna()
    if tested.empty:
        return "interaction not tested"
    n = (tested < 0.05).sum()
    return f"interaction significant (q < 0.05)\nat {n} of {len(tested)} checkpoints"
