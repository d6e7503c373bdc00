"""What is found about neurons of syntax and of facts, in sentences; numbers are those of the
tables."""

from collections.abc import Iterable

import pandas as pd

from coemerge.report.findings import change, finding, surely_above, surely_below
from coemerge.report.findings_tracing import peak_row
from coemerge.report.markup import Html, number, points
from coemerge.report.neuron_rows import (
    ALL,
    CHANGES,
    CLASS,
    CONTROLS,
    KINDS,
    LEVELS,
    MODELS,
    SPLITS,
    STATES,
    answer_row,
    editors_of,
    fit_rows,
    group_rows,
    rewrite_rows,
    role_labels,
    shift_rows,
    skill_rows,
    topic_name,
    traced_rows,
)
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import editor_name

_PUBLISHED = (
    "Published: sets for syntax are found as for facts, alike in size and similarity; they shift "
    "probabilities and seldom flip answers (no numbers at hand)."
)
_SIMILAR = ("similarity", "baseline")
_LEVEL_OF_CHANCE = 0.5  # of minimal pairs


def neuron_finding(results: Results) -> Html:
    """What a class's neurons do to answers, and how alike attributions are; empty without."""
    told = [
        f"{points(row['value'], row['low'], row['high'])} of errors in {KINDS[kind].label}"
        for kind in KINDS
        if (row := _effect(results, kind, "suppressed", "error"))
    ]
    if not told:
        return Html("")
    return finding(
        f"Knowledge neurons of a class, suppressed: {'; '.join(told)}.",
        *[_answers(results, kind, "suppressed") for kind in KINDS],
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
    return " ".join(told)


def _answers(results: Results, kind: str, name: str) -> str:
    error, p = (_effect(results, kind, name, measure) for measure in ("error", "p"))
    if not error:
        return ""
    controls = [
        f"{words} {points(row['value'], None, None)}"
        for control, words in CONTROLS.items()
        if control != "none"
        and (row := answer_row(results, kind, CLASS, name, measure="error", control=control))
    ]
    beside = f" ({'; '.join(controls)})" if controls else ""
    moved = (
        f"; the right answer's probability moves by {points(p['value'], p['low'], p['high'])}"
        if p
        else ""
    )
    return (
        f"{KINDS[kind].label.capitalize()}, {CHANGES[name]}: errors "
        f"{number(error['before'], percent=True)} before, {number(error['after'], percent=True)} "
        f"after, {points(error['value'], error['low'], error['high'])}{beside}{moved} "
        f"(n = {number(int(error['n']))} prompts)."
    )


def _effect(results: Results, kind: str, name: str, measure: str) -> Row:
    return answer_row(results, kind, CLASS, name, measure=measure, control="none")


def shifts_say(results: Results, topic: str) -> str:
    """How many words of each class move significantly, and which way; all seeds agreeing."""
    rows = pick(shift_rows(results), topic=topic)
    told = []
    for (group, name), own in rows.groupby(["group", "change"], sort=False):
        parts = [
            f"{cls or 'no class'} {up} up, {down} down of {n}"
            for cls, up, down, n in moved_words(own)
        ]
        told.append(f"neurons of {group} {CHANGES[str(name)]}: {', '.join(parts)}")
    return f"Words that move significantly, {'; '.join(told)}." if told else ""


def moved_words(rows: pd.DataFrame) -> list[tuple[str, int, int, int]]:
    """Class, words significantly up and down in every seed, and words; of one set of neurons."""
    words = rows.groupby(["token_class", "token"]).agg(
        sure=("significant", "all"), low=("shift", "min"), high=("shift", "max")
    )
    words["up"] = words["sure"] & (words["low"] > 0)
    words["down"] = words["sure"] & (words["high"] < 0)
    counts = words.groupby(level=0).agg(up=("up", "sum"), down=("down", "sum"), n=("sure", "size"))
    return [(str(r.Index), int(r.up), int(r.down), int(r.n)) for r in counts.itertuples()]


def fits_say(results: Results, measure: str) -> str:
    """Coefficients over all phenomena, and whether they are told from 0."""
    rows = pick(fit_rows(results, measure), topic=ALL)
    told = []
    for name in CHANGES if len(rows) else ():
        parts = [
            f"{style.label} {coefficient(row)}".replace("\n", " ")
            for (model, term), style in MODELS.items()
            if (row := first(pick(rows, change=name, model=model, term=term)))
        ]
        if parts:
            told.append(f"neurons {CHANGES[name]}: {'; '.join(parts)}")
    return f"All phenomena, {'. '.join(told)}." if told else ""


def coefficient(row: Row) -> str:
    """``+0.40 [+0.30, +0.50]`` and whether its interval holds 0."""
    value, low, high = (
        f"{row[name]:+.2f}".replace("-", "−") if pd.notna(row.get(name)) else ""
        for name in ("coefficient", "low", "high")
    )
    if not (low and high):
        return f"{value} (no interval)" if value else "–"
    sure = surely_above(row, 0) or surely_below(row, 0)
    return f"{value} [{low}, {high}]{'' if sure else ' (interval includes 0)'}"


def traced_say(results: Results) -> str:
    """Total effects, and the highest indirect ones before the last token; whole windows alone."""
    rows = traced_rows(results)
    told = []
    for kind in KINDS if len(rows) else ():
        own = rows[rows["kind"] == kind]
        labels = role_labels(own["role"], kind)
        parts = [
            f"{words} {change(row, 'aie')} ({labels[row['role']]}, layer {row['layer']}, "
            f"n = {number(int(row['n']))})"
            for state, words in STATES.items()
            if (row := peak_row(pick(own, state=state)))
        ]
        total = first(pick(results.table("syntax_totals"), kind=kind, topic=ALL))
        taken = f"noise takes {change(total, 'total_effect')}, " if total else ""
        if parts:
            told.append(
                f"{KINDS[kind].label.capitalize()}: {taken}highest effects before the last token: "
                f"{', '.join(parts)}."
            )
    return " ".join(told)


def rewrites_say(results: Results) -> str:
    """ES, PS and NS under edits, by kind and editor, and ES before."""
    rows = rewrite_rows(results)
    told = []
    for kind in KINDS if len(rows) else ():
        own = rows[rows["kind"] == kind]
        parts = [part for editor in editors_of(own) if (part := _scores(own, editor))]
        if parts:
            told.append(f"{KINDS[kind].label.capitalize()}: {'; '.join(parts)}.")
    return " ".join(told)


def _scores(rows: pd.DataFrame, editor: str) -> str:
    under = [
        f"{measure.upper()} {change(row)}"
        for measure in ("es", "ps", "ns")
        if (row := first(pick(rows, editor=editor, measure=measure, moment="post")))
    ]
    before = first(pick(rows, editor=editor, measure="es", moment="pre"))
    note = f" (ES before: {number(before['value'], percent=True)})" if before else ""
    return f"{editor_name(editor)} {', '.join(under)}{note}" if under else ""


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
                told.append(
                    f"errors in {KINDS[kind].label}, {words} suppressed: "
                    f"{points(row['value'], row['low'], row['high'])}"
                )
    return told
