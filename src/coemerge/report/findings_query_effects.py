"""What changes of neurons and attention do to queries, one sentence per figure."""

import numpy as np
import pandas as pd

from coemerge.report.figure_neuron_maps import grid_of
from coemerge.report.findings import change, surely_less
from coemerge.report.markup import number
from coemerge.report.query_rows import (
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
from coemerge.report.results import Results, pick


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
    """Suppressed own neurons beside those that the fact's other queries have in common."""
    rows = pick(results.table("mapping_effects"), factor=0.0, sizes="matched")
    rows = by_class(rows, "delta_prob").rename(columns={"delta_prob": "value"})
    told, stronger = [], []
    for cls in classes_of(rows):
        own, common, random = (
            first(pick(rows, cls=cls, neurons=name)) for name in ("own", "intersection", "random")
        )
        if not own or not common:
            continue
        counted = f"n = {number(own['n'])} of {number(own['n_total'])}"
        beside = f", random {change(random)}" if random else ""
        told.append(
            f"{class_name(cls)} {change(own)} by own neurons, {change(common)} by those common to "
            f"the other queries{beside} ({counted})"
        )
        if surely_less(own, common):
            stronger.append(class_name(cls))
    if not told:
        return ""
    return (
        "Change of the answer's probability when equally many neurons are suppressed: "
        f"{'; '.join(told)}. Own neurons surely matter more for: "
        f"{' and '.join(stronger) or 'neither'}."
    )


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
    """The contrast that chance decided: facts shown in many wordings or in one, equally often."""
    row = first(of_main_localiser(results, pick(wording_rows(results), regime=CONTRAST)))
    if not row:
        return ""
    told = f"{row['cs2']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]".replace("-", "−")
    judged = "whether wordings make a difference is open"
    if row["low"] > 0:
        judged = "training with many wordings makes a fact's queries share more neurons"
    if row["high"] < 0:
        judged = "training with many wordings makes a fact's queries share fewer neurons"
    by = LOCALISERS.get(row["localiser"], row["localiser"])
    return (
        f"CS2 of reworded − repeated facts by {by}: {told}, {number(row['n'])} facts on the "
        f"smaller side: {judged}."
    )
