"""What edits of syntax and of facts do, and what edits of facts imply (methods 6.5, 6.6)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.dumbbells import Mark, dumbbells
from coemerge.report.figure_tracing import colour_scale, effect_map
from coemerge.report.neuron_rows import (
    CONDITIONS,
    FAMILIES,
    IMPLIED,
    KINDS,
    REPLACED,
    STATES,
    conditions_of,
    editors_of,
    families_of,
    names,
    role_labels,
)
from coemerge.report.plotting import legend_beside, percent_axis

_SCORE_MARKS = {
    "es": Mark("ES, edited prompt", "#0072B2", "o"),
    "ps": Mark("PS, other sentences\nor wordings", "#D55E00", "s"),
    "ns": Mark("NS, others left alone", "#7F7F7F", "^"),
}
_CHECK_MARKS = {
    "rewrite": Mark("the edit itself", "#0072B2", "o"),
    "implied": Mark("what it implies\n(should hold)", "#D55E00", "s"),
    "replaced": Mark("what it replaces\n(should fall)", "#7F7F7F", "^"),
    "unrelated": Mark("other facts of the\nsubject (should stay)", "#009E73", "D"),
}
_QUESTIONS = {
    "symmetry": "symmetry: does the inverse follow?",
    "synonymy": "synonymy: does the synonym follow?",
}


def draw_traced(rows: pd.DataFrame) -> Figure:
    """A line of panels per kind of restored state, syntax beside facts; one colour scale. Effects
    are shares of the kind's total effect, as the answers of syntax are less likely from the
    start; as they are where a total effect is not known."""
    label = "average indirect effect (AIE)"
    if rows["part"].notna().all():
        rows, label = rows.assign(aie=rows["part"]), "AIE, of the total effect"
    states = [name for name in STATES if (rows["state"] == name).any()]
    kinds = [name for name in KINDS if (rows["kind"] == name).any()]
    n_layers = rows["layer"].nunique()
    size = (2.0 + (2.9 + 0.24 * min(n_layers, 16)) * len(kinds), 0.9 + 1.85 * len(states))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(states), len(kinds), squeeze=False)
    figure.suptitle("Where does restoring one state bring the answer back?")
    colours, scale = colour_scale(rows["aie"])
    for line, state in zip(panels, states, strict=True):
        for axes, kind in zip(line, kinds, strict=True):
            own = rows[(rows["state"] == state) & (rows["kind"] == kind)]
            if own.empty:
                axes.set_axis_off()
                continue
            labels = role_labels(own["role"], kind)
            image = effect_map(axes, own, labels, colours, scale)
            n = int(own["n"].max())
            axes.set_title(f"{KINDS[kind].label}: {STATES[state]}\nn = {n:,} prompts", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("restored layer (middle of a window)")
    bar = figure.colorbar(image, ax=list(panels.ravel()), shrink=0.6)
    percent_axis(bar.ax, label)
    return figure


def draw_rewrites(rows: pd.DataFrame) -> Figure:
    """Syntax beside facts; in a panel a band per editor, a line per score from before to after."""
    kinds = [name for name in KINDS if (rows["kind"] == name).any()]
    editors = editors_of(rows)
    size = (3.4 + 3.0 * len(kinds), 1.3 + 0.62 * len(editors))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False, sharex=True, sharey=True)[0]
    figure.suptitle("Edits to the ungrammatical form, and to another object")
    for axes, kind in zip(panels, kinds, strict=True):
        own = rows[rows["kind"] == kind]
        frame = own.assign(group=own["editor"], series=own["measure"])
        dumbbells(axes, frame, editors, _SCORE_MARKS)
        _fractions(axes)
        axes.set_title(f"{KINDS[kind].label}\nn = {int(own['n'].max()):,} edits")
        percent_axis(axes, "share of prompts", "x")
    panels[0].set_yticks(range(len(editors)), names(editors))
    legend_beside(figure, panels)
    return figure


def draw_implied(rows: pd.DataFrame) -> Figure:
    """A line of panels per family, a column per condition; in it a band per editor: the edit
    itself, what has to follow, what has to go and, where there are such, what has to stay. A
    condition without facts is an empty panel."""
    families, conditions = families_of(rows), conditions_of(rows)
    editors = editors_of(rows)
    size = (3.0 + 2.7 * len(conditions), 0.8 + (1.2 + 0.62 * len(editors)) * len(families))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(
        len(families), len(conditions), squeeze=False, sharex=True, sharey=True
    )
    figure.suptitle("Does what an edit implies follow from it?")
    for line, family in zip(panels, families, strict=True):
        for axes, condition in zip(line, conditions, strict=True):
            own = rows[(rows["family"] == family) & (rows["condition"] == condition)]
            n = _implied(axes, own, family, editors)
            counted = f"n = {n:,} facts" if n else "no such facts"
            axes.set_title(f"{CONDITIONS[condition]}\n{counted}")
        line[0].set_ylabel(_QUESTIONS.get(family, FAMILIES[family]).replace(": ", ":\n"))
    panels[0, 0].set_yticks(range(len(editors)), names(editors))
    for axes in panels[-1]:
        percent_axis(axes, "answered so", "x")
    legend_beside(figure, panels.ravel())
    return figure


def _implied(axes: Axes, rows: pd.DataFrame, family: str, editors: list[str]) -> int:
    """Draws it; returns the number of facts."""
    series = {"rewrite": "rewrite", IMPLIED[family]: "implied", REPLACED[family]: "replaced",
              "unrelated_kept": "unrelated"}  # fmt: skip
    own = rows[rows["check"].isin(series) & rows["value"].notna() & (rows["n"] > 0)]
    frame = own.assign(group=own["editor"], series=own["check"].map(series))
    dumbbells(axes, frame, editors, _CHECK_MARKS)
    _fractions(axes)
    if own.empty:
        axes.set_facecolor("#f3f3f3")
        axes.text(0.5, 0.5, "no such facts", ha="center", va="center", color="#666666",
                  transform=axes.transAxes)  # fmt: skip
    return int(own["n"].max()) if len(own) else 0


def _fractions(axes: Axes) -> None:
    axes.set_xlim(-0.05, 1.05)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
