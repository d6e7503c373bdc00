"""How far probabilities of single words move when a class's neurons are changed (methods 6.4, 6.6),
and whether they follow what training showed together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter

from coemerge.report.findings_neuron_changes import moves
from coemerge.report.neuron_rows import CHANGES, MODELS, OTHER_CLASS, TOKEN_CLASSES, topic_name
from coemerge.report.plotting import error_lengths, legend_beside, plain_spines

MOST_TOKENS = 40  # of a panel; beyond, those that move most of each class
_LIMIT = 1e3  # what is drawn of a shift, which is without bounds where a probability is near 0
_BAND = "#d9d9d9"
_TICKS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def draw_shifts(rows: pd.DataFrame) -> Figure:
    """Rows of one phenomenon: a panel per class whose neurons are changed and per change; in it a
    bar per word, grouped by class."""
    rows = kept_tokens(rows.assign(shift=rows["shift"].clip(-_LIMIT, _LIMIT)))
    tokens = tokens_in_order(rows)
    cells = [(group, change) for group in sorted(set(rows["group"])) for change in CHANGES
             if ((rows["group"] == group) & (rows["change"] == change)).any()]  # fmt: skip
    size = (2.2 + 2.15 * len(cells), 1.5 + 0.175 * len(tokens))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(cells), squeeze=False, sharex=True, sharey=True)[0]
    topic = topic_name(str(rows["topic"].iloc[0]))
    figure.suptitle(f"{topic}: which words gain and which lose?")
    for axes, (group, change) in zip(panels, cells, strict=True):
        own = rows[(rows["group"] == group) & (rows["change"] == change)]
        _bars(axes, own, list(tokens))
        n = _range(own["n"])
        axes.set_title(f"neurons of {group},\n{CHANGES[change]}\nn = {n}\nwords that decide")
    panels[0].set_yticks(range(len(tokens)), list(tokens), fontsize=7.5)
    panels[0].set_ylim(len(tokens) - 0.5, -0.5)
    _scale(panels, float(rows["shift"].abs().max()))
    for axes in panels:
        axes.tick_params(axis="x", labelsize=7.5)
    figure.supxlabel("signed change of probability (0: none, 1: doubled, −1: halved)", fontsize=9)
    figure.legend(handles=_keys(dict.fromkeys(tokens.values())), loc="outside right center",
                  frameon=False, title="class of the word")  # fmt: skip
    return figure


def kept_tokens(rows: pd.DataFrame) -> pd.DataFrame:
    """At most ``MOST_TOKENS`` words, of each class as many: those that move most in any panel."""
    classes = rows["token_class"].nunique()
    largest = rows.assign(size=rows["shift"].abs()).groupby(["token_class", "token"])["size"].max()
    if len(largest) <= MOST_TOKENS:
        return rows
    rank = largest.groupby(level=0).rank(method="first", ascending=False)
    kept = set(rank[rank <= MOST_TOKENS // classes].index)
    named = zip(rows["token_class"], rows["token"], strict=True)
    return rows[np.array([pair in kept for pair in named], dtype=bool)]


def tokens_in_order(rows: pd.DataFrame) -> dict[str, str]:
    """Word -> its class: class by class, then by name."""
    order = list(TOKEN_CLASSES)
    pairs = set(zip(rows["token"], rows["token_class"], strict=True))

    def place(pair: tuple[str, str]) -> tuple[int, str, str]:
        token, cls = pair
        return order.index(cls) if cls in order else len(order), cls, token

    return dict(sorted(pairs, key=place))


def _bars(axes: Axes, rows: pd.DataFrame, tokens: list[str]) -> None:
    """Means over seeds, each seed a dot where there are several; what moves in all seeds
    (``moves``) is marked, and what random sets do is grey."""
    means = rows.assign(sure=moves(rows)).groupby(["token", "token_class"], sort=False).agg(
        shift=("shift", "mean"), low=("random_low", "mean"), high=("random_high", "mean"),
        sure=("sure", "all"),
    ).reset_index()  # fmt: skip
    places = [tokens.index(token) for token in means["token"]]
    low, high = (means[name].clip(-_LIMIT, _LIMIT) for name in ("low", "high"))  # may be infinite
    axes.barh(places, high - low, left=low, height=0.95, color=_BAND, zorder=1)
    axes.barh(places, means["shift"], height=0.62, color=[_colour(c) for c in means["token_class"]],
              zorder=2)  # fmt: skip
    if rows["seed"].nunique() > 1:
        axes.plot(rows["shift"], [tokens.index(t) for t in rows["token"]], ".", color="#222222",
                  markersize=2.5, zorder=3)  # fmt: skip
    for place, row in zip(places, means.itertuples(), strict=True):
        if row.sure:
            side = 1 if row.shift >= 0 else -1
            axes.annotate("*", (row.shift, place), (3 * side, -1.5), textcoords="offset points",
                          ha="left" if side > 0 else "right", va="center", fontsize=9)  # fmt: skip
    axes.axvline(0, color="#333333", linewidth=0.8, zorder=4)
    axes.tick_params(axis="y", length=0)
    plain_spines(axes)


def _scale(panels: Sequence[Axes], top: float) -> None:
    """Even up to a doubling; with larger shifts by powers of ten beyond."""
    end = top or 1.0
    shown = [x for x in _TICKS if x <= end]
    panels[0].set_xlim(-1.3 * end, 1.3 * end)
    if not shown:
        return
    panels[0].set_xscale("symlog", linthresh=1.0)
    panels[0].set_xlim(-1.5 * end, 1.5 * end)
    if len(shown) > 3:  # few on either side: powers of ten alone
        shown = [x for x in shown if str(x).startswith("1")]
    for axes in panels:
        axes.xaxis.set_major_locator(FixedLocator([*[-x for x in reversed(shown)], 0.0, *shown]))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.xaxis.set_major_formatter(FuncFormatter(_signed))


def _signed(x: float, _: int) -> str:
    return f"{x:+,.0f}".replace("-", "−") if x else "0"


def _colour(token_class: str) -> str:
    return TOKEN_CLASSES.get(token_class, OTHER_CLASS).colour


def _keys(classes: dict[str, None]) -> list[Patch]:
    keys = [Patch(color=_colour(name), label=name or "no class") for name in classes]
    return [*keys, Patch(color=_BAND, label="random neurons\n(95 % of draws)")]


def _range(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def draw_fits(rows: pd.DataFrame, label: str) -> Figure:
    """A panel per change; in it a band per phenomenon, a point per term."""
    topics = sorted(set(rows["topic"]), key=lambda topic: (topic != "all", topic))
    changes = [name for name in CHANGES if (rows["change"] == name).any()]
    size = (4.2 + 3.0 * len(changes), 1.3 + 0.55 * len(topics))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(changes), squeeze=False, sharex=True, sharey=True)[0]
    figure.suptitle("Do shifts follow what training showed together?")
    for axes, change in zip(panels, changes, strict=True):
        for k, ((model, term), style) in enumerate(MODELS.items()):
            own = rows[(rows["change"] == change) & (rows["model"] == model)
                       & (rows["term"] == term)]  # fmt: skip
            aside = 0.7 * ((k + 0.5) / len(MODELS) - 0.5)
            heights = [topics.index(topic) + aside for topic in own["topic"]]
            axes.errorbar(
                own["coefficient"], heights, xerr=error_lengths(own, "coefficient"), fmt="o",
                color=style.colour, markersize=4.5, elinewidth=1.2, label=style.label,
            )  # fmt: skip
        axes.set_title(f"neurons {CHANGES[change]}")
        axes.axvline(0, color="#333333", linewidth=0.8, zorder=0)
        for k in range(1, len(topics)):
            axes.axhline(k - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
        axes.tick_params(axis="y", length=0)
        plain_spines(axes)
    panels[0].set_yticks(range(len(topics)), [topic_name(t, "phenomena") for t in topics])
    panels[0].set_ylim(len(topics) - 0.5, -0.5)
    figure.supxlabel(label, fontsize=9)
    legend_beside(figure, panels, "coefficient of")
    return figure
