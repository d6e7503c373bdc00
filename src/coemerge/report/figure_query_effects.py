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
    "gen_new": "wordings no set\nwas made of",
    "loc": "other relations\nunchanged\n(Loc)",
    "loc_near": "same relation\nunchanged",
    "avg": "mean of Rel,\nGen, Loc (Avg)",
}
_BEFORE = "untouched model"
_LARGE = 3.0  # changes of perplexity beyond this go on a logarithmic scale


def draw_mapping(rows: pd.DataFrame) -> Figure:
    """ΔProb by whose neurons are changed: a line per change, a column per kind of sizes, a bar per
    class; differences between these are not drawn."""
    rows = rows[rows["neurons"].isin(NEURONS)]
    sizes = [name for name in _SIZES if (rows["sizes"] == name).any()]
    factors = [factor for factor in CHANGES if (rows["factor"] == factor).any()]
    groups = [name for name in NEURONS if (rows["neurons"] == name).any()]
    figure = Figure(figsize=(2.6 + 5.0 * len(sizes), 1.0 + 2.7 * len(factors)),
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
    """A line per edit and class: scores, and what they cost in perplexity."""
    edits = [name for name in EDITS if (rows["edit"] == name).any()]
    lines = [(edit, cls) for edit in edits for cls in classes_of(rows[rows["edit"] == edit])]
    figure = Figure(figsize=(14.2, 0.9 + 2.3 * len(lines)), layout="constrained")
    panels = figure.subplots(len(lines), 2, squeeze=False, width_ratios=[6, 1])
    figure.suptitle("Whose neurons change a fact in all its wordings, and nothing else?")
    for (scores, cost), (edit, cls) in zip(panels, lines, strict=True):
        own = rows[(rows["edit"] == edit) & (rows["cls"] == cls)]
        _scores(scores, own)
        scores.set_title(f"{EDITS[edit]}: {CLASS_STYLES[cls].label}, {_facts(own, cls)}")
        percent_axis(scores, "share of queries")
        _perplexity(cost, own[own["measure"] == "ppl_change"], cls)
    legend_beside(figure, panels.ravel(), "neurons whose weights are changed")
    return figure


def _scores(axes: Axes, rows: pd.DataFrame) -> None:
    groups = list(SCORES)
    frame = rows[rows["measure"].isin(SCORES)]
    frame = frame.assign(group=frame["measure"], series=frame["neurons"])
    places = grouped_bars(axes, frame, groups, EDITED)
    for row in frame.itertuples():
        place = places.get((str(row.group), str(row.series)))
        if place and np.isfinite(row.before) and row.group in ("rel", "gen", "gen_new"):
            tick(axes, place, float(row.before), _BEFORE)
    axes.set_xticklabels([SCORES[name] for name in groups], fontsize=8)
    axes.set_ylim(-0.03, 1.14)
    axes.set_yticks(np.linspace(0, 1, 6))
    plain_spines(axes)


def _perplexity(axes: Axes, rows: pd.DataFrame, cls: str) -> None:
    frame = rows.assign(group=rows["cls"], series=rows["neurons"])
    grouped_bars(axes, frame, [cls], EDITED, numbers=False)
    if len(rows) and rows["value"].max() > _LARGE:
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=min(-0.2, 1.2 * rows["low"].min()))
    axes.set_xticks([])
    axes.set_title("change of perplexity")
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
        total = int(own["n_total"].max()) if "n_total" in own else low
        counted += f" of {total:,}" if total > low else ""
        told.append(counted if cls else f"{counted} {name}")
    return f"n = {', '.join(told)}{' facts' if cls else ''}" if told else ""
