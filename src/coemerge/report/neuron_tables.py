"""Knowledge neurons as tables: sets and similarity in the open, the rest folded away."""

import pandas as pd

from coemerge.report.findings import change
from coemerge.report.findings_neuron_changes import coefficient, moved_words
from coemerge.report.markup import Html, element, folded, join, number, points, table
from coemerge.report.neuron_rows import (
    ALL,
    CHANGES,
    CONTROLS,
    KINDS,
    LEVELS,
    MODELS,
    OUTCOMES,
    SPLITS,
    fit_rows,
    shift_rows,
    skill_rows,
    topic_name,
    topics_of,
)
from coemerge.report.results import Results, Row

_MEASURES = {"shift": "shift", "log_ratio": "log ratio"}


def group_table(results: Results) -> Html:
    """A line per topic and level: sizes, share threshold, similarity, baseline and excess."""
    frame = results.table("neuron_groups")
    rows = []
    for kind in KINDS if len(frame) else ():
        own = frame[frame["kind"] == kind]
        for topic in (ALL, *sorted(set(own["topic"]))):
            for level in LEVELS:
                part = own[(own["level"] == level) & ((own["topic"] == topic) | (topic == ALL))]
                if len(part):
                    rows.append((KINDS[kind].label, topic_name(topic, KINDS[kind].label),
                                 LEVELS[level], *_sets(part)))  # fmt: skip
    header = ("Kind", "Phenomenon or relation", "Level", "Sets", "Neurons", "τ_share",
              "Similarity R1²", "Baseline", "Excess", "As small as asked",
              "Prompts compared")  # fmt: skip
    told = table(header, rows)
    if not told:
        return told
    note = (
        "Medians over sets, with the lowest and the highest. Neurons: size of the refined set, "
        "which the search brings to 2 to 5 by changing τ_share, the share of prompts that a "
        "neuron has to be found in: equal sizes are no finding, τ_share says what they took. "
        "Baseline: the similarity after each prompt's neurons are permuted; excess: what lies "
        "above it. All sets of a level are compared on equally many prompts."
    )
    title = element("h3", "Sets of neurons: syntax beside facts")
    return join([title, element("p", element("small", note)), told], "\n")


def _sets(rows: pd.DataFrame) -> list[object]:
    compared = sorted(set(rows["n_compared"]))
    return [
        number(len(rows)),
        *[_spread(rows[name]) for name in ("n_neurons", "share", "similarity", "baseline",
                                           "excess")],
        f"{number(int(rows['is_small'].sum()))} of {number(len(rows))}",
        " or ".join(number(int(n)) for n in compared),
    ]  # fmt: skip


def _spread(values: pd.Series) -> str:
    """``3.5 (2 to 5)``."""
    known = values.dropna().astype(float)
    if known.empty:
        return "–"
    low, mid, high = (_short(float(known.quantile(q))) for q in (0, 0.5, 1))
    return mid if low == high else f"{mid} ({low} to {high})"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−")


def skill_table(results: Results) -> Html:
    rows = [
        (KINDS[row["kind"]].label, topic_name(row["topic"]), row["group"],
         SPLITS.get(row["split"], row["split"]), number(row["seed"]), change(row, "accuracy"),
         number(row["chance"], percent=True), number(row["margin"]).replace("-", "−"),
         number(row["n"]), "yes" if row["studied"] else row["reason"] or "no")
        for row in skill_rows(results).to_dict("records")
    ]  # fmt: skip
    header = ("Kind", "Phenomenon or relation", "Class", "Asked with", "Seed", "Answered right",
              "Chance", "Margin, nats", "Prompts", "Studied")  # fmt: skip
    return folded("What the untouched model answers right", table(header, rows)) if rows else Html(
        ""
    )  # fmt: skip


def answer_table(results: Results) -> Html:
    """Every group, level, change and control."""
    frame = results.table("categorical")
    rows = [
        (KINDS[row["kind"]].label if row["kind"] in KINDS else row["kind"],
         topic_name(row["topic"]), row["group"], LEVELS.get(row["level"], row["level"]),
         CHANGES.get(row["change"], row["change"]), CONTROLS.get(row["control"], row["control"]),
         OUTCOMES.get(row["measure"], row["measure"]), number(row["before"], percent=True),
         number(row["after"], percent=True), points(row["difference"], row["low"], row["high"]),
         number(row["n"]), number(row["n_groups"]))
        for row in frame.to_dict("records")
    ]  # fmt: skip
    header = ("Kind", "Phenomenon or relation", "Class", "Level", "Change", "Neurons of",
              "Measure", "Before", "After", "Difference", "Prompts", "Sets")  # fmt: skip
    title = "What neurons do to answers: every group, level and control"
    return folded(title, table(header, rows)) if rows else Html("")


def shift_table(results: Results) -> Html:
    """How many words of a class move, by whose neurons are changed; facts too."""
    rows: list[tuple[object, ...]] = []
    for kind in KINDS:
        frame = shift_rows(results, kind)
        if frame.empty:
            continue
        for (topic, group, name), own in frame.groupby(["topic", "group", "change"], sort=True):
            medians = own.groupby("token_class")["shift"].median()
            for cls, up, down, n in moved_words(own):
                middle = number(float(medians[cls])).replace("-", "−")
                rows.append((KINDS[kind].label, topic_name(str(topic)), group, CHANGES[str(name)],
                             cls or "–", number(n), number(up), number(down),
                             middle))  # fmt: skip
    header = ("Kind", "Phenomenon or relation", "Neurons of", "Change", "Words of the class",
              "Words", "Significantly up", "Significantly down", "Median shift")  # fmt: skip
    note = (
        "Significant: paired t-test over words that decide, or facts, prompts of each averaged; "
        "Benjamini-Hochberg over all words, sets and changes of the kind, q < 0.05; and outside "
        "of what 95 % of random sets do; in every seed."
    )
    told = join([element("p", element("small", note)), table(header, rows)])
    return folded("Words whose probability moves, by class", told) if rows else Html("")


def fit_table(results: Results) -> Html:
    rows = [
        (topic_name(row["topic"], "phenomena"), CHANGES[row["change"]], words,
         MODELS[row["model"], row["term"]].label.replace("\n", " "), coefficient(row),
         number(row["r_squared"]), number(row["n"]))
        for measure, words in _MEASURES.items()
        for row in fit_rows(results, measure).to_dict("records")
    ]  # fmt: skip
    header = ("Phenomenon", "Change", "Measure", "Coefficient of", "Value", "R² of the model",
              "Pairs of words")  # fmt: skip
    return folded("Shifts and what training showed together", table(header, rows)) if rows else (
        Html("")
    )  # fmt: skip


def traced_table(results: Results) -> Html:
    """Total effects by topic."""
    frame = results.table("syntax_totals")
    rows = [_total(frame, kind, topic) for kind, topic in topics_of(frame)]
    header = ("Kind", "Phenomenon or relation", "Probability of the answer", "Under noise",
              "Total effect", "Answered right", "Of these in maps", "Traced")  # fmt: skip
    return folded("Total effects, and prompts they are of", table(header, rows)) if rows else Html(
        ""
    )  # fmt: skip


def _total(frame: pd.DataFrame, kind: str, topic: str) -> tuple[object, ...]:
    row: Row = frame[(frame["kind"] == kind) & (frame["topic"] == topic)].to_dict("records")[0]
    return (
        KINDS[kind].label, topic_name(topic, KINDS[kind].label), number(row["p_clean"]),
        number(row["p_corrupted"]), change(row, "total_effect"),
        *[number(row[name]) for name in ("n", "n_kept", "n_total")],
    )  # fmt: skip
