"""Whether an edit of one side of a fact shows on the other, in sentences and beside published
figures; words that judge follow from intervals here."""

import pandas as pd

from coemerge.report.findings import finding, share, surely_above, surely_below
from coemerge.report.findings_damage import controls_say, damage_says, kept_says
from coemerge.report.markup import Html, number
from coemerge.report.plotting import arm_label
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import (
    ALL,
    EDITORS,
    OTHER,
    SIDES,
    arms_of,
    before_row,
    cross_row,
    main_arm,
    mean_row,
    transfer_rows,
)
from coemerge.report.side_verdicts import (
    HALF,
    TAKES,
    beyond_damage,
    chosen_to_fail,
    judged_transfer,
    nothing_changes,
    success_row,
    takes,
)

SATURATED = 0.9  # success of a probe before any edit
_LEADING = "rome"
_LESS, _MOST, _OPEN = "less", "most", "open"
_NONE_TAKES = (
    "Whether an edit shows on a fact's other side cannot be said, as edits do not take on their own"
)
_UNSTABLE = 0.05  # share of resamples without a transfer index that is worth telling


def side_finding(results: Results) -> Html:
    """Whether edits show on the other side, of facts shown from both where there are any; empty
    without."""
    arm = main_arm(results)
    rows = pick(transfer_rows(results), arm=arm, measure="efficacy")
    if rows.empty:
        return Html("")
    found = [row for row in rows.to_dict("records") if judged_transfer(row)]
    taking = {_extent(row) for row in found if takes(results, arm, row["editor"], row["edit_side"])}
    headline = _headline(taking) if taking or not found else _NONE_TAKES
    return finding(
        f"{headline}:",
        *[_transfer(results, pick(rows, edit_side=side), arm, side) for side in SIDES],
        "Published (GPT-2 XL, with values before an edit taken from another paper, damage not "
        "taken off): 0.07 of a relation edit by ROME shows on the entity side, 0.02 of one by FT.",
        damage_says(results, arm),
        kept_says(results, arm),
        controls_say(results, arm),
        saturation_says(results, arm),
        own_says(results, arm),
    )


def _headline(found: set[str]) -> str:
    if not found:
        return "How much of an edit shows on a fact's other side is not defined"
    if {_LESS, _MOST} <= found:
        return "How much of an edit shows on a fact's other side depends on the editor and the side"
    if found == {_OPEN}:
        return "How much of an edit shows on a fact's other side is undecided"
    much = "Less than half" if _LESS in found else "Most"
    undecided = ", where that is decided" if _OPEN in found else ""
    return f"{much} of an edit of one side shows on a fact's other side{undecided}"


def _extent(row: Row) -> str:
    """Of a row of ``side_transfer``, beyond damage where that is known."""
    if nothing_changes(row):
        return _LESS
    judged = judged_transfer(row)
    if surely_below(judged, HALF):
        return _LESS
    return _MOST if surely_above(judged, HALF) else _OPEN


def transfer_says(results: Results) -> str:
    """TI of every editor for the facts that the finding is of, of the leading one for others."""
    rows = pick(transfer_rows(results), measure="efficacy")
    main = main_arm(results)
    told = []
    for arm in sorted(arms_of(rows), key=lambda name: name != main):
        of_arm = pick(rows, arm=arm) if arm == main else pick(rows, arm=arm, editor=_LEADING)
        told += [_transfer(results, pick(of_arm, edit_side=s), arm, s) for s in SIDES]
    return " ".join(part for part in told if part)


def _transfer(results: Results, rows: pd.DataFrame, arm: str, side: str) -> str:
    """Editors of which the same is to be said stand together."""
    told: dict[str, list[str]] = {}
    for editor in EDITORS:
        if row := first(pick(rows, editor=editor)):
            told.setdefault(_said(results, row), []).append(
                f"{EDITORS[editor].label} {index_text(row)}"
            )
    if not told:
        return ""
    parts = [f"{', '.join(names)}: {judged}" for judged, names in told.items()]
    return (
        f"TI of {SIDES[side]}s asked from the {OTHER[side]} side, facts {_arm(arm)} "
        f"(n = {number(int(rows['n'].max()))}): {'; '.join(parts)}."
    )


def _said(results: Results, row: Row) -> str:
    """What shows of an editor's edits, and on how many facts these take if that is surely few."""
    success = success_row(results, str(row["arm"]), str(row["editor"]), str(row["edit_side"]))
    if surely_below(success, HALF):
        return "the edits themselves mostly fail"
    if surely_below(success, TAKES):
        told = f"the edits take on {share(success)} of facts alone and do not count above"
        return f"{told}: {_judged(row)}"
    return _judged(row)


def _arm(arm: str) -> str:
    return "of all arms" if arm == ALL else arm_label(arm, " ")


def index_text(row: Row) -> str:
    """``0.38 [0.30, 0.46] (net of damage 0.25 [0.17, 0.33])`` of a row of ``side_transfer``; a
    dash where it is not defined."""
    told = _bounded({"value": row["index"], "low": row.get("low"), "high": row.get("high")})
    notes = [f"net of damage {_bounded(net)}"] if (net := beyond_damage(row)) else []
    lost = row.get("undefined")
    if told != "–" and lost is not None and lost > _UNSTABLE:
        notes.append(f"not defined in {number(lost, percent=True)} of resamples")
    return f"{told} ({'; '.join(notes)})" if notes else told


def _bounded(row: Row) -> str:
    value, *bounds = (
        f"{row[name]:.2f}".replace("-0.00", "0.00").replace("-", "−") if pd.notna(row[name]) else ""
        for name in ("value", "low", "high")
    )
    return f"{value} [{', '.join(bounds)}]" if value and all(bounds) else value or "–"


def _judged(row: Row) -> str:
    """What the interval says of transfer beyond damage; where this is not known, of all of it."""
    judged = judged_transfer(row)
    if not judged:
        return "not defined, as edits of that side itself gain less than 2 points"
    if nothing_changes(row):
        n = int(row["n"])
        alike = row.get("n_none", n) == n  # not of single prompts that cancel out
        return f"it shows in none of {number(n)} facts" if alike else "none of it shows on average"
    if pd.isna(judged["low"]) or pd.isna(judged["high"]):
        told = "undecided (no interval)"
    else:
        told = _shows(judged["low"], judged["high"])
    return told if beyond_damage(row) else f"{told} (damage not taken off)"


def _shows(low: float, high: float) -> str:
    if low == high == 0:
        return "nothing shows"
    if low > HALF:
        return "most of the edit shows"
    if high < 0:
        return "it shows the other way round"
    if low > 0:
        return f"some of it shows, {'less' if high < HALF else 'perhaps more'} than half"
    if high < HALF:
        return "whether any of it shows is undecided, surely less than half"
    return "undecided"


def saturation_says(results: Results, arm: str = ALL) -> str:
    """What probes give before any edit, and whether that leaves room."""
    found = {probe: before_row(results, arm, probe) for probe in (*SIDES, "removal")}
    told = [
        f"{probe} probe {_before(results, arm, probe, row)}, n = {number(row['n'])})"
        for probe, row in found.items()
        if row
    ]
    if not told:
        return ""
    return f"Success before any edit, facts {_arm(arm)}: {', '.join(told)}."


def _before(results: Results, arm: str, probe: str, row: Row) -> str:
    if chosen_to_fail(results, arm, probe):
        return "0 % before, by choice of facts (these are known"
    return f"{share(row)} ({_room(row)}"


def _room(row: Row) -> str:
    if surely_above(row, SATURATED):
        return "saturated: values under an edit say nothing about transfer"
    if surely_below(row, HALF):
        return "room to rise"
    return "partly there already"


def own_says(results: Results, arm: str = ALL, editor: str = _LEADING) -> str:
    """Efficacy of an editor on the side that it edits."""
    told = [part for side in SIDES if (part := _own(results, arm, editor, side))]
    return f"{EDITORS[editor].label} on its own side: {'; '.join(told)}." if told else ""


def _own(results: Results, arm: str, editor: str, side: str) -> str:
    of = {"editor": editor, "edit_side": side, "probe": side, "measure": "efficacy"}
    pre, post = (cross_row(results, arm, moment=moment, **of) for moment in ("pre", "post"))
    if not post:
        return ""
    takes = "undecided whether it takes"
    if surely_above(post, TAKES):
        takes = "it takes"
    elif surely_below(post, TAKES):
        takes = "it does not take on all facts, and no more can show elsewhere"
    return f"{SIDES[side]} {share(pre)} before, {share(post)} under it ({takes})"


def side_controls(results: Results) -> list[str]:
    """Beside P2-a: harmonic means before the edit, which are alike for all editors, and TI."""
    rows = results.table("side_means")
    told = []
    for side in SIDES if len(rows) else ():
        for measure in ("efficacy", "generalisation"):
            of = {"edit_side": side, "measure": measure, "moment": "pre"}
            found = [mean_row(results, ALL, editor=name, **of) for name in EDITORS]
            values = list(dict.fromkeys(share(row) for row in found if row))
            if values:
                told.append(f"before the edit, {SIDES[side]}, {measure}: {'; '.join(values)}")
    return told + [part for side in SIDES if (part := _short(results, side))]


def _short(results: Results, side: str) -> str:
    rows = pick(transfer_rows(results), arm=main_arm(results), edit_side=side, measure="efficacy")
    found = [(name, first(pick(rows, editor=name))) for name in EDITORS] if len(rows) else []
    told = [
        f"{EDITORS[name].label} {index_text(row)}"
        for name, row in found
        if row and pd.notna(row["index"])
    ]
    where = f"TI, {SIDES[side]}, facts {_arm(main_arm(results))}"
    return f"{where}: {', '.join(told)}" if told else ""
