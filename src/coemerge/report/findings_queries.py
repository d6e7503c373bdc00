"""Whether neurons are the fact's or the query's, in sentences and beside published figures; words
that judge follow from intervals here."""

import pandas as pd

from coemerge.report.findings import difference, finding, share, surely_above, surely_below
from coemerge.report.markup import Html, interval, number
from coemerge.report.query_rows import (
    ALL,
    EDITED,
    EDITS,
    LOCALISERS,
    OTSU,
    beyond_row,
    fact_rows,
    first,
    main_share,
    mean_row,
    share_row,
)
from coemerge.report.results import Results, Row, pick

_NULLS = {
    "other_facts": "the same wordings, each of another fact of the relation",
    "same_answer": "the same, of facts with the same answer",
    "context": "one query behind other texts that leave it right",
    "random": "random sets of equal size",
}
_OF_OTHERS = {"other_facts": "queries of other facts", "same_answer": "those with the same answer"}


def query_finding(results: Results) -> Html:
    """Whether most facts are inconsistent, and whether that means anything; empty without."""
    row, others = main_share(results), main_share(results, "other_facts")
    if not row:
        return Html("")
    by = LOCALISERS.get(row["localiser"], row["localiser"])
    told = f"{_share(row)} of {number(row['n'])} facts are inconsistent by {by} ({cut_says(row)})"
    if together := share_row(results, ALL):
        told += f", {_share(together)} by all localisers at once"
    if others:
        told += f"; with queries of different facts {_share(others)} (n = {number(others['n'])})"
    return finding(
        f"{_most(row)}:",
        f"{told}.",
        "Published: 77 % by three localisers at once in a far larger model, less in GPT-2.",
        whose(results),
    )


def cut_says(row: Row) -> str:
    """Up to which cs2 a fact of this row of ``class_shares`` is inconsistent."""
    if row["threshold"] != OTSU:
        return f"CS2 up to {row['threshold']}"
    known = pd.notna(row["cut"])
    return f"CS2 up to {number(row['cut'])}, Otsu's threshold" if known else "Otsu's thresholds"


def _most(row: Row) -> str:
    found = _valued(row)
    if surely_above(found, 0.5):
        return "Queries of most facts share few neurons"
    if surely_below(found, 0.5):
        return "Queries of most facts share some neurons"
    return "Whether queries of most facts share neurons is open"


def whose(results: Results) -> str:
    """Whether shared neurons are the fact's, by what its queries have beyond those of other facts,
    paired by fact; empty without any cs2."""
    if not mean_row(results):
        return ""
    found = {control: beyond_row(results, control) for control in _OF_OTHERS}
    told = [
        f"{words} {difference(row)} (n = {number(row['n'])})"
        for control, words in _OF_OTHERS.items()
        if (row := found[control])
    ]
    if not told:
        return (
            "Queries of other facts, which would tell neurons of facts from those of relations, "
            "were not measured."
        )
    owner = _owner(found["other_facts"], found["same_answer"])
    return f"CS2 of a fact's queries beyond that of {', of '.join(told)}: {owner}."


def _owner(others: Row, same: Row) -> str:
    """``others``, ``same``: excess over other facts, and over those with the same answer."""
    if surely_above(same, 0):
        return "some neurons are the fact's own"
    if surely_above(others, 0):
        if same:
            return "what is shared beyond the relation is, as far as can be told, the answer's"
        return (
            "some neurons are the fact's or its answer's, which facts with the same answer would "
            "tell apart"
        )
    if pd.isna(others.get("low")):
        return "whether any of these neurons are the fact's own is open"
    return "what is shared is, as far as can be told, the relation's or its wordings'"


def consistency_says(results: Results) -> str:
    """Mean cs2 with its size, each null, and what they say."""
    row, facts = mean_row(results), fact_rows(results)
    if not row or facts.empty:
        return ""
    nulls = [
        f"; {words}: {_plain(null)} (n = {number(null['n'])})"
        for name, words in _NULLS.items()
        if (null := mean_row(results, name))
    ]
    by = LOCALISERS.get(row["localiser"], row["localiser"])
    told = f"Mean CS2 of {number(row['n'])} facts by {by} ({set_sizes(results)}): {_plain(row)}"
    return f"{told}{''.join(nulls)}. {whose(results)} {_beyond_context(results)}".strip()


def set_sizes(results: Results) -> str:
    """``k = 5 queries, 11.4 neurons each``; empty without facts."""
    own = pick(fact_rows(results), sets="threshold", control="none")
    if own.empty:
        return ""
    low, high = int(own["k"].min()), int(own["k"].max())
    queries = str(low) if low == high else f"{low} to {high}"
    return f"k = {queries} queries, {own['n_neurons'].mean():.3g} neurons each"


def _beyond_context(results: Results) -> str:
    """Whether a new wording does more than new words before the same one."""
    beyond = beyond_row(results, "context")
    if not beyond:
        return ""
    told = "may change the neurons more or less than"
    if surely_below(beyond, 0):
        told = "change the neurons more than"
    if surely_above(beyond, 0):
        told = "change the neurons less than"
    return (
        f"Other wordings {told} other texts before the same query: CS2 between wordings less "
        f"that between texts {difference(beyond)}, of the {number(beyond['n'])} facts still "
        "answered right behind enough texts."
    )


def share_controls(results: Results) -> list[str]:
    """Beside P3-a: each localiser alone, and all of them on each null."""
    found = {
        **{f"{LOCALISERS[name]} alone": share_row(results, name) for name in LOCALISERS
           if name != ALL},
        **{words: share_row(results, ALL, name) for name, words in _NULLS.items()},
    }  # fmt: skip
    return [
        f"{words}: {_share(row)} (n = {number(row['n'])})" for words, row in found.items() if row
    ]


def score_controls(results: Results) -> list[str]:
    """Beside P3-b: the mean score of each choice of neurons, all facts."""
    rows = results.table("edit_scores")
    return [told for edit in EDITS if len(rows) and (told := _averages(rows, edit))]


def _averages(frame: pd.DataFrame, edit: str) -> str:
    parts = [
        f"{name} {share(row)}"
        for name in EDITED
        if (row := first(pick(frame, edit=edit, cls=ALL, neurons=name, measure="avg")))
    ]
    return f"{edit}, Avg of {', '.join(parts)}" if parts else ""


def _share(row: Row) -> str:
    return share(_valued(row))


def _valued(row: Row) -> Row:
    return {**row, "value": row["share"]}


def _plain(row: Row) -> str:
    return interval(row["value"], row.get("low"), row.get("high"))
