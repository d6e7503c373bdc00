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
    "gen_new": ("Wordings no set was made of", True),
    "loc": ("Queries of other relations unchanged (Loc)", True),
    "loc_near": ("Of the same relation", True),
    "avg": ("Mean of Rel, Gen, Loc (Avg)", True),
    "ppl_change": ("Change of perplexity", True),
}
_FOLLOW = ("rel", "gen", "gen_new")  # which the untouched model has values of
_HEADER = ("Edit", "Facts", "Neurons", *[words for words, _ in _MEASURES.values()], "n")
_UNTOUCHED = "none: the untouched model"
# in the sentences; the table has all
_TOLD = ("local", "global", "consistent", "equal", "random", "rome", "memit")
_BEGINNING = {"erase": "Erasing", "update": "Giving another object"}
_SAID = {"rome": "ROME", "memit": "MEMIT"}
_TUNED = ("local", "global", "consistent")  # sets whose settings are chosen


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
        n = _counts(own)
        if k == 0:
            before = [_before(found.get(measure, {}), measure) for measure in _MEASURES]
            yield edit, facts, element("em", _UNTOUCHED), *before, n
        yield edit, facts, EDITED[name].label, *[_cell(found.get(m, {}), m) for m in _MEASURES], n


def _cell(row: Row, measure: str) -> str:
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    return interval(value, low, high, _MEASURES[measure][1]).replace("-", "−")


def _before(row: Row, measure: str) -> str:
    return number(row.get("before"), _MEASURES[measure][1]) if measure in _FOLLOW else "–"


def _counts(rows: pd.DataFrame) -> str:
    """``42``, or ``40 to 42`` where a measure is not defined for all facts."""
    low, high = number(int(rows["n"].min())), number(int(rows["n"].max()))
    return low if low == high else f"{low} to {high}"


def score_rows(results: Results) -> pd.DataFrame:
    """Scores of both classes, or of all facts where they are not told apart."""
    rows = results.table("edit_scores")
    if rows.empty:
        return rows
    known = rows[rows["value"].notna() & rows["neurons"].isin(EDITED) & rows["edit"].isin(EDITS)]
    divided = known[known["cls"].isin(CLASSES)]
    return divided if len(divided) else known[known["cls"] == ALL]


def edits_say(results: Results) -> str:
    """What wordings of the fact that no set was made of gain, and what others of its relation
    pay."""
    rows = score_rows(results)
    told = [said for edit in EDITS if len(rows) and (said := _say(pick(rows, edit=edit), edit))]
    if not told:
        return ""
    return (
        "Queries in wordings that no set was made of and that follow / queries of other facts of "
        f"the relation that stay. {' '.join(told)}"
    )


def _say(rows: pd.DataFrame, edit: str) -> str:
    """Of one kind of edit; empty without any of what is told."""
    told = []
    for cls in classes_of(rows):
        own = pick(rows, cls=cls)
        parts = [
            f"{_SAID.get(name, name)} {_pair(own[own['neurons'] == name])}"
            for name in _TOLD
            if (own["neurons"] == name).any()
        ]
        if parts:
            told.append(f"{class_name(cls)} (n = {_counts(own)}) {', '.join(parts)}")
    return f"{_BEGINNING[edit]}: {'; '.join(told)}." if told else ""


def _pair(rows: pd.DataFrame) -> str:
    values = [first(pick(rows, measure=name)).get("value") for name in ("gen_new", "loc_near")]
    return " / ".join(number(value, percent=True).removesuffix(" %") for value in values) + " %"


def choice_says(results: Results) -> str:
    """Which settings were chosen for each kind of sets, and of how many."""
    rows = results.table("consistent_choice")
    told = []
    for edit in EDITS if len(rows) else ():
        tried = pick(rows, edit=edit)
        parts = [_chosen(own) for name in _TUNED if len(own := pick(tried, neurons=name))]
        if parts := [part for part in parts if part]:
            n = number(int(tried["n"].max()))
            told.append(f"To {EDITS[edit]} ({n} dev facts): {'; '.join(parts)}.")
    if not told:
        return ""
    return (
        "Local and global sets hold neurons whose attribution exceeds τ of the highest; "
        "consistency-aware ones those whose score, mean − β × spread over queries, does. Settings "
        "are those with the highest mean (Avg) on dev facts, which are not among those above. "
        f"{' '.join(told)} The query's own, as many as consistency-aware, follow its setting; "
        "those of another fact and random ones the local one. ROME and MEMIT choose no neurons: "
        "theirs are the settings of the study, which no fact chose."
    )


def _chosen(tried: pd.DataFrame) -> str:
    """Of one kind of sets; empty where none was chosen."""
    row = first(pick(tried, chosen=True))
    if not row:
        return ""
    best = f"(mean {number(row['avg'], percent=True)}, best of {len(tried)})"
    if row["neurons"] != "consistent":
        return f"{row['neurons']} τ = {number(row['tau'])} {best}"
    told = f"consistency-aware β = {number(row['beta'])} and τ = {number(row['tau'])} {best}"
    if row["beta"] == 0:
        told += ", which is the plain mean: the spread over queries is not used"
    return told
