"""Which rows of the tables of query localization the page shows: main settings, and names in plain
words."""

import pandas as pd

from coemerge.report.bars import BarStyle
from coemerge.report.results import Results, Row, pick

ALL = "all"
USUAL, OTSU = "0.3", "otsu"  # thresholds of cs2: ours, and the one that facts suggest
LOCALISERS = {
    "joint": "integrated gradients",
    "single": "single neurons",
    "gradient": "gradient × activation",
    ALL: "under all of them",
}
SETS = {"threshold": "coarse sets", "top": "equally many neurons of every query"}
CONTROLS = {
    "none": "queries\nof a fact",
    "other_facts": "queries of\nother facts",
    "same_answer": "of facts with\nthe same\nanswer",
    "context": "one query,\nother texts\nbefore it",
    "random": "random sets\nof equal size",
}
CLASSES = {"consistent": "consistent facts", "inconsistent": "inconsistent facts"}
CLASS_STYLES = {
    "consistent": BarStyle("consistent facts", "#009E73"),
    "inconsistent": BarStyle("inconsistent facts", "#D55E00"),
    ALL: BarStyle("all facts", "#0072B2"),
}
CHANGES = {0.0: "suppressed (× 0)", 2.0: "enhanced (× 2)"}
NEURONS = {  # whose activations are changed
    "own": "the query's\nown",
    "union": "other queries',\nunion",
    "intersection": "other queries',\nintersection",
    "mismatched": "another\nfact's",
    "random": "random",
}
EDITED = {  # whose outgoing weights are changed
    "local": BarStyle("of the edited query (local)", "#0072B2"),
    "global": BarStyle("of any of the fact's\nqueries (global)", "#E69F00"),
    "consistent": BarStyle("consistency-aware", "#009E73"),
    "equal": BarStyle("the query's own, as many\nas consistency-aware", "#56B4E9"),
    "mismatched": BarStyle("of another fact's query", "#CC79A7"),
    "random": BarStyle("random, as many\nas local per layer", "#8A8A8A"),
    "rome": BarStyle("no neurons chosen: ROME", "#D55E00"),
    "memit": BarStyle("no neurons chosen: MEMIT", "#7B3294"),
}
EDITS = {"erase": "erase the fact", "update": "give it another object"}
REGIMES = ("once", "repeated", "reworded")
ASSIGNED = {  # which facts of the arm are compared
    "assigned": "all facts, as the lot assigned them",
    "known": "known facts alone, which the regime selects",
}
CONTRAST = "reworded - repeated"


def main_row(results: Results) -> Row:
    """The row of ``class_shares`` whose localiser and threshold make the classes of other tables;
    empty where no table says."""
    return first(pick(results.table("class_shares"), main=True))


def of_main_localiser(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """Of the localiser that makes the classes, or else the first that there is."""
    if frame.empty:
        return frame
    found = set(frame["localiser"])
    usual = (main_row(results).get("localiser"), *LOCALISERS)
    main = next((name for name in usual if name in found), min(found))
    return pick(frame, localiser=main)


def fact_rows(results: Results) -> pd.DataFrame:
    """cs2 of each fact, and of the controls; a fact without any neuron has none."""
    rows = of_main_localiser(results, results.table("consistency"))
    return rows[rows["sets"].isin(SETS) & rows["cs2"].notna()] if len(rows) else rows


def mean_row(results: Results, control: str = "none", sets: str = "threshold") -> Row:
    """Mean cs2 over all facts; empty where it was not measured or is not defined."""
    rows = of_main_localiser(results, results.table("consistency_means"))
    row = first(pick(rows, relation=ALL, sets=sets, control=control, measure="cs2"))
    return row if pd.notna(row.get("value")) else {}


def beyond_row(results: Results, control: str) -> Row:
    """Mean cs2 of a fact's queries less that of the control, paired by fact; empty without."""
    return mean_row(results, f"none - {control}")


def share_row(results: Results, localiser: str, control: str = "none", **others: str) -> Row:
    """Share of inconsistent facts, by coarse sets and the main threshold unless told."""
    settings = {"threshold": main_threshold(results), "sets": "threshold", **others}
    rows = results.table("class_shares")
    return first(pick(rows, localiser=localiser, control=control, **settings))


def main_threshold(results: Results) -> str:
    return str(main_row(results).get("threshold", USUAL))


def main_share(results: Results, control: str = "none") -> Row:
    """The same of the localiser that makes the classes."""
    rows = results.table("class_shares")
    of_one = rows[rows["localiser"] != ALL] if len(rows) else rows
    row = first(of_main_localiser(results, of_one))
    return share_row(results, row["localiser"], control) if row else {}


def cuts(results: Results, sets: str) -> dict[str, float]:
    """Threshold -> value of cs2 that divides the facts of the main localiser."""
    rows = results.table("class_shares")
    if rows.empty:
        return {}
    rows = pick(rows[rows["localiser"] != ALL], sets=sets, control="none")
    rows = of_main_localiser(results, rows)
    known = rows[rows["threshold"].isin([main_threshold(results), OTSU]) & rows["cut"].notna()]
    return {str(row.threshold): float(row.cut) for row in known.itertuples()}


def by_class(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Rows of both classes; of all facts where they are not told apart."""
    if frame.empty:
        return frame
    known = frame[frame[value].notna()]
    divided = known[known["cls"].isin(CLASSES)]
    return divided if len(divided) else known[known["cls"] == ALL]


def class_name(cls: str) -> str:
    return CLASSES.get(cls, "all facts")


def classes_of(frame: pd.DataFrame) -> list[str]:
    """In the order in which they are drawn."""
    if frame.empty:
        return []
    return [name for name in CLASS_STYLES if (frame["cls"] == name).any()]


def map_rows(results: Results, changed: bool) -> pd.DataFrame:
    """Maps of neurons with untouched attention; or, where attention was ``changed``, all of
    them."""
    rows = results.table("neuron_maps")
    if rows.empty:
        return rows
    untouched = rows["synapses"] == "untouched"
    if not changed:
        return rows[untouched]
    return rows if not untouched.all() else rows.iloc[:0]


def wording_rows(results: Results) -> pd.DataFrame:
    """Of facts as assigned and of known ones, by coarse sets, or by what there is."""
    rows = results.table("wording_effects")
    if rows.empty:
        return rows
    known = rows[rows["cs2"].notna() & rows["regime"].isin([*REGIMES, CONTRAST])]
    known = known[known["facts"].isin(ASSIGNED)]
    coarse = pick(known, sets="threshold")
    return coarse if len(coarse) else known


def first(frame: pd.DataFrame) -> Row:
    """The first row in plain Python values; empty without rows."""
    found = frame.head(1).to_dict("records")
    return {str(key): value for key, value in found[0].items()} if found else {}
