"""What changing activations, attention or weights does to a query, by class of its fact."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.bars import BarStyle, grouped_bars, tick
from coemerge.report.plotting import legend_beside, percent_axis, plain_spines
from coemerge.report.query_rows import (
    CHANGES,
    CLASS_STYLES,
    EDITED,
    EDITS,
    NEURONS,
    classes_of,
)

_SIZES = {"matched": "sets cut to equal size", "full": "sets as they are"}
_MEASURES = {
    "delta_kn": "change of the query's\nneurons (ΔKN)",
    "delta_prob": "change of the answer's\nprobability (ΔProb)",
}
_SYNAPSES = {
    "own/raw": BarStyle("the query's own synapses", "#0072B2"),
    "own/renormalised": BarStyle("the same, rows of attention\nsum to 1 again", "#56B4E9", "//"),
    "unrelated/raw": BarStyle("control: synapses of another\nrelation's query", "#7F7F7F"),
    "unrelated/renormalised": BarStyle("the same, rows sum to 1", "#BDBDBD", "//"),
}
SCORES = {
    "rel": "edited\nquery\n(Rel)",
    "gen": "fact's other\nqueries\n(Gen)",
    "loc": "unrelated\nqueries\n(Loc)",
    "avg": "mean\n(Avg)",
}
_BEFORE = "untouched model"
_LARGE = 3.0  # changes of perplexity beyond this go on a logarithmic scale


def draw_mapping(rows: pd.DataFrame) -> Figure:
    """ΔProb by whose neurons are changed: a line per change, a column per kind of sizes, a bar per
    class."""
    sizes = [name for name in _SIZES if (rows["sizes"] == name).any()]
    factors = [factor for factor in CHANGES if (rows["factor"] == factor).any()]
    groups = [name for name in NEURONS if (rows["neurons"] == name).any()]
    figure = Figure(figsize=(2.6 + 4.6 * len(sizes), 1.0 + 2.7 * len(factors)),
                    layout="constrained")  # fmt: skip
    panels = figure.subplots(len(factors), len(sizes), squeeze=False, sharey="row")
    figure.suptitle("Do a query's own neurons matter to it more than those of the fact's others?")
    for line, factor in zip(panels, factors, strict=True):
        for axes, size in zip(line, sizes, strict=True):
            own = rows[(rows["factor"] == factor) & (rows["sizes"] == size)]
            frame = own.assign(group=own["neurons"], series=own["cls"], value=own["delta_prob"])
            grouped_bars(axes, frame, groups, CLASS_STYLES)
            axes.set_xticklabels([NEURONS[name] for name in groups], fontsize=8)
            axes.set_title(f"neurons {CHANGES[factor]}, {_SIZES[size]}\n{_facts(own)}")
            percent_axis(axes, "change of the answer's\nprobability" if axes is line[0] else "")
            _finish(axes)
    legend_beside(figure, panels.ravel())
    return figure


def draw_synapses(rows: pd.DataFrame) -> Figure:
    """ΔKN and ΔProb, a line each; a column per change, a group of bars per class."""
    measures = [name for name in _MEASURES if (rows["measure"] == name).any()]
    factors = [factor for factor in CHANGES if (rows["factor"] == factor).any()]
    classes = classes_of(rows)
    figure = Figure(figsize=(3.0 + 3.6 * len(factors), 0.9 + 2.5 * len(measures)),
                    layout="constrained")  # fmt: skip
    panels = figure.subplots(len(measures), len(factors), squeeze=False, sharey="row")
    figure.suptitle("Does attention choose the neurons of a query?")
    for line, measure in zip(panels, measures, strict=True):
        for axes, factor in zip(line, factors, strict=True):
            own = rows[(rows["factor"] == factor) & (rows["measure"] == measure)]
            frame = own.assign(group=own["cls"], series=own["synapses"] + "/" + own["rows"])
            grouped_bars(axes, frame, classes, _SYNAPSES)
            axes.set_xticklabels([_labelled(own, cls) for cls in classes])
            axes.set_title(f"attention to synapses {CHANGES[factor]}")
            percent_axis(axes, _MEASURES[measure] if axes is line[0] else "")
            _finish(axes)
    legend_beside(figure, panels.ravel())
    return figure


def draw_edits(rows: pd.DataFrame) -> Figure:
    """A line per edit: scores of each class, then what it costs in perplexity."""
    edits = [name for name in EDITS if (rows["edit"] == name).any()]
    classes = classes_of(rows)
    widths = [*[3.9] * len(classes), 2.0]
    figure = Figure(figsize=(sum(widths) + 3.6, 0.9 + 2.8 * len(edits)), layout="constrained")
    panels = figure.subplots(len(edits), len(widths), squeeze=False,
                             gridspec_kw={"width_ratios": widths})  # fmt: skip
    figure.suptitle("Whose neurons change a fact in all its wordings, and nothing else?")
    for line, edit in zip(panels, edits, strict=True):
        own = rows[rows["edit"] == edit]
        for axes, cls in zip(line, classes, strict=False):
            _scores(axes, own[own["cls"] == cls])
            axes.set_title(f"{EDITS[edit]}: {CLASS_STYLES[cls].label}\n{_facts(own, cls)}")
            axes.tick_params(labelleft=axes is line[0])
        percent_axis(line[0], "share of queries")
        _perplexity(line[-1], own[own["measure"] == "ppl_change"], classes)
    legend_beside(figure, panels.ravel(), "neurons whose weights are changed")
    return figure


def _scores(axes: Axes, rows: pd.DataFrame) -> None:
    groups = list(SCORES)
    frame = rows[rows["measure"].isin(SCORES)]
    frame = frame.assign(group=frame["measure"], series=frame["neurons"])
    places = grouped_bars(axes, frame, groups, EDITED)
    for row in frame.itertuples():
        place = places.get((str(row.group), str(row.series)))
        if place and np.isfinite(row.before) and row.group in ("rel", "gen"):
            tick(axes, place, float(row.before), _BEFORE)
    axes.set_xticklabels([SCORES[name] for name in groups], fontsize=8)
    axes.set_ylim(-0.03, 1.14)
    axes.set_yticks(np.linspace(0, 1, 6))
    percent_axis(axes, "")
    plain_spines(axes)


def _perplexity(axes: Axes, rows: pd.DataFrame, classes: list[str]) -> None:
    frame = rows.assign(group=rows["cls"], series=rows["neurons"])
    grouped_bars(axes, frame, classes, EDITED, numbers=False)
    if len(rows) and rows["value"].max() > _LARGE:
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=min(-0.2, 1.2 * rows["low"].min()))
    axes.set_xticklabels([cls.replace(" ", "\n") for cls in classes], fontsize=8)
    axes.set_title("cost: change of\nperplexity")
    percent_axis(axes, "")
    plain_spines(axes)


def _finish(axes: Axes) -> None:
    """Room for the numbers above the bars, and whiskers below."""
    axes.margins(y=0.14)
    plain_spines(axes)


def _labelled(rows: pd.DataFrame, cls: str) -> str:
    return f"{CLASS_STYLES[cls].label}\n{_facts(rows, cls)}"


def _facts(rows: pd.DataFrame, cls: str | None = None) -> str:
    """``n = 18 facts``, or of several classes ``n = 12 to 18 of 18 consistent, …``: sets that are
    empty leave a fact out."""
    told = []
    for name in [cls] if cls else classes_of(rows):
        own = rows.loc[rows["cls"] == name]
        if own.empty:
            continue
        low, high = int(own["n"].min()), int(own["n"].max())
        counted = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        total = int(own["n_total"].max()) if "n_total" in own else high
        counted += f" of {total:,}" if total > low else ""
        told.append(counted if cls else f"{counted} {name}")
    return f"n = {', '.join(told)}{' facts' if cls else ''}" if told else ""
