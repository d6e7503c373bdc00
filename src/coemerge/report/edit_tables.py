"""Edits of neurons as a table and in sentences: what each choice of neurons gives and costs."""

from collections.abc import Iterable

import pandas as pd

from coemerge.report.markup import Html, element, interval, number, table
from coemerge.report.query_rows import ALL, CLASSES, EDITED, EDITS, class_name, classes_of, first
from coemerge.report.results import Results, Row, pick

_MEASURES = {
    "n_neurons": ("Neurons edited", False),
    "rel": ("Edited query (Rel)", True),
    "gen": ("Fact's other queries (Gen)", True),
    "loc": ("Unrelated queries unchanged (Loc)", True),
    "avg": ("Mean (Avg)", True),
    "ppl_change": ("Change of perplexity", True),
}
_HEADER = ("Edit", "Facts", "Neurons", *[words for words, _ in _MEASURES.values()], "n")
_UNTOUCHED = "none: the untouched model"


def edit_table(results: Results) -> Html:
    """A row per edit, class and choice of neurons, after one of the untouched model."""
    frame = results.table("edit_scores")
    rows: list[tuple[object, ...]] = []
    for edit in EDITS if len(frame) else ():
        for cls in (*CLASSES, ALL):
            own = frame[(frame["edit"] == edit) & (frame["cls"] == cls)]
            rows += _rows(own, EDITS[edit], class_name(cls))
    return table(_HEADER, rows)


def _rows(frame: pd.DataFrame, edit: str, facts: str) -> Iterable[tuple[object, ...]]:
    for k, name in enumerate(name for name in EDITED if (frame["neurons"] == name).any()):
        own = frame[frame["neurons"] == name]
        found = {str(row["measure"]): row for row in own.to_dict("records")}
        n = number(max(row["n"] for row in found.values()))
        if k == 0:
            before = [_before(found.get(measure, {}), measure) for measure in _MEASURES]
            yield edit, facts, element("em", _UNTOUCHED), *before, n
        yield edit, facts, EDITED[name].label, *[_cell(found.get(m, {}), m) for m in _MEASURES], n


def _cell(row: Row, measure: str) -> str:
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    return interval(value, low, high, _MEASURES[measure][1]).replace("-", "−")


def _before(row: Row, measure: str) -> str:
    return number(row.get("before"), _MEASURES[measure][1]) if measure in ("rel", "gen") else "–"


def score_rows(results: Results) -> pd.DataFrame:
    """Scores of both classes, or of all facts where they are not told apart."""
    rows = results.table("edit_scores")
    if rows.empty:
        return rows
    known = rows[rows["value"].notna() & rows["neurons"].isin(EDITED) & rows["edit"].isin(EDITS)]
    divided = known[known["cls"].isin(CLASSES)]
    return divided if len(divided) else known[known["cls"] == ALL]


def edits_say(results: Results) -> str:
    """What the fact's other queries gain from more neurons, and what unrelated ones pay."""
    rows = score_rows(results)
    told = []
    for cls in classes_of(rows):
        own = pick(rows, edit="erase", cls=cls)
        parts = [
            f"{name} {_pair(own[own['neurons'] == name])}"
            for name in EDITED
            if (own["neurons"] == name).any()
        ]
        if parts:
            told.append(f"{class_name(cls)} (n = {int(own['n'].max()):,}) {', '.join(parts)}")
    if not told:
        return ""
    return (
        "Erasing, other queries of the fact that follow / unrelated ones that stay: "
        f"{'; '.join(told)}."
    )


def _pair(rows: pd.DataFrame) -> str:
    values = [first(pick(rows, measure=name)).get("value") for name in ("gen", "loc")]
    return " / ".join(number(value, percent=True).removesuffix(" %") for value in values) + " %"


def choice_says(results: Results) -> str:
    """Which settings of consistency-aware selection were used, and of how many."""
    rows = results.table("consistent_choice")
    told = []
    for edit in EDITS if len(rows) else ():
        tried = pick(rows, edit=edit)
        row = first(pick(tried, chosen=True))
        if row:
            told.append(
                f"to {EDITS[edit]}, β = {number(row['beta'])} and τ = {number(row['tau'])} (mean "
                f"{number(row['avg'], percent=True)}; best of {len(tried)} on {number(row['n'])} "
                "dev facts)"
            )
    if not told:
        return ""
    return (
        "Consistency-aware sets hold neurons whose score, mean − β × spread over queries, exceeds "
        f"τ of the highest: {'; '.join(told)}. Dev facts are not among those above."
    )
