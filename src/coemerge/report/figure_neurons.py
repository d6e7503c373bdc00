"""What the model knows, how alike a group's attributions are, and what its neurons do to answers:
syntax beside facts (methods 6.3, 6.4)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from coemerge.report.dumbbells import Mark, dumbbells
from coemerge.report.neuron_rows import (
    ALL,
    CHANGES,
    CONTROLS,
    KINDS,
    LEVELS,
    OUTCOMES,
    SPLITS,
    topic_name,
    topics_of,
)
from coemerge.report.plotting import error_lengths, legend_beside, percent_axis, plain_spines

_SPLIT_MARKS = {
    "seen": ("#0072B2", "o"),
    "seen_templates": ("#0072B2", "o"),
    "held_out_words": ("#D55E00", "s"),
    "held_out_templates": ("#D55E00", "s"),
    "held_out_frames": ("#009E73", "^"),
}
_AXES = {"error": OUTCOMES["error"], "p": "change of the right answer's\nprobability"}
_OTHER_SPLIT = ("#7F7F7F", "D")
_CONTROL_MARKS = {
    "none": Mark(CONTROLS["none"], "#0072B2", "o"),
    "mismatched": Mark(CONTROLS["mismatched"], "#E69F00", "s"),
    "random": Mark(CONTROLS["random"], "#7F7F7F", "^"),
}


def draw_skills(rows: pd.DataFrame) -> Figure:
    """A panel per kind; in it a line per topic and class, a point per split, and chance."""
    kinds = [name for name in KINDS if (rows["kind"] == name).any()]
    lines = {kind: _skill_lines(rows[rows["kind"] == kind]) for kind in kinds}
    most = max(len(names) for names in lines.values())
    figure = Figure(figsize=(3.0 + 3.9 * len(kinds), 1.3 + 0.3 * most), layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False, sharex=True)[0]
    figure.suptitle("What the untouched model answers right")
    for axes, kind in zip(panels, kinds, strict=True):
        own = rows[rows["kind"] == kind]
        labels = list(lines[kind])
        splits = [name for name in SPLITS if (own["split"] == name).any()]
        splits += sorted(set(own["split"]) - set(SPLITS))
        for k, split in enumerate(splits):
            found = own[own["split"] == split]
            colour, marker = _SPLIT_MARKS.get(split, _OTHER_SPLIT)
            heights = [labels.index((r.topic, r.group)) for r in found.itertuples()]
            aside = 0.6 * ((k + 0.5) / len(splits) - 0.5)
            axes.errorbar(
                found["accuracy"], np.array(heights, dtype=float) + aside,
                xerr=error_lengths(found, "accuracy"), fmt=marker, color=colour, markersize=4.5,
                elinewidth=1.0, label=SPLITS.get(split, split),
            )  # fmt: skip
        for row in own.drop_duplicates(["topic", "group"]).itertuples():
            height = labels.index((row.topic, row.group))
            axes.plot([row.chance] * 2, [height - 0.4, height + 0.4], color="black", linewidth=1.4,
                      label="chance")  # fmt: skip
        axes.set_yticks(range(len(labels)), list(lines[kind].values()), fontsize=8)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_title(KINDS[kind].label)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(-0.03, 1.03)
        percent_axis(axes, "share answered right", "x")
        plain_spines(axes)
    legend_beside(figure, panels, "asked with")
    return figure


def _skill_lines(rows: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(topic, group) -> its label; those that are not studied say so."""
    pairs = sorted(set(zip(rows["topic"], rows["group"], strict=True)))
    studied = rows.groupby(["topic", "group"])["studied"].any()
    return {
        (topic, group): topic_name(topic)
        + (f", {group}" if group not in (topic, "") else "")
        + ("" if studied[topic, group] else " (not studied)")
        for topic, group in pairs
    }


def draw_similarity(rows: pd.DataFrame) -> Figure:
    """A panel per level; in it a line per topic: the similarity of every set (filled) and its
    baseline (hollow); the excess lies between."""
    levels = [name for name in LEVELS if (rows["level"] == name).any()]
    topics = topics_of(rows)
    size = (2.8 + 3.2 * len(levels), 1.4 + 0.3 * len(topics))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(levels), squeeze=False, sharex=True, sharey=True)[0]
    figure.suptitle("How alike are the attributions of a group's prompts?")
    for axes, level in zip(panels, levels, strict=True):
        own = rows[rows["level"] == level]
        for kind, style in KINDS.items():
            found = own[own["kind"] == kind]
            heights = _spread(found, topics)
            axes.plot(found["similarity"], heights, "o", color=style.colour, markersize=4,
                      alpha=0.8, label=f"{style.label}: similarity R1²")  # fmt: skip
            axes.plot(found["baseline"], heights, "o", color=style.colour, markersize=4,
                      mfc="none", alpha=0.8, label=f"{style.label}: neurons permuted")  # fmt: skip
        compared = sorted(set(own["n_compared"]))
        told = " or ".join(f"{n:,}" for n in compared)
        axes.set_title(f"{LEVELS[level]},\n{told} prompts of each compared")
        axes.set_xlim(-0.03, 1.03)
        axes.set_xlabel("n-sample similarity")
        axes.tick_params(axis="y", length=0)
        for k in range(1, len(topics)):
            axes.axhline(k - 0.5, color="#e4e4e4", linewidth=0.8, zorder=0)
        plain_spines(axes)
    panels[0].set_yticks(range(len(topics)), [topic_name(topic) for _, topic in topics])
    panels[0].set_ylim(len(topics) - 0.5, -0.5)
    legend_beside(figure, panels)
    return figure


def _spread(rows: pd.DataFrame, topics: list[tuple[str, str]]) -> np.ndarray:
    """Heights of sets: those of a topic one below the other inside its band."""
    pairs = list(zip(rows["kind"], rows["topic"], strict=True))
    order = rows.groupby(["kind", "topic"]).cumcount().to_numpy(dtype=float)
    count = rows.groupby(["kind", "topic"])["topic"].transform("size").to_numpy(dtype=float)
    middles = np.array([topics.index(pair) for pair in pairs], dtype=float)
    return middles + 0.7 * ((order + 0.5) / count - 0.5)


def draw_answers(rows: pd.DataFrame) -> Figure:
    """A line of panels per change: errors from before to after, and the change of the right
    answer's probability; in a panel a band per topic, a mark per whose neurons were changed."""
    changes = [name for name in CHANGES if (rows["change"] == name).any()]
    outcomes = [name for name in OUTCOMES if (rows["measure"] == name).any()]
    topics = topics_of(rows)
    labels = [topic_name(topic, KINDS[kind].label) for kind, topic in topics]
    size = (3.8 + 3.1 * len(outcomes), 1.0 + (0.9 + 0.33 * len(topics)) * len(changes))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(changes), len(outcomes), squeeze=False, sharex="col", sharey=True)
    figure.suptitle("What a class's neurons do to answers")
    for line, change in zip(panels, changes, strict=True):
        for axes, outcome in zip(line, outcomes, strict=True):
            own = rows[(rows["change"] == change) & (rows["measure"] == outcome)]
            _answers(axes, own, topics, outcome)
            axes.set_title(f"neurons {CHANGES[change]}")
    panels[0, 0].set_yticks(range(len(labels)), labels)
    for axes, outcome in zip(panels[-1], outcomes, strict=True):
        percent_axis(axes, _AXES[outcome], "x")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    legend_beside(figure, panels.ravel(), "neurons changed")
    return figure


def _answers(axes: Axes, rows: pd.DataFrame, topics: list[tuple[str, str]], outcome: str) -> None:
    """Bounds are those of the change; of errors they stand at its end."""
    names = [f"{kind}/{topic}" for kind, topic in topics]
    base = rows.assign(group=rows["kind"] + "/" + rows["topic"], series=rows["control"])
    before = base.assign(moment="pre", value=base["before"], low=np.nan, high=np.nan)
    after = base.assign(
        moment="post", value=base["after"], low=base["before"] + base["low"],
        high=base["before"] + base["high"],
    )  # fmt: skip
    moved = base.assign(moment="post", value=base["difference"])
    frame = pd.concat([before, after]) if outcome == "error" else moved
    dumbbells(axes, frame, names, _CONTROL_MARKS, ("before", "after"))
    if outcome != "error":
        axes.axvline(0, color="#333333", linewidth=0.8, zorder=1)
    for k, (_, topic) in enumerate(topics):
        if topic == ALL and k:  # a line above all facts
            axes.axhline(k - 0.5, color="#888888", linewidth=1.0, zorder=0)
