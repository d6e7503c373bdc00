"""How alike the neurons of a fact's queries are, beside nulls; and by how the fact was shown."""

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.bars import BarStyle, grouped_bars
from coemerge.report.plotting import legend_beside, plain_spines
from coemerge.report.query_rows import (
    ALL,
    ASSIGNED,
    CONTRAST,
    CONTROLS,
    LOCALISERS,
    OTSU,
    REGIMES,
    SETS,
)
from coemerge.report.style import VARIANT_COLOURS
from coemerge.report.violins import violins

CS2 = "CS2: neurons of two or more\nqueries, of those of any"
_COLOURS = {
    "none": "#0072B2",
    "other_facts": "#CC79A7",
    "same_answer": "#882255",
    "context": "#E69F00",
    "random": "#7F7F7F",
}


def draw_consistency(
    facts: pd.DataFrame, means: pd.DataFrame, lines: dict[str, dict[str, float]]
) -> Figure:
    """A line of panels per kind of sets: facts by relation, then all facts beside nulls. ``lines``:
    per kind of sets, threshold -> its value."""
    kinds = [name for name in SETS if (facts["sets"] == name).any()]
    relations = sorted(set(facts["relation"]))
    wide = min(0.85 * len(relations), 4 + 0.35 * len(relations))
    widths = [max(2.0, wide), 0.95 * len(CONTROLS)]
    figure = Figure(figsize=(sum(widths) + 3.6, 0.8 + 3.0 * len(kinds)), layout="constrained")
    panels = figure.subplots(
        len(kinds), 2, squeeze=False, sharey=True, gridspec_kw={"width_ratios": widths}
    )
    by = LOCALISERS.get(facts["localiser"].iloc[0], "one localiser")
    figure.suptitle(f"How alike are the neurons of a fact's queries, by {by}?")
    for line, kind in zip(panels, kinds, strict=True):
        own = facts[facts["sets"] == kind]
        told = means[(means["sets"] == kind) & (means["measure"] == "cs2")] if len(means) else means
        within = own[own["control"] == "none"]
        _relations(line[0], within, told, relations)
        line[0].set_title(f"by relation; {SETS[kind]}{_size(within)}")
        line[0].set_ylabel(CS2)
        _nulls(line[1], own, told)
        line[1].set_title("all relations, beside nulls")
        for axes in line:
            _thresholds(axes, lines.get(kind, {}))
            axes.set_ylim(-0.04, 1.04)
            plain_spines(axes)
    legend_beside(figure, panels.ravel())
    return figure


def _relations(axes: Axes, rows: pd.DataFrame, means: pd.DataFrame, relations: list[str]) -> None:
    groups = [rows.loc[rows["relation"] == name, "cs2"].to_numpy() for name in relations]
    own = means[means["control"] == "none"] if len(means) else means
    violins(axes, groups, _placed(own, "relation", relations), [_COLOURS["none"]] * len(groups))
    labels = [f"{name}\nn = {len(values)}" for name, values in zip(relations, groups, strict=True)]
    long = len(relations) > 8
    axes.set_xticks(range(len(groups)), labels, rotation=90 if long else 20, fontsize=8)


def _nulls(axes: Axes, rows: pd.DataFrame, means: pd.DataFrame) -> None:
    names = [name for name in CONTROLS if (rows["control"] == name).any()]
    groups = [rows.loc[rows["control"] == name, "cs2"].to_numpy() for name in names]
    own = means[means["relation"] == ALL] if len(means) else means
    violins(axes, groups, _placed(own, "control", names), [_COLOURS[name] for name in names])
    labels = [
        f"{CONTROLS[name]}\nn = {len(values)}" for name, values in zip(names, groups, strict=True)
    ]
    axes.set_xticks(range(len(groups)), labels, fontsize=8)


def _placed(means: pd.DataFrame, column: str, names: list[str]) -> pd.DataFrame:
    if means.empty:
        return means
    own = means[means[column].isin(names) & means["value"].notna()]
    return own.assign(place=[names.index(name) for name in own[column]])


def _thresholds(axes: Axes, found: dict[str, float]) -> None:
    for name, value in found.items():
        style, words = ("--", "Otsu's threshold") if name == OTSU else ("-", f"threshold {name}")
        axes.axhline(value, color="#B2182B", linestyle=style, linewidth=1.2, zorder=1,
                     label=f"{words}: inconsistent\nup to here")  # fmt: skip


def _size(rows: pd.DataFrame) -> str:
    """``, 11.4 neurons per query on average``."""
    return f",\n{rows['n_neurons'].mean():.3g} neurons per query on average" if len(rows) else ""


def draw_wordings(rows: pd.DataFrame) -> Figure:
    """A line of panels for all facts as assigned and one for known facts: CS2 by how facts were
    shown, a group per localiser; and the contrast."""
    names = [name for name in LOCALISERS if (rows["localiser"] == name).any()]
    styles = {name: BarStyle(f"shown {name}", VARIANT_COLOURS[name]) for name in REGIMES}
    styles[CONTRAST] = BarStyle("reworded − repeated", "#ABABAB")
    kinds = [name for name in ASSIGNED if (rows["facts"] == name).any()]
    size = (4.2 + 2.6 * len(names), 0.6 + 2.8 * len(kinds))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(kinds), 2, squeeze=False, sharey="col", width_ratios=[3, 2])
    figure.suptitle("Does training with many wordings make a fact's queries share neurons?")
    for line, kind in zip(panels, kinds, strict=True):
        of_kind = rows[rows["facts"] == kind]
        for axes, wanted in zip(line, (list(REGIMES), [CONTRAST]), strict=True):
            _regimes(axes, of_kind[of_kind["regime"].isin(wanted)], names, wanted, styles)
        line[0].set_title(ASSIGNED[kind])
        line[0].set_ylabel(CS2)
        line[1].set_ylabel("difference of CS2")
    legend_beside(figure, panels.ravel())
    return figure


def _regimes(
    axes: Axes,
    rows: pd.DataFrame,
    names: list[str],
    regimes: list[str],
    styles: dict[str, BarStyle],
) -> None:
    frame = rows.assign(group=rows["localiser"], series=rows["regime"], value=rows["cs2"])
    grouped_bars(axes, frame, names, styles, numbers=False)
    labels = [
        f"{textwrap.fill(LOCALISERS[name], 12)}\n{_counted(rows, name, regimes)}" for name in names
    ]
    axes.set_xticklabels(labels, fontsize=8)
    plain_spines(axes)


def _counted(rows: pd.DataFrame, localiser: str, regimes: list[str]) -> str:
    """``n = 20, 20, 18``, in the order of the bars."""
    own = rows[rows["localiser"] == localiser].set_index("regime")["n"]
    found = [f"{int(own[name]):,}" for name in regimes if name in own]
    return f"n = {found[0] if len(set(found)) == 1 else ', '.join(found)}" if found else ""
