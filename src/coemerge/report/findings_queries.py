"""Whether neurons are the fact's or the query's, in sentences and beside published figures; words
that judge follow from intervals here."""

import math

import pandas as pd

from coemerge.report.findings import finding, share, surely_less
from coemerge.report.markup import Html, interval, number
from coemerge.report.query_rows import (
    ALL,
    EDITED,
    EDITS,
    LOCALISERS,
    fact_rows,
    first,
    mean_row,
    of_main_localiser,
    share_row,
)
from coemerge.report.results import Results, Row, pick

_NULLS = {
    "other_facts": "the same wordings, each of another fact of the relation",
    "context": "one query behind other texts",
    "random": "random sets of equal size",
}


def query_finding(results: Results) -> Html:
    """Whether most facts are inconsistent, and whether that means anything; empty without."""
    row, under = share_row(results, ALL), "under all localisers"
    if not row:
        row, under = _of_one(results), "by one localiser"
    if not row:
        return Html("")
    floor = share_row(results, row["localiser"], "context")
    told = f"{_share(row)} of {number(row['n'])} facts are inconsistent {under} (static threshold)"
    if floor:
        told += f", {_share(floor)} when the words of the query stay and others precede it"
    return finding(
        f"{_most(row, floor)}:",
        f"{told}.",
        "Published: 77 % in a far larger model, less in GPT-2.",
        whose(results),
    )


def _of_one(results: Results) -> Row:
    rows = results.table("class_shares")
    if rows.empty:
        return {}
    localiser = first(of_main_localiser(results, rows))["localiser"]
    return share_row(results, localiser)


def _most(row: Row, floor: Row) -> str:
    """``floor``: the same with one query behind other texts, where it was measured."""
    if row.get("low", math.nan) > 0.5:
        if floor and not surely_less(_valued(floor), _valued(row)):
            return "Most facts have other neurons in every query, whether or not its words change"
        return "Most facts have other neurons when asked in other words"
    if row.get("high", math.nan) < 0.5:
        return "Most facts keep neurons when asked in other words"
    return "Whether most facts keep neurons when asked in other words is open"


def whose(results: Results) -> str:
    """Whether shared neurons are the fact's, by queries of other facts; empty without any cs2."""
    within, others = mean_row(results), mean_row(results, "other_facts")
    if not within:
        return ""
    if not others:
        return (
            "Queries of other facts, which would tell neurons of facts from those of relations, "
            "were not measured."
        )
    if surely_less(others, within):
        return (
            "Queries of one fact share more neurons than queries of different facts do: some are "
            "the fact's."
        )
    if others["value"] >= within["value"]:
        return (
            "Queries of different facts share as many neurons: what is shared belongs to the "
            "relation or its wordings, not to the fact."
        )
    return "Queries of one fact do not surely share more neurons than queries of different facts."


def consistency_says(results: Results) -> str:
    """Mean cs2 with its size, each null, and what they say."""
    row, facts = mean_row(results), fact_rows(results)
    if not row or facts.empty:
        return ""
    nulls = [
        f"; {words}: {_plain(null)}"
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
    within, context = mean_row(results), mean_row(results, "context")
    if not context:
        return ""
    surely = "" if surely_less(within, context) else "do not surely "
    return (
        f"Other wordings {surely}change the neurons more than other texts before the same query do."
    )


def share_controls(results: Results) -> list[str]:
    """Beside P3-a: each localiser alone, and all of them on each null."""
    found = {
        **{f"{LOCALISERS[name]} alone": share_row(results, name) for name in LOCALISERS
           if name != ALL},
        **{words: share_row(results, ALL, name) for name, words in _NULLS.items()},
    }  # fmt: skip
    return [f"{words}: {_share(row)}" for words, row in found.items() if row]


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
