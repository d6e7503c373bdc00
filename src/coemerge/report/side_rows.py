"""Which rows of the tables of ``entity_relation`` the page shows, and names in plain words."""

import pandas as pd

from coemerge.report.bars import BarStyle
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.style import ARM_COLOURS

ALL = "all"
BOTH_SIDES = "both_sides"  # the arm in which a shared store would let an edit show
EDITORS = {
    "rome": BarStyle("ROME", "#0072B2"),
    "memit": BarStyle("MEMIT", "#56B4E9"),
    "ft": BarStyle("FT", "#D55E00"),
    "ft_l": BarStyle("FT-L", "#E69F00"),
    "kn": BarStyle("KN", "#009E73"),
}
SIDES = {"entity": "entity edit", "relation": "relation edit"}
OTHER = {"entity": "relation", "relation": "entity"}
PROBES = {
    "entity": "entity: the new object",
    "relation": "relation: its name, with the new object",
    "removal": "removal: none, with the old object",
    "entity_third": "control: a third object rather than the old one (should stay)",
    "relation_third": "control: the relation's name, with a third object (should stay)",
    "same_subject": "control: other facts of the subject (should stay)",
}
THIRD = {"entity": "entity_third", "relation": "relation_third"}  # what damage alone gives
CONTROLS = {
    "mismatched": "edit of another fact",
    "random": "edit turned in a random direction",
}
NO_CONTROL = "none"  # the edit itself
MEASURES = {
    "efficacy": "efficacy",
    "generalisation": "generalisation",
    "specificity": "specificity",
}
CORRUPTIONS = {
    "subject": BarStyle("subject", "#0072B2"),
    "relation": BarStyle("relation", "#D55E00"),
    "both": BarStyle("both", "#CC79A7"),
}
NEUTRAL = "neutral"
CONTRAST = "relation - subject"
KINDS = {
    "resid": "residual after one layer",
    "mlp": "MLP outputs",
    "attn": "attention outputs",
}
SEVERED = {
    "resid": BarStyle("ordinary", "#0072B2"),
    "resid_attn_severed": BarStyle("attention held at its\ncorrupted values", "#D55E00"),
    "resid_mlp_severed": BarStyle("MLP held at its\ncorrupted values", "#009E73"),
}
SITES = {
    "best": "best role\nand layer",
    "role": "best role,\nall layers",
    "corrupted": "last corrupted\ntoken, all layers",
}
LOSSES = {
    "loss_mlp_severed": "lost when MLP\noutputs are held",
    "loss_attn_severed": "lost when attention\noutputs are held",
}
SHARE = "share_attn"
SETTINGS = {
    "bare": BarStyle("bare prompts", "#9E9E9E"),
    "prefixed": BarStyle("behind neutral words", "#0072B2"),
}
LAST = "last"  # the role of the token at which the answer is predicted
_ROLES = {
    "first_subsequent": "first token after it",
    "further": "further tokens",
    "other": "other tokens",
    "last": "last token",
    "subject": "subject",
}
_PARTS = ("first", "middle", "last")
_SINGLE = (  # roles of one token, before the last
    "last_corrupted",
    "last_subject",
    "first_corrupted",
    "first_subject",
    "first_subsequent",
)


def role_name(role: str, corrupt: str) -> str:
    """``last subject token``; of a corrupted span, ``last relation token``."""
    part, _, span = role.partition("_")
    if role in _ROLES or part not in _PARTS:
        return _ROLES.get(role, role)
    named = {"corrupted": "corrupted" if corrupt == "both" else corrupt}
    return f"{part} {named.get(span, span)} token"


def editor_name(editor: str) -> str:
    return EDITORS[editor].label if editor in EDITORS else editor


def arms_of(frame: pd.DataFrame) -> list[str]:
    """All facts first, then arms in their order, others by name."""
    known = list(ARM_COLOURS)

    def place(arm: str) -> tuple[int, str]:
        return known.index(arm) if arm in known else len(known), arm

    return sorted(set(frame["arm"]), key=place) if len(frame) else []


def cross_rows(results: Results, measure: str) -> pd.DataFrame:
    """Mean success before and under edits, of known editors and probes, where it is defined."""
    rows = pick(results.table("cross_side"), measure=measure, control=NO_CONTROL)
    if rows.empty:
        return rows
    known = rows["editor"].isin(EDITORS) & rows["probe"].isin(PROBES) & rows["value"].notna()
    return rows[known & rows["edit_side"].isin(SIDES) & rows["moment"].isin(["pre", "post"])]


def cross_row(results: Results, arm: str, **values: str) -> Row:
    """Of ``cross_side``: editor, edit_side, probe, measure, moment, and control if it is not the
    edit itself; empty where not defined."""
    row = first(pick(results.table("cross_side"), arm=arm, **{"control": NO_CONTROL, **values}))
    return row if pd.notna(row.get("value")) else {}


def before_row(results: Results, arm: str, probe: str, measure: str = "efficacy") -> Row:
    """What the untouched model does: the same for every editor, by the probe's own side if asked
    from there."""
    of = {"control": NO_CONTROL, "measure": measure, "moment": "pre"}
    rows = pick(results.table("cross_side"), arm=arm, probe=probe, **of)
    if rows.empty:
        return {}
    known = rows[rows["value"].notna()]
    own = known[known["edit_side"] == probe]
    return first(own if len(own) else known)


def mean_row(results: Results, arm: str, **values: str) -> Row:
    """Of ``side_means``: editor, edit_side, measure, moment; empty where not defined."""
    row = first(pick(results.table("side_means"), arm=arm, **values))
    return row if pd.notna(row.get("value")) else {}


def transfer_rows(results: Results) -> pd.DataFrame:
    """Transfer to the other side, defined or not; an edit's own side is 1 by definition."""
    rows = results.table("side_transfer")
    if rows.empty:
        return rows
    known = rows["editor"].isin(EDITORS) & rows["edit_side"].isin(SIDES)
    return rows[known & (rows["probe"] == rows["edit_side"].map(OTHER))]


def drawn_transfer(results: Results) -> pd.DataFrame:
    """The same where it is defined, one arm by one; all together where there is no other."""
    rows = transfer_rows(results)
    if rows.empty:
        return rows
    rows = rows[rows["index"].notna()]
    apart = rows[rows["arm"] != ALL]
    return apart if len(apart) else rows


def main_arm(results: Results) -> str:
    """Facts that training showed from both sides, where edits of these were measured; else all."""
    rows = transfer_rows(results)
    rows = rows[rows["index"].notna()] if len(rows) else rows
    return BOTH_SIDES if len(rows) and (rows["arm"] == BOTH_SIDES).any() else ALL


def effect_rows(results: Results, *kinds: str) -> pd.DataFrame:
    """Indirect effects of these kinds, where they are defined."""
    rows = results.table("tracing_effects")
    if rows.empty:
        return rows
    known = rows["corrupt"].isin(CORRUPTIONS) & rows["kind"].isin(kinds)
    return rows[known & rows["aie"].notna()]


def severed_rows(results: Results) -> pd.DataFrame:
    """Residuals, ordinary and severed, at the token before the last where restoring gives most
    back, of those with a role of their own: means over several tokens cannot stand beside it."""
    rows = effect_rows(results, *SEVERED)
    found = [own for _, own in rows.groupby("corrupt", sort=False)] if len(rows) else []
    kept = [part for own in found if len(part := _held(own))]
    return pd.concat(kept) if kept else rows.iloc[:0]


def _held(rows: pd.DataFrame) -> pd.DataFrame:
    """Of one corruption: the role of one token, at which as many prompts were severed as not, with
    the highest ordinary effect in a layer but the last."""
    found = rows.iloc[:0]
    highest = float("-inf")
    for role in _SINGLE:
        own = rows[rows["role"] == role]
        counts = own.groupby("kind")["n"].max()
        ordinary = own[(own["kind"] == "resid") & (own["layer"] < rows["layer"].max())]["aie"].max()
        if "resid" in counts and len(counts) > 1 and counts.nunique() == 1 and ordinary > highest:
            found, highest = own, float(ordinary)
    return found


def total_rows(results: Results) -> pd.DataFrame:
    rows = results.table("tracing_totals")
    if rows.empty:
        return rows
    known = rows["corrupt"].isin([*CORRUPTIONS, NEUTRAL]) & rows["setting"].isin(SETTINGS)
    return rows[known & rows["total_effect"].notna()]


def total_row(results: Results, setting: str, corrupt: str) -> Row:
    """With its total effect as ``value``; empty where not defined."""
    row = first(pick(total_rows(results), setting=setting, corrupt=corrupt))
    return {**row, "value": row["total_effect"]} if row else {}


def attention_rows(results: Results) -> pd.DataFrame:
    rows = results.table("attention_shares")
    if rows.empty:
        return rows
    known = rows["corrupt"].isin([*CORRUPTIONS, CONTRAST]) & rows["site"].isin(SITES)
    known &= rows["measure"].isin([SHARE, *LOSSES])
    return rows[known & rows["value"].notna()]


def bounded_attention(results: Results) -> pd.DataFrame:
    """The same without ratios that have no interval, as what they are divided by may be 0."""
    rows = attention_rows(results)
    return rows.dropna(subset=["low", "high"]) if len(rows) else rows


def attention_row(results: Results, corrupt: str, measure: str, site: str) -> Row:
    """Empty where not defined."""
    return first(pick(attention_rows(results), corrupt=corrupt, measure=measure, site=site))
