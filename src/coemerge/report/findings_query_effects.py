"""What changes of neurons and attention do to queries, one sentence per figure."""

import numpy as np
import pandas as pd

from coemerge.report.figure_neuron_maps import grid_of
from coemerge.report.findings import change, difference, surely_below, surely_less
from coemerge.report.markup import number, points
from coemerge.report.query_rows import (
    ASSIGNED,
    CLASSES,
    CONTRAST,
    LOCALISERS,
    by_class,
    class_name,
    classes_of,
    first,
    map_rows,
    of_main_localiser,
    wording_rows,
)
from coemerge.report.results import Results, Row, pick

_COMPARED = {  # with the query's own neurons
    "union": "the union of the other queries'",
    "intersection": "those common to the other queries",
    "mismatched": "those of another fact's query",
}


def maps_say(results: Results) -> str:
    """How alike the maps of two queries are."""
    rows = map_rows(results, changed=False)
    told = []
    for cls in CLASSES if len(rows) else ():
        grids = [grid_of(own) for _, own in rows[rows["cls"] == cls].groupby("query")]
        if len(grids) == 2 and grids[0].shape == grids[1].shape:
            told.append(f"{_correlation(*grids)} for the {cls} fact")
    if not told:
        return ""
    return (
        f"Correlation of the two queries' maps: {', '.join(told)}. One fact of each class: an "
        "illustration."
    )


def _correlation(one: np.ndarray, other: np.ndarray) -> str:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return "undefined"
    return f"r = {np.corrcoef(one.ravel(), other.ravel())[0, 1]:.2f}".replace("-", "−")


def changed_maps_say(results: Results) -> str:
    """By how much the maps' sums change, of each class."""
    rows = map_rows(results, changed=True)
    told = []
    for cls in CLASSES if len(rows) else ():
        sums = rows[rows["cls"] == cls].groupby("synapses")["attribution"].sum()
        if sums.get("untouched", 0) > 0:
            changes = [
                f"{change({'value': float(sums[state] / sums['untouched']) - 1})} {state}"
                for state in ("suppressed", "enhanced")
                if state in sums
            ]
            told.append(f"{cls} fact {', '.join(changes)}")
    return f"Change of the maps' sum: {'; '.join(told)} (one fact each)." if told else ""


def mapping_says(results: Results) -> str:
    """What suppressing a query's own neurons does beyond suppressing others, paired by fact."""
    rows = pick(results.table("mapping_effects"), factor=0.0, sizes="matched")
    rows = by_class(rows, "delta_prob").rename(columns={"delta_prob": "value"})
    classes = [cls for cls in classes_of(rows) if _effect(rows, cls, "own")]
    if not classes:
        return ""
    told = "; ".join(_own_effect(rows, cls) for cls in classes)
    more = [
        f"{words}: {' and '.join(surely) or 'for none'}"
        for name, words in _COMPARED.items()
        if (rows["neurons"] == f"own - {name}").any()
        for surely in [[class_name(cls) for cls in classes if _matters_more(rows, cls, name)]]
    ]
    judged = f" Own neurons surely matter more than {'; than '.join(more)}." if more else ""
    return f"Change of the answer's probability by equally many suppressed neurons: {told}.{judged}"


def _effect(rows: pd.DataFrame, cls: str, neurons: str) -> Row:
    return first(pick(rows, cls=cls, neurons=neurons))


def _matters_more(rows: pd.DataFrame, cls: str, name: str) -> bool:
    """Suppressed neurons that matter lower the probability: own ones must do so by more."""
    return surely_below(_effect(rows, cls, f"own - {name}"), 0)


def _own_effect(rows: pd.DataFrame, cls: str) -> str:
    own, random = (_effect(rows, cls, name) for name in ("own", "random"))
    beyond = [
        f"{words} {points(row['value'], row['low'], row['high'])}"
        for name, words in _COMPARED.items()
        if (row := _effect(rows, cls, f"own - {name}"))
    ]
    counted = f"n = {number(own['n'])} of {number(own['n_total'])}"
    told = f"{class_name(cls)} {change(own)} by own neurons ({counted})"
    told += f", random {change(random)}" if random else ""
    return told + (f", own less {', less '.join(beyond)}" if beyond else "")


def synapses_say(results: Results) -> str:
    """Suppressed synapses of the query beside unrelated ones: what they do to its neurons."""
    rows = pick(results.table("synapse_effects"), factor=0.0, rows="raw")
    rows = by_class(rows, "value")
    told = [
        f"{words} {effects}"
        for measure, words in (("delta_kn", "its neurons:"), ("delta_prob", "the answer:"))
        if (effects := _beside_control(pick(rows, measure=measure)))
    ]
    return f"Suppressing a query's synapses changes {'; '.join(told)}." if told else ""


def _beside_control(rows: pd.DataFrame) -> str:
    told = []
    for cls in classes_of(rows):
        own, other = (first(pick(rows, cls=cls, synapses=name)) for name in ("own", "unrelated"))
        if own and other:
            surely = "surely" if surely_less(own, other) else "not surely"
            told.append(
                f"{class_name(cls)} {change(own)}, {surely} below unrelated synapses "
                f"({change(other)}, n = {number(own['n'])})"
            )
    return ", ".join(told)


def wordings_say(results: Results) -> str:
    """Facts shown in many wordings or in one, equally often: all as the lot assigned them, which
    alone is judged, then known ones."""
    found = of_main_localiser(results, pick(wording_rows(results), regime=CONTRAST))
    assigned, known = (first(pick(found, facts=name)) for name in ASSIGNED)
    if not assigned and not known:
        return ""
    localiser = (assigned or known)["localiser"]
    by = LOCALISERS.get(localiser, localiser)
    told = [f"{_contrast(assigned)}: {_wordings_judged(assigned)}"] if assigned else []
    if known:
        told.append(
            f"of known facts alone {_contrast(known)}, no comparison by lot, as the regime also "
            "decides which facts are known"
        )
    return f"CS2 of reworded − repeated facts by {by}: {'; '.join(told)}."


def _contrast(row: Row) -> str:
    return f"{difference(row, 'cs2')}, {number(row['n'])} facts on the smaller side"


def _wordings_judged(row: Row) -> str:
    if row["low"] > 0:
        return "training with many wordings makes a fact's queries share more neurons"
    if row["high"] < 0:
        return "training with many wordings makes a fact's queries share fewer neurons"
    return "whether wordings make a difference is open"
