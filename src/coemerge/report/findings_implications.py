"""Whether what an edit implies follows from it, in sentences and beside published claims; words
that judge follow from intervals here."""

from collections.abc import Sequence

from coemerge.report.findings import change, finding, surely_above, surely_below
from coemerge.report.markup import Html, number
from coemerge.report.neuron_rows import (
    ALL,
    CONDITIONS,
    FAMILIES,
    IMPLIED,
    REPLACED,
    editors_of,
    families_of,
    rate_row,
    rate_rows,
)
from coemerge.report.results import Results
from coemerge.report.side_rows import editor_name

HALF = 0.5
TAKES = 0.9  # success of edits themselves
_FEW = 10  # facts: of fewer an interval says nothing
_KNOWN = ("stated_known", "known")  # facts on which failure is one of the edit
_WHAT = {"symmetry": "the inverse", "synonymy": "the synonymous restatement"}
_CHECKS = {
    "the edit itself": dict.fromkeys(FAMILIES, "rewrite"),
    "implied": IMPLIED,
    "replaced": REPLACED,
}
_MAIN = ("the edit itself", "implied")
_LESS, _MOST, _OPEN = "less", "most", "open"


def implication_finding(results: Results) -> Html:
    """Of each family whether what has to follow does; empty without."""
    families = families_of(rate_rows(results))
    if not families:
        return Html("")
    heads = [f"{_WHAT[family]} {_verdict(results, family)}" for family in families]
    return finding(
        f"Of what an edit implies, {'; '.join(heads)}.",
        *[_told(results, family, main_condition(results, family), _MAIN) for family in families],
        *[_told(results, family, "not_stated", _MAIN[1:]) for family in families],
        "Published: edits fail both tests (no numbers at hand). Where training never showed the "
        "restatement, failure says nothing about editing.",
    )


def main_condition(results: Results, family: str) -> str:
    """Facts whose restatement training showed and the model knew, where there are any."""
    rows = rate_rows(results, family=family)
    for condition in _KNOWN:
        if (rows[rows["condition"] == condition]["n"] > 0).any():
            return condition
    return ALL


def _verdict(results: Results, family: str) -> str:
    condition = main_condition(results, family)
    if condition not in _KNOWN:
        return "cannot be judged, as the model answers none right before"
    of = {"family": family, "condition": condition, "moment": "post"}
    found = set()
    for editor in editors_of(rate_rows(results, family=family)):
        rewrite = rate_row(results, editor=editor, check="rewrite", **of)
        implied = rate_row(results, editor=editor, check=IMPLIED[family], **of)
        if rewrite and implied and not surely_below(rewrite, TAKES):
            enough = implied["n"] >= _FEW
            less, most = surely_below(implied, HALF), surely_above(implied, HALF)
            found.add(_LESS if enough and less else _MOST if enough and most else _OPEN)
    if not found:
        return "cannot be judged, as no edits take"
    if found == {_OPEN}:
        return "is undecided"
    where = ", where that is decided" if _OPEN in found else ""
    if {_LESS, _MOST} <= found:
        return f"mostly follows with some editors and not with others{where}"
    return f"mostly {'does not follow' if _LESS in found else 'follows'}{where}"


def implied_says(results: Results) -> str:
    """Every family under the condition that says most, then where training showed no restatement,
    with all editors."""
    told = [
        part
        for family in families_of(rate_rows(results))
        for condition in dict.fromkeys((main_condition(results, family), "not_stated"))
        if (part := _told(results, family, condition))
    ]
    return " ".join(told)


def _told(
    results: Results, family: str, condition: str, checks: Sequence[str] = tuple(_CHECKS)
) -> str:
    rows = rate_rows(results, family=family, condition=condition)
    if rows.empty:
        return ""
    head = f"{FAMILIES[family]}, {CONDITIONS[condition]}"
    n = int(rows["n"].max())
    if not n:
        return f"{head}: no such facts."
    parts = [
        part
        for words in checks
        if (part := _check(results, family, condition, words, _CHECKS[words][family]))
    ]
    return f"{head} (n = {number(n)}): {'; '.join(parts)}." if parts else ""


def _check(results: Results, family: str, condition: str, words: str, check: str) -> str:
    """``implied: ROME 5.0 %, FT 4.0 % (before 1.0 %)``."""
    of = {"family": family, "condition": condition, "check": check}
    editors = editors_of(rate_rows(results, family=family))
    under = [
        f"{editor_name(editor)} {change(row)}"
        for editor in editors
        if (row := rate_row(results, editor=editor, moment="post", **of))
    ]
    before = [
        change(row)
        for editor in editors
        if (row := rate_row(results, editor=editor, moment="pre", **of))
    ]
    note = f" (before: {'; '.join(dict.fromkeys(before))})" if before else ""
    return f"{words}: {', '.join(under)}{note}" if under else ""


def implication_controls(results: Results) -> list[str]:
    """Beside P4-b: success of the edits themselves, and what the untouched model gives."""
    told = []
    for family in families_of(rate_rows(results)):
        condition = main_condition(results, family)
        of = {"family": family, "condition": condition}
        rewrites = [
            f"{editor_name(editor)} {change(row)}"
            for editor in editors_of(rate_rows(results, family=family))
            if (row := rate_row(results, editor=editor, check="rewrite", moment="post", **of))
        ]
        facts = f"{FAMILIES[family].lower()}, {CONDITIONS[condition]}"
        if rewrites:
            told.append(f"the edit itself, {facts}: {', '.join(rewrites)}")
        before = [
            change(row)
            for editor in editors_of(rate_rows(results, family=family))
            if (row := rate_row(results, editor=editor, check=IMPLIED[family], moment="pre", **of))
        ]
        if before:
            told.append(f"implied, before the edit, {facts}: {'; '.join(dict.fromkeys(before))}")
    return told
