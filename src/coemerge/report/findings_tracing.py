"""What noise on the subject and on the relation takes, and what brings the answer back, in
sentences; words that judge follow from intervals here."""

import pandas as pd

from coemerge.report.figure_tracing import cut_layers
from coemerge.report.findings import change, surely_above, surely_below, surely_less
from coemerge.report.markup import number, points
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import (
    CONTRAST,
    CORRUPTIONS,
    KINDS,
    LAST,
    LOSSES,
    NEUTRAL,
    SETTINGS,
    SHARE,
    attention_row,
    attention_rows,
    effect_rows,
    role_name,
    total_row,
)

_HELD = {"loss_mlp_severed": "MLP outputs", "loss_attn_severed": "attention outputs"}
_SMALL = 0.02  # a difference of shares that is surely smaller is none to speak of
_MARK = "(no interval)"
_NO_BOUNDS = " No interval: what is divided by may be 0."
_SITE_NAMES = {
    "best": "best role and layer",
    "role": "best role, all layers",
    "corrupted": "last corrupted token, all layers",
}


def peaks_say(results: Results) -> str:
    """The highest effect before the last token, by kind and corruption; whole windows alone."""
    rows = effect_rows(results, *KINDS)
    told = []
    for corrupt in CORRUPTIONS if len(rows) else ():
        found = [
            f"{KINDS[kind]} {_peak(row, corrupt)}"
            for kind in KINDS
            if (row := peak_row(pick(rows, corrupt=corrupt, kind=kind)))
        ]
        if found:
            told.append(f"noise on {corrupt}: {', '.join(found)}")
    if not told:
        return ""
    return f"Highest effects before the last token, {'; '.join(told)}."


def peak_row(rows: pd.DataFrame) -> Row:
    """Of one kind and corruption; a maximum, so that its interval is that of a chosen cell. Roles
    of fewer than half of the prompts are of other prompts, and left out."""
    whole = rows[~rows["layer"].isin(cut_layers(rows)) & (rows["role"] != LAST)]
    whole = whole[whole["n"] >= rows["n"].max() / 2]
    return first(whole.sort_values("aie", ascending=False, kind="stable"))


def _peak(row: Row, corrupt: str) -> str:
    where = f"{role_name(row['role'], corrupt)}, layer {row['layer']}"
    return f"{change(row, 'aie')} ({where}, n = {number(row['n'])})"


def share_says(results: Results) -> str:
    """Attention's share of the effect by corruption, and its difference, which alone is judged."""
    told = []
    for site, words in _SITE_NAMES.items():
        row = attention_row(results, CONTRAST, SHARE, site)
        each = [
            f"{corrupt} {_ratio(own)}"
            for corrupt in CORRUPTIONS
            if (own := attention_row(results, corrupt, SHARE, site))
        ]
        contrast = f"relation − subject {_points(row)}: {_judged(row)}" if row else ""
        if parts := [part for part in (", ".join(each), contrast) if part]:
            told.append(f"{words}: {'; '.join(parts)}")
    if not told:
        return ""
    said = f"Attention's share of the indirect effect. {'. '.join(map(_capital, told))}."
    return said + (_NO_BOUNDS if _MARK in said else "")


def _ratio(row: Row) -> str:
    return change(row) + ("" if pd.notna(row["low"]) and pd.notna(row["high"]) else f" {_MARK}")


def _judged(row: Row) -> str:
    """Of a difference between relation and subject."""
    n = f"n = {number(row['n'])}"
    if surely_above(row, -_SMALL) and surely_below(row, _SMALL):
        return f"surely less than {100 * _SMALL:.0f} points, none to speak of ({n})"
    if surely_above(row, 0):
        return f"attention carries more of it when the relation is corrupted ({n})"
    if surely_below(row, 0):
        return f"attention carries less of it when the relation is corrupted ({n})"
    return f"undecided ({n})"


def neutral_says(results: Results) -> str:
    """Noise on relation tokens beside noise on as many neutral ones, in the same prompts."""
    found = {name: total_row(results, "prefixed", name) for name in (*CORRUPTIONS, NEUTRAL)}
    known = {name: row for name, row in found.items() if row}
    neutral = known.get(NEUTRAL)
    if not neutral:
        bare = {name: total_row(results, "bare", name) for name in CORRUPTIONS}
        told = [
            f"{name} {change(row)} (n = {number(row['n'])})" for name, row in bare.items() if row
        ]
        if not told:
            return ""
        return (
            f"Noise on tokens takes from the answer's probability: {', '.join(told)}. The neutral "
            "control was not measured: what is the relation's and what any noise would do cannot "
            "be told apart."
        )
    told = [f"{name} {change(row)}" for name, row in known.items()]
    n = f"n = {number(neutral['n'])} of {number(neutral['n_total'])}"
    return (
        f"Noise takes from the answer's probability, {SETTINGS['prefixed'].label} ({n}): "
        f"{', '.join(told)}. {_beyond(known)}"
    ).strip()


def _beyond(known: dict[str, Row]) -> str:
    told = []
    for name in ("relation", "subject"):
        if name in known:
            more, less = (surely_less(*pair) for pair in (
                (known[NEUTRAL], known[name]), (known[name], known[NEUTRAL])))  # fmt: skip
            sure = "surely takes more" if more else "surely takes less" if less else "undecided"
            told.append(
                f"whether noise on the {name} takes more than on neutral words is undecided"
                if sure == "undecided"
                else f"noise on the {name} {sure} than on neutral words"
            )
    return f"{_capital('; '.join(told))}." if told else ""


def severing_says(results: Results) -> str:
    """What restored residuals lose when outputs are held, by corruption; and which is more."""
    told = [part for corrupt in CORRUPTIONS if (part := _severed(results, corrupt))]
    if not told:
        return ""
    said = f"Lost of the residual's effect, {_SITE_NAMES[_loss_site(results)]}: {'; '.join(told)}."
    return said + (_NO_BOUNDS if _MARK in said else "")


def _loss_site(results: Results) -> str:
    """Where restoring gives most back, if outputs were held there; else the last corrupted one."""
    rows = attention_rows(results)
    lost = rows[rows["measure"].isin(LOSSES)] if len(rows) else rows
    return "role" if len(lost) and (lost["site"] == "role").any() else "corrupted"


def _severed(results: Results, corrupt: str) -> str:
    found = {name: attention_row(results, corrupt, name, _loss_site(results)) for name in LOSSES}
    known = {name: row for name, row in found.items() if row}
    told = [f"{_ratio(row)} when {_HELD[name]} are held{_none(row)}" for name, row in known.items()]
    if not told:
        return ""
    n = number(max(int(row["n"]) for row in known.values()))
    return f"noise on {corrupt} (n = {n}) {', '.join(told)}{_which(known)}"


def _none(row: Row) -> str:
    """Where the interval holds 0."""
    if surely_above(row, 0):
        return ""
    return ", surely more with them held" if surely_below(row, 0) else ", undecided"


def _which(known: dict[str, Row]) -> str:
    if len(known) < 2:
        return ""
    mlp, attn = (known[name] for name in LOSSES)
    if surely_less(attn, mlp):
        return ": MLPs surely matter more"
    return (
        ": attention surely matters more" if surely_less(mlp, attn) else ": which more, undecided"
    )


def tracing_controls(results: Results) -> list[str]:
    """Beside P2-b: total effects of other corruptions and the neutral control, the highest
    indirect effects, wherever they are, and severed runs."""
    told = [
        f"noise on {name}, {style.label}: {change(row)} (n = {number(row['n'])})"
        for setting, style in SETTINGS.items()
        for name in (*CORRUPTIONS, NEUTRAL)
        if (row := total_row(results, setting, name))
    ]
    rows = effect_rows(results, *KINDS)
    for corrupt in CORRUPTIONS:
        told += [
            f"noise on {corrupt}, highest effect before the last token: {KINDS[kind]} "
            f"{_peak(row, corrupt)}"
            for kind in (KINDS if len(rows) else ())
            if (row := peak_row(pick(rows, corrupt=corrupt, kind=kind)))
        ]
        told += [
            f"noise on {corrupt}, lost when {words} are held: {change(row)}"
            for name, words in _HELD.items()
            if (row := attention_row(results, corrupt, name, _loss_site(results)))
        ]
    return told


def _points(row: Row) -> str:
    return points(row["value"], row.get("low"), row.get("high"))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
