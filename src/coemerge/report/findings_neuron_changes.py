"""How words move under changed neurons, where tracing points and what edits of syntax and of facts
do, in sentences; numbers are those of the tables."""

import pandas as pd

from coemerge.report.findings import change, surely_above, surely_below
from coemerge.report.findings_tracing import peak_row
from coemerge.report.markup import number
from coemerge.report.neuron_rows import (
    ALL,
    CHANGES,
    KINDS,
    MODELS,
    STATES,
    editors_of,
    fit_rows,
    rewrite_rows,
    role_labels,
    shift_rows,
    traced_rows,
)
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import editor_name


def shifts_say(results: Results, topic: str) -> str:
    """How many words of each class move, and which way (see ``moves``); all seeds agreeing."""
    rows = pick(shift_rows(results), topic=topic)
    told = []
    for (group, name), own in rows.groupby(["group", "change"], sort=False):
        parts = [
            f"{cls or 'no class'} {up} up, {down} down of {n}"
            for cls, up, down, n in moved_words(own)
        ]
        told.append(f"neurons of {group} {CHANGES[str(name)]}: {', '.join(parts)}")
    return (
        f"Words that move significantly and beyond random neurons, {'; '.join(told)}."
        if told
        else ""
    )


def moves(rows: pd.DataFrame) -> pd.Series:
    """Whether a shift is significant and outside what 95 % of random sets do; one without such a
    band is not."""
    outside = (rows["shift"] < rows["random_low"]) | (rows["shift"] > rows["random_high"])
    return rows["significant"].astype(bool) & outside


def moved_words(rows: pd.DataFrame) -> list[tuple[str, int, int, int]]:
    """Class, words that move (``moves``) up and down in every seed, and words; of one set of
    neurons."""
    words = (
        rows.assign(sure=moves(rows))
        .groupby(["token_class", "token"])
        .agg(sure=("sure", "all"), low=("shift", "min"), high=("shift", "max"))
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
    """ES, PS and NS under edits, by kind and editor, and which token was edited; what ES and NS
    were before, which selection settles."""
    rows = rewrite_rows(results)
    told = []
    for kind in KINDS if len(rows) else ():
        own = rows[rows["kind"] == kind]
        parts = [part for editor in editors_of(own) if (part := _scores(own, editor))]
        if parts:
            told.append(f"{KINDS[kind].label.capitalize()}: {'; '.join(parts)}.")
    if told:
        told.append(
            "Only prompts answered right are edited, and only those answered right are neighbours, "
            "so that ES before (0) and NS before (1 or near it) are what they are by selection."
        )
    return " ".join(told)


def _scores(rows: pd.DataFrame, editor: str) -> str:
    under = [
        f"{measure.upper()} {change(row)}"
        for measure in ("es", "ps", "ns")
        if (row := first(pick(rows, editor=editor, measure=measure, moment="post")))
    ]
    before = [
        f"{measure.upper()} {number(row['value'], percent=True)}"
        for measure in ("es", "ns")
        if (row := first(pick(rows, editor=editor, measure=measure, moment="pre")))
    ]
    token = first(pick(rows, editor=editor)).get("token")
    notes = [f"edited token: {token}"] if token else []
    notes += [f"before: {', '.join(before)}"] if before else []
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"{editor_name(editor)} {', '.join(under)}{note}" if under else ""
