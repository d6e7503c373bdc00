"""Edits of the two sides as a table: every editor, side, probe and measure before and under the
edit, beside the published ones (methods 4.3)."""

from collections.abc import Iterable

import pandas as pd

from coemerge.report.findings import share
from coemerge.report.markup import Html, element, folded, join, lines, number, points, table
from coemerge.report.plotting import arm_label
from coemerge.report.published import PUBLISHED_SIDES
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import (
    ALL,
    CONTROLS,
    EDITORS,
    MEASURES,
    NO_CONTROL,
    OTHER,
    PROBES,
    SIDES,
    arms_of,
    cross_row,
)

_MEAN = "mean"  # harmonic, of the entity and the relation probe
_LINES = {**PROBES, _MEAN: "harmonic mean of entity and relation"}
_KEYS = ("arm", "editor", "edit_side", "probe", "measure", "moment")
Values = dict[tuple[str, ...], Row]
_UNKNOWN = "published after (before: unknown)"


def cross_tables(results: Results) -> Html:
    """All facts in the open, arms folded away; empty without."""
    found = _values(results)
    arms = pd.DataFrame({"arm": [arm for arm, *_ in found]})
    parts: list[object] = []
    for arm in arms_of(arms):
        told = _cross_table(found, arm)
        parts.append(
            told if arm == ALL else folded(f"The same of facts {arm_label(arm, ' ')}", told)
        )
    if not parts:
        return Html("")
    note = (
        "Share of prompts on which the wanted answer is the likelier of the two (specificity: on "
        "which the old one stays so; other facts of the subject: on which their answer stays the "
        "likeliest of all), mean over facts with 95 % interval; changes are paired by "
        "fact. Published: GPT-2 XL on facts from CounterFact, one value without interval; what "
        "the untouched model gives there is not published with it."
    )
    title = element("h3", "Edits of either side, asked from either side")
    return join([title, element("p", element("small", note)), *parts], "\n")


def _values(results: Results) -> Values:
    """Rows of ``cross_side`` and, with ``mean`` for their probe, of ``side_means``, by arm, editor,
    edited side, probe, measure and moment; undefined ones left out."""
    cross = pick(results.table("cross_side"), control=NO_CONTROL)
    means = results.table("side_means").assign(probe=_MEAN)
    rows = [*cross.to_dict("records"), *means.to_dict("records")]
    known = [row for row in rows if pd.notna(row["value"]) and row["editor"] in EDITORS]
    return {tuple(str(row[name]) for name in _KEYS): row for row in known}


def _cross_table(found: Values, arm: str) -> Html:
    """A row per editor, edited side and probe; published pairs beside all facts."""
    published = arm == ALL
    header = ["Editor", "Edited", "Asked: wanted answer"]
    for measure in MEASURES:
        header += [f"{measure}: before", "under the edit"]
        header += [_UNKNOWN] if published and measure != "specificity" else []
    rows = [
        line
        for editor in EDITORS
        for side in SIDES
        for probe in _LINES
        if (line := _line(found, (arm, editor, side, probe), published))
    ]
    if rows and published:
        rows += _not_measured()
    return table([*[_capital(name) for name in header], "Facts"], rows)


def _line(
    found: Values, key: tuple[str, str, str, str], published: bool
) -> tuple[object, ...] | None:
    _, editor, side, probe = key
    cells: list[object] = [EDITORS[editor].label, SIDES[side], _LINES[probe]]
    known: list[Row] = []
    for measure in MEASURES:
        pre, post, difference = (
            found.get((*key, measure, moment), {}) for moment in ("pre", "post", "difference")
        )
        cells += [share(pre), _under(post, difference)]
        if published and measure != "specificity":
            cells.append(published_text(editor, side, probe, measure))
        known += [row for row in (pre, post) if row]
    return (*cells, _counts(known)) if known else None


def _under(post: Row, difference: Row) -> Html:
    told = points(difference["value"], difference["low"], difference["high"]) if difference else ""
    return lines([share(post), *([element("small", told)] if told else [])])


def _counts(rows: list[Row]) -> str:
    """``60``, or ``55 to 60 of 62`` where it is not defined for all."""
    ns = [int(row["n"]) for row in rows]
    totals = [row.get("n_total") for row in rows]
    total = max(int(n if n is not None and pd.notna(n) else 0) for n in totals)
    told = number(min(ns)) if min(ns) == max(ns) else f"{number(min(ns))} to {number(max(ns))}"
    return told if total <= min(ns) else f"{told} of {number(total)}"


def published_text(editor: str, side: str, probe: str, measure: str) -> str:
    """``99.9 %``; a dash where nothing is published."""
    pair = PUBLISHED_SIDES.get((editor, side, measure))
    if pair is None or probe not in (*SIDES, _MEAN):
        return "–"
    entity, relation = pair
    of = {"entity": entity, "relation": relation, _MEAN: harmonic_mean(entity, relation)}
    return f"{of[probe]:.1f} %"


def harmonic_mean(one: float, other: float) -> float:
    return 2 * one * other / (one + other)


def _not_measured() -> Iterable[tuple[object, ...]]:
    """Editors of which there are published values alone."""
    others = dict.fromkeys(name for name, _, _ in PUBLISHED_SIDES if name not in EDITORS)
    for editor in others:
        for side in SIDES:
            for probe in (*SIDES, _MEAN):
                cells: list[object] = []
                for measure in ("efficacy", "generalisation"):
                    cells += ["–", "–", published_text(editor, side, probe, measure)]
                name = f"{editor.upper()} (not measured here)"
                yield (name, SIDES[side], _LINES[probe], *cells, "–", "–", "–")


def control_table(results: Results) -> Html:
    """The edits themselves beside controls in their place, on the edited prompts of both sides;
    empty without."""
    frame = results.table("cross_side")
    rows = [
        line
        for arm in arms_of(frame)
        for editor in EDITORS
        for side in SIDES
        for probe in (side, OTHER[side])
        if (line := _controlled(results, arm, editor, side, probe))
    ]
    header = ["Facts", "Editor", "Edited", "Asked: wanted answer", "Before", "Under the edit"]
    told = table([*header, *[f"Under the {name}" for name in CONTROLS.values()], "Facts"], rows)
    note = (
        "In place of a fact's edit: that of another fact of its relation, or the same one with "
        "what it writes turned in a random direction, read at the same tokens and as large. What "
        "these bring on a side is not the fact's."
    )
    title = "Other edits in place of the fact's"
    return folded(title, join([element("p", element("small", note)), told])) if rows else told


def _controlled(
    results: Results, arm: str, editor: str, side: str, probe: str
) -> tuple[object, ...] | None:
    of = {"editor": editor, "edit_side": side, "probe": probe, "measure": "efficacy"}
    pre, post = (cross_row(results, arm, moment=moment, **of) for moment in ("pre", "post"))
    others = [cross_row(results, arm, moment="post", control=name, **of) for name in CONTROLS]
    if not any(others):
        return None
    counted = _counts([row for row in (pre, post, *others) if row])
    told = [share(row) for row in (pre, post, *others)]
    facts = "all" if arm == ALL else arm_label(arm, " ")
    return facts, EDITORS[editor].label, SIDES[side], _LINES[probe], *told, counted


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
