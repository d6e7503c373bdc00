"""What the model knows, how alike attributions are and what neurons of syntax and of facts do to
answers, in sentences; numbers are those of the tables."""

from collections.abc import Iterable

import pandas as pd

from coemerge.report.findings import change, finding, surely_above
from coemerge.report.markup import Html, number, points
from coemerge.report.neuron_rows import (
    ALL,
    CHANGES,
    CLASS,
    CONTROLS,
    ITEM,
    KINDS,
    LEVELS,
    SPLITS,
    answer_row,
    group_rows,
    skill_rows,
    topic_name,
)
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick

_PUBLISHED = (
    "Published: sets for syntax are found as for facts, alike in size and similarity; they shift "
    "probabilities and seldom flip answers (no numbers at hand)."
)
_SIMILAR = ("similarity", "baseline")
_LEVEL_OF_CHANCE = 0.5  # of minimal pairs


def neuron_finding(results: Results) -> Html:
    """What a class's neurons do to answers, and how alike attributions are; empty without."""
    told = [
        f"{moved(row)} of errors in {KINDS[kind].label}"
        for kind in KINDS
        if (row := _effect(results, kind, "suppressed", "error"))
    ]
    if not told:
        return Html("")
    return finding(
        f"Knowledge neurons of a class, suppressed: {'; '.join(told)}.",
        *[_answers(results, kind, "suppressed") for kind in KINDS],
        _items(results),
        similarity_says(results, (CLASS,)),
        _PUBLISHED,
    )


def skills_say(results: Results) -> str:
    """Accuracy of all prompts of a kind, and where it is lowest."""
    rows = skill_rows(results)
    told = []
    for kind in KINDS if len(rows) else ():
        own = rows[(rows["kind"] == kind) & (rows["n"] > 0)]
        if own.empty:
            continue
        n = int(own["n"].sum())
        mean = float((own["accuracy"] * own["n"]).sum() / n)
        low = first(own.sort_values("accuracy", kind="stable"))
        groups = own.groupby(["topic", "group", "seed"])["studied"].any()
        split = SPLITS.get(low["split"], low["split"])
        near = (
            ", which its interval does not tell from chance"
            if kind == "syntax" and not surely_above(low, _LEVEL_OF_CHANCE)
            else ""
        )
        told.append(
            f"{KINDS[kind].label.capitalize()}: {number(mean, percent=True)} of {n:,} prompts "
            f"answered right, least {_group(low)}, {split}: {change(low, 'accuracy')}{near}; "
            f"studied: {int(groups.sum())} of {len(groups)} groups."
        )
    return " ".join(told)


def _group(row: Row) -> str:
    """``anaphor gender, feminine``; of a relation its name."""
    topic = topic_name(str(row["topic"]))
    return topic if row["group"] in (row["topic"], ALL, "") else f"{topic}, {row['group']}"


def similarity_says(results: Results, levels: Iterable[str] = tuple(LEVELS)) -> str:
    """Excess over the baseline, by level: medians over sets and what these range over."""
    rows = group_rows(results)
    told = []
    for level in levels:
        found = [
            f"{KINDS[kind].label} {middle(own['excess'])}"
            for kind in KINDS
            if len(own := pick(rows, level=level, kind=kind))
        ]
        if found:
            told.append(f"{LEVELS[level]}: {', '.join(found)}")
    if not told:
        return ""
    return f"Similarity of attributions beyond its baseline, median over sets, {'; '.join(told)}."


def middle(values: pd.Series) -> str:
    """``0.31 (0.20 to 0.40, 8 sets)``."""
    low, mid, high = (float(values.quantile(q)) for q in (0, 0.5, 1))
    sets = f"{len(values):,} set{'' if len(values) == 1 else 's'}"
    return f"{mid:.2f} ({low:.2f} to {high:.2f}, {sets})".replace("-", "−")


def answers_say(results: Results) -> str:
    """Errors before and after, with controls, and the probability of the right answer."""
    told = [
        part
        for name in CHANGES
        for kind in KINDS
        if (part := _answers(results, kind, name))
    ]  # fmt: skip
    return " ".join([*told, _items(results)]).strip()


def _answers(results: Results, kind: str, name: str) -> str:
    error, p = (_effect(results, kind, name, measure) for measure in ("error", "p"))
    if not error:
        return ""
    controls = [
        f"{words} {moved(row, bounds=False)}"
        for control, words in CONTROLS.items()
        if control != "none"
        and (row := answer_row(results, kind, CLASS, name, measure="error", control=control))
    ]
    beside = f" ({'; '.join(controls)})" if controls else ""
    likely = f"; the right answer's probability moves by {moved(p)}" if p else ""
    return (
        f"{KINDS[kind].label.capitalize()}, {CHANGES[name]}: errors "
        f"{number(error['before'], percent=True)} before, {number(error['after'], percent=True)} "
        f"after, {moved(error)}{beside}{likely} "
        f"(n = {number(int(error['n']))} prompts)."
    )


def _items(results: Results) -> str:
    """Errors where neurons of single items are suppressed."""
    told = [
        f"{KINDS[kind].label} {moved(row)} (n = {number(int(row['n']))})"
        for kind in KINDS
        if (row := _effect(results, kind, "suppressed", "error", ITEM))
    ]
    return f"Errors under suppressed neurons of one item: {', '.join(told)}." if told else ""


def _effect(results: Results, kind: str, name: str, measure: str, level: str = CLASS) -> Row:
    return answer_row(results, kind, level, name, measure=measure, control="none")


def moved(row: Row, bounds: bool = True) -> str:
    """``+4.0 points [+3.0, +5.0]``; what rounds to 0 has no sign of its own."""
    names = ("value", "low", "high") if bounds else ("value",)
    values = [round(float(row[name]), 3) + 0.0 for name in names]
    return points(*values, *[None] * (3 - len(values)))


def neuron_controls(results: Results) -> list[str]:
    """Beside P4-a: similarity and its baseline, and errors under controls."""
    rows = group_rows(results)
    told = []
    for kind in KINDS if len(rows) else ():
        own = pick(rows, kind=kind, level=CLASS)
        if len(own):
            similarity, baseline = (f"{own[name].median():.2f}" for name in _SIMILAR)
            told.append(f"R1² {similarity}, neurons permuted {baseline}: {KINDS[kind].label}, "
                        f"{LEVELS[CLASS]}, medians")  # fmt: skip
    for kind in KINDS:
        for control, words in CONTROLS.items():
            of = {"measure": "error", "control": control}
            row = answer_row(results, kind, CLASS, "suppressed", **of)
            if row and control != "none":
                told.append(f"errors in {KINDS[kind].label}, {words} suppressed: {moved(row)}")
    return told
