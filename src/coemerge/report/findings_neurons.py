"""What the model knows, how alike attributions are and what neurons of syntax and of facts do to
answers, in sentences; numbers are those of the tables."""

from collections.abc import Iterable
from itertools import product

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
_ERRORS = {  # what counts as one
    "syntax": "errors in syntax (the bad word of a pair likelier than the good one)",
    "facts": "errors in facts (the answer not the likeliest of all tokens)",
}
_OF_ONE = {"syntax": "word", "facts": "fact"}  # a set of the item level
_CLASSES = {"syntax": "classes", "facts": "relations"}
_OWN, _MISMATCHED = "none", "mismatched"
_LEVEL_OF_CHANCE = 0.5  # of minimal pairs


def neuron_finding(results: Results) -> Html:
    """What a class's neurons do to answers, and how alike attributions are; empty without."""
    told = [
        f"{_ERRORS[kind]} {moved(row)}"
        for kind in KINDS
        if (row := _effect(results, kind, "suppressed", "error"))
    ]
    if not told:
        return Html("")
    unlike = " Errors are counted in two ways: the two numbers do not compare."
    return finding(
        f"Knowledge neurons of a class, suppressed: {'; '.join(told)}."
        + (unlike if len(told) > 1 else ""),
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
    likely = f"; the right answer's probability moves by {moved(p)}" if p else ""
    return (
        f"{KINDS[kind].label.capitalize()}, {CHANGES[name]}: errors "
        f"{number(error['before'], percent=True)} before, {number(error['after'], percent=True)} "
        f"after, {moved(error)}{_beside(results, kind, CLASS, name)}"
        f"{_rising(results, kind, name)}{likely} (n = {number(int(error['n']))} prompts)."
    )


def _rising(results: Results, kind: str, name: str) -> str:
    """In how many classes errors rise, and in how many surely."""
    table = results.table("categorical")
    rows = pick(table, kind=kind, level=CLASS, change=name, measure="error", control=_OWN)
    if rows.empty:
        return ""
    rows = rows[(rows["topic"] != ALL) & (rows["group"] != ALL) & rows["difference"].notna()]
    surely = sum(surely_above(row, 0) for row in rows.to_dict("records"))
    up = int((rows["difference"] > 0).sum())
    sure = f", {surely} with an interval above 0" if surely else ""
    return f"; they rise in {up} of {len(rows)} {_CLASSES[kind]}{sure}" if len(rows) else ""


def _items(results: Results) -> str:
    """Errors where neurons of single items are suppressed."""
    told = [
        f"{KINDS[kind].label} {moved(row)}{_beside(results, kind, ITEM, 'suppressed')}"
        f"{_as_much(results, kind)} (n = {number(int(row['n']))} prompts)"
        for kind in KINDS
        if (row := _effect(results, kind, "suppressed", "error", ITEM))
    ]
    return f"Errors under suppressed neurons of one item: {'; '.join(told)}." if told else ""


def _beside(results: Results, kind: str, level: str, name: str) -> str:
    """`` (another group's neurons +1.0 points; random neurons +0.1 points; own beyond another's
    +3.0 points)``. The last has no interval, as the table has none of it."""
    own = _effect(results, kind, name, "error", level)
    told = [
        f"{_whose(control, level, kind)} {moved(row, bounds=False)}"
        for control in CONTROLS
        if control != _OWN and (row := _effect(results, kind, name, "error", level, control))
    ]
    other = _effect(results, kind, name, "error", level, _MISMATCHED)
    if own and other:
        beyond = {"value": float(own["value"]) - float(other["value"])}
        told.append(f"own beyond another's {moved(beyond, bounds=False)}")
    return f" ({'; '.join(told)})" if told else ""


def _as_much(results: Results, kind: str) -> str:
    """Where neurons of other items cost as much as an item's own, to within their interval."""
    own, other = (
        _effect(results, kind, "suppressed", "error", ITEM, control)
        for control in (_OWN, _MISMATCHED)
    )
    if not own or not other or not surely_above(other, 0):
        return ""
    if not surely_above(own, float(other["value"])):
        what = _OF_ONE[kind]
        return f", another {what}'s neurons do as much: the effect is not of the {what} itself"
    return ""


def _whose(control: str, level: str, kind: str) -> str:
    if (control, level) == (_MISMATCHED, ITEM):
        return f"another {_OF_ONE[kind]}'s neurons"
    return CONTROLS[control]


def _effect(
    results: Results, kind: str, name: str, measure: str, level: str = CLASS, control: str = _OWN
) -> Row:
    return answer_row(results, kind, level, name, measure=measure, control=control)


def moved(row: Row, bounds: bool = True) -> str:
    """``+4.0 points [+3.0, +5.0]``; what rounds to 0 has no sign of its own."""
    names = ("value", "low", "high") if bounds else ("value",)
    values = [round(float(row[name]), 3) + 0.0 for name in names]
    return points(*values, *[None] * (3 - len(values)))


def neuron_controls(results: Results) -> list[str]:
    """Beside P4-a: similarity and its baseline, and errors under controls, of classes and items."""
    rows = group_rows(results)
    told = []
    for kind in KINDS if len(rows) else ():
        own = pick(rows, kind=kind, level=CLASS)
        if len(own):
            similarity, baseline = (f"{own[name].median():.2f}" for name in _SIMILAR)
            told.append(f"R1² {similarity}, neurons permuted {baseline}: {KINDS[kind].label}, "
                        f"{LEVELS[CLASS]}, medians")  # fmt: skip
    for kind, level, control in product(KINDS, LEVELS, CONTROLS):
        row = _effect(results, kind, "suppressed", "error", level, control)
        if row and control != _OWN:
            whose = _whose(control, level, kind)
            of = f" (prompts of one {_OF_ONE[kind]})" if level == ITEM else ""
            told.append(f"errors in {KINDS[kind].label}{of}, {whose} suppressed: {moved(row)}")
    return told
