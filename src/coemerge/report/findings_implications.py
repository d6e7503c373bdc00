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
    topic_name,
)
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import editor_name

HALF = 0.5
KEEPS = 0.9  # of other facts of a subject: where fewer stay, an edit has changed the subject
_FEW = 10  # facts: of fewer an interval says nothing
_KNOWN = ("stated_known", "known")  # facts on which failure is one of the edit
_WHAT = {"symmetry": "the inverse", "synonymy": "the synonymous restatement"}
_CHECKS = {
    "the edit itself": dict.fromkeys(FAMILIES, "rewrite"),
    "implied": IMPLIED,
    "replaced": REPLACED,
    "other facts of the subject kept": dict.fromkeys(FAMILIES, "unrelated_kept"),
}
_EDITED = ("rewrite", "source_old", "unrelated_kept")  # settled by which facts are edited
_KEPT = "took_known_kept"
_OTHERS = "other facts of the subject kept"
_MAIN = ("the edit itself", "implied", _OTHERS)
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
        *[_taking(results, family) for family in families],
        *[_told(results, family, _KEPT, ("implied",)) for family in families if _any_kept(results)],
        *[_told(results, family, "not_stated", ("implied",)) for family in families],
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
    of = {"family": family, "condition": f"took_{condition}", "moment": "post"}
    found = set()
    smear = False
    for editor in editors_of(rate_rows(results, family=family)):
        implied = rate_row(results, editor=editor, check=IMPLIED[family], **of)
        took = rate_row(results, editor=editor, check="rewrite", **of)
        if took and implied and took["n"] >= _FEW:
            enough = implied["n"] >= _FEW
            less, most = surely_below(implied, HALF), surely_above(implied, HALF)
            found.add(_LESS if enough and less else _MOST if enough and most else _OPEN)
            kept = rate_row(results, editor=editor, check="unrelated_kept", **of)
            smear |= most and bool(kept) and surely_below(kept, KEEPS)
    if not found:
        return "cannot be judged, as few edits take"
    told = _words(found)
    return f"{told}, though other facts of the subject change too" if smear else told


def _words(found: set[str]) -> str:
    """``found``: what editors bring."""
    if found == {_OPEN}:
        return "is undecided"
    where = ", where that is decided" if _OPEN in found else ""
    if {_LESS, _MOST} <= found:
        return f"mostly follows with some editors and not with others{where}"
    return f"mostly {'does not follow' if _LESS in found else 'follows'}{where}"


def _any_kept(results: Results) -> bool:
    rows = rate_rows(results, condition=_KEPT)
    return bool(len(rows) and (rows["n"] > 0).any())


def _taking(results: Results, family: str) -> str:
    """``Edits that take, and where they do what they imply: ROME 80 of 112, 71.0 %; capital: ROME
    51 of 56, ...``: of all, then of each direction."""
    condition = main_condition(results, family)
    if condition not in _KNOWN:
        return ""
    rows = pick(results.table("implication_rates"), family=family, arm=ALL)
    parts = []
    for edited in (ALL, *sorted(set(rows["edited"]) - {ALL})):
        of = {"family": family, "edited": edited, "moment": "post"}
        told = []
        for editor in editors_of(rows):
            all_edits = rate_row(results, editor=editor, condition=condition, check="rewrite", **of)
            took = {"editor": editor, "condition": f"took_{condition}", **of}
            n = rate_row(results, check="rewrite", **took).get("n", 0)
            implied = rate_row(results, check=IMPLIED[family], **took)
            if all_edits:
                follows = f", {change(implied)}" if implied else ""
                told.append(
                    f"{editor_name(editor)} {number(n)} of {number(all_edits['n'])}{follows}"
                )
        if told:
            head = "" if edited == ALL else f"{topic_name(edited)} edited: "
            parts.append(head + "; ".join(told))
    if not parts:
        return ""
    return f"{FAMILIES[family]}: edits that take, and of these what is implied: {'. '.join(parts)}."


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
        _before(row) for editor in editors
        if (row := rate_row(results, editor=editor, moment="pre", **of))
    ]  # fmt: skip
    note = f" (before: {'; '.join(dict.fromkeys(before))})" if before else ""
    return f"{words}: {', '.join(under)}{note}" if under else ""


def _before(row: Row) -> str:
    """A share before the edit; without an interval where it is all or none by selection: only facts
    answered right are edited, and what is known is what restates them answered right."""
    selected = row["check"] in _EDITED or row["condition"] in (*_KNOWN, _KEPT)
    if selected and row["value"] in (0, 1):
        return f"{number(row['value'], percent=True)} by selection"
    return change(row)


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
        kept = [
            f"{editor_name(editor)} {change(row)}"
            for editor in editors_of(rate_rows(results, family=family))
            if (
                row := rate_row(results, editor=editor, check="unrelated_kept", moment="post", **of)
            )
        ]
        if kept:
            told.append(f"{_OTHERS}, {facts}: {', '.join(kept)}")
        before = [
            _before(row)
            for editor in editors_of(rate_rows(results, family=family))
            if (row := rate_row(results, editor=editor, check=IMPLIED[family], moment="pre", **of))
        ]
        if before:
            told.append(f"implied, before the edit, {facts}: {'; '.join(dict.fromkeys(before))}")
    return told
