"""How much of what an edit changes is damage: what becomes of a third object and of the subject's
other facts, and what edits do that are none of the fact."""

import pandas as pd

from coemerge.report.findings import share, surely_less
from coemerge.report.markup import number
from coemerge.report.results import Results, Row
from coemerge.report.side_rows import (
    CONTROLS,
    EDITORS,
    OTHER,
    SIDES,
    THIRD,
    before_row,
    cross_row,
)
from coemerge.report.side_verdicts import (
    takes,
)

_WRONG = {
    "entity": "a third object is likelier than the old one",
    "relation": "a third object is answered by the relation's name",
}


def damage_says(results: Results, arm: str) -> str:
    """How often a third object comes out, which nobody asked for."""
    told = []
    for probe, words in _WRONG.items():
        before = before_row(results, arm, THIRD[probe])
        under = [
            part
            for side in SIDES
            if (part := _editors(results, arm, side, THIRD[probe], "efficacy"))
        ]
        if before and under:
            n = number(before["n"])
            told.append(f"{words}: {share(before)} before (n = {n}), {', '.join(under)}")
    return f"Damage, as no edit asks for it: {'; '.join(told)}." if told else ""


def kept_says(results: Results, arm: str) -> str:
    """How many of the subject's other facts stay."""
    probe, measure = "same_subject", "specificity"
    before = before_row(results, arm, probe, measure)
    under = [part for side in SIDES if (part := _editors(results, arm, side, probe, measure))]
    if not (before and under):
        return ""
    n = number(before["n"])
    return (
        f"The subject's other facts are still answered right: {share(before)} before (n = {n}), "
        f"{', '.join(under)}."
    )


def _editors(results: Results, arm: str, side: str, probe: str, measure: str) -> str:
    """Editors that take on the side: ``under entity edits ROME 97.0 % [..], ...``."""
    of = {"edit_side": side, "probe": probe, "measure": measure, "moment": "post"}
    told = [
        f"{style.label} {share(row)}"
        for editor, style in EDITORS.items()
        if takes(results, arm, editor, side)
        and (row := cross_row(results, arm, editor=editor, **of))
    ]
    return f"under {SIDES[side]}s {', '.join(told)}" if told else ""


def controls_say(results: Results, arm: str) -> str:
    """What other edits of the same size do on the other side, beside the edit itself."""
    told = []
    for side in SIDES:
        found = [
            part
            for editor in EDITORS
            if takes(results, arm, editor, side) and (part := _beside(results, arm, editor, side))
        ]
        if found:
            told.append(f"{SIDES[side]}s asked from the {OTHER[side]} side: {', '.join(found)}")
    if not told:
        return ""
    sides = "; for ".join(told)
    return f"Success under an edit of the fact and under others in its place, for {sides}."


def _beside(results: Results, arm: str, editor: str, side: str) -> str:
    of = {"editor": editor, "edit_side": side, "probe": OTHER[side], "measure": "efficacy"}
    own = cross_row(results, arm, moment="post", **of)
    others = [
        f"{name} {share(row)}, {_less(row, own)}"
        for control, name in CONTROLS.items()
        if own and (row := cross_row(results, arm, moment="post", control=control, **of))
    ]
    return f"{EDITORS[editor].label} {share(own)} ({'; '.join(others)})" if others else ""


def _less(row: Row, own: Row) -> str:
    if row["value"] == own["value"] == 0:
        return "as much"
    known = all(pd.notna(r[name]) for r in (row, own) for name in ("low", "high"))
    if known and surely_less(row, own):
        return "surely less"
    return "surely more" if known and surely_less(own, row) else "undecided which is more"
