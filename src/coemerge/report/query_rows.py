"""Which rows of the tables of query localization the page shows: main settings, and names in plain
words."""

import pandas as pd

from coemerge.report.bars import BarStyle
from coemerge.report.results import Results, Row, pick

ALL = "all"
STATIC, OTSU = "0.3", "otsu"  # thresholds of cs2: the usual one, and the one that facts suggest
LOCALISERS = {
    "joint": "integrated gradients",
    "single": "single neurons",
    "gradient": "gradient × activation",
    ALL: "under all of them",
}
SETS = {"threshold": "coarse sets", "top": "equally many neurons of every query"}
CONTROLS = {
    "none": "queries\nof a fact",
    "context": "one query,\nother texts\nbefore it",
    "other_facts": "queries of\nother facts",
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
    "random": "random",
}
EDITED = {  # whose outgoing weights are changed
    "local": BarStyle("of the edited query (local)", "#0072B2"),
    "global": BarStyle("of any of the fact's queries (global)", "#E69F00"),
    "consistent": BarStyle("consistency-aware", "#009E73"),
    "random": BarStyle("random, as many as local per layer", "#8A8A8A"),
}
EDITS = {"erase": "erase the fact", "update": "give it another object"}
REGIMES = ("once", "repeated", "reworded")
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
    """Mean cs2 over all facts; empty where it was not measured."""
    rows = of_main_localiser(results, results.table("consistency_means"))
    return first(pick(rows, relation=ALL, sets=sets, control=control, measure="cs2"))


def share_row(results: Results, localiser: str, control: str = "none", **others: str) -> Row:
    """Share of inconsistent facts, by coarse sets and the main threshold unless told."""
    usual = str(main_row(results).get("threshold", STATIC))
    settings = {"threshold": usual, "sets": "threshold", **others}
    rows = results.table("class_shares")
    return first(pick(rows, localiser=localiser, control=control, **settings))


def cuts(results: Results, sets: str) -> dict[str, float]:
    """Threshold -> value of cs2 that divides the facts of the main localiser."""
    rows = results.table("class_shares")
    if rows.empty:
        return {}
    usual = str(main_row(results).get("threshold", STATIC))
    rows = pick(rows[rows["localiser"] != ALL], sets=sets, control="none")
    rows = of_main_localiser(results, rows)
    known = rows[rows["threshold"].isin([usual, OTSU]) & rows["cut"].notna()]
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
    """By coarse sets, or by what there is."""
    rows = results.table("wording_effects")
    if rows.empty:
        return rows
    known = rows[rows["cs2"].notna() & rows["regime"].isin([*REGIMES, CONTRAST])]
    coarse = pick(known, sets="threshold")
    return coarse if len(coarse) else known


def first(frame: pd.DataFrame) -> Row:
    """The first row in plain Python values; empty without rows."""
    found = frame.head(1).to_dict("records")
    return {str(key): value for key, value in found[0].items()} if found else {}
