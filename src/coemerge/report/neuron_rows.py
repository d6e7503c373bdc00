"""Which rows of the tables of ``knowledge_neurons`` the page shows, and names in plain words."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from coemerge.report.bars import BarStyle
from coemerge.report.query_rows import first
from coemerge.report.results import Results, Row, pick
from coemerge.report.side_rows import KINDS as STATES
from coemerge.report.side_rows import editor_name, role_name

ALL = "all"
CLASS, ITEM = "class", "item"
SYNTAX, FACTS = "syntax", "facts"
KINDS = {SYNTAX: BarStyle("syntax", "#0072B2"), FACTS: BarStyle("facts", "#D55E00")}
LEVELS = {CLASS: "neurons of a class", ITEM: "neurons of one item"}
CHANGES = {"suppressed": "suppressed (× 0)", "enhanced": "enhanced (× 2)"}
CONTROLS = {
    "none": "the group's own neurons",
    "mismatched": "another group's neurons",
    "random": "random neurons",
}
OUTCOMES = {"error": "share not answered right", "p": "probability of the right answer"}
TOKEN_CLASSES = {
    "plural": BarStyle("plural", "#0072B2"),
    "singular": BarStyle("singular", "#D55E00"),
    "feminine": BarStyle("feminine", "#CC79A7"),
    "masculine": BarStyle("masculine", "#009E73"),
    "neutral": BarStyle("neutral", "#7F7F7F"),
}
OTHER_CLASS = BarStyle("other", "#E69F00")
NEUTRAL = "neutral"
SCORES = {
    "es": "ES: edited prompt",
    "ps": "PS: other sentences or wordings",
    "ns": "NS: other words or subjects left alone",
    "top1": "new answer the likeliest of all",
    "s": "S: harmonic mean of ES, PS, NS",
}
MOMENTS = ("pre", "post")
FAMILIES = {"symmetry": "Symmetry", "synonymy": "Synonymy"}
IMPLIED = {"symmetry": "inverse_new", "synonymy": "synonym_new"}  # what has to follow from an edit
REPLACED = {"symmetry": "inverse_old", "synonymy": "synonym_old"}  # and what has to go
CHECKS = {
    "source_old": "s → old object",
    "rewrite": "s → new object (rewrite)",
    "inverse_new": "new object → s",
    "inverse_old": "old object → s",
    "inverse_swapped": "old object → new object's old subject",
    "inverse_displaced": "new object → its old subject",
    "synonym_new": "s → synonym of the new object",
    "synonym_old": "s → synonym of the old object",
    "unrelated_kept": "other facts of s kept",
    "unrelated_donor": "other facts of s → those of the new object's old subject",
}
EXPECTED = {"holds": "should hold", "falls": "should fall", "open": "open"}
CONDITIONS = {
    ALL: "all facts",
    "stated_known": "restatement shown and known",
    "stated": "restatement shown in training",
    "not_stated": "restatement never shown",
    "not_stated_known": "never shown, yet known",
    "known": "restatement answered right before",
    "unknown": "restatement not answered right",
    "took": "edits that take",
    "took_stated_known": "edits that take, restatement shown and known",
    "took_known": "edits that take, restatement known",
    "took_known_kept": "edits that take and keep other facts of s, restatement known",
}
_BY_EXPOSURE = (ALL, "stated_known", "not_stated")
_BY_ANSWERS = (ALL, "known", "unknown")  # where nobody knows what training showed
MODELS = {
    ("alone", "cooccurrence"): BarStyle("co-occurrence, alone", "#E69F00"),
    ("with_agreement", "cooccurrence"): BarStyle("co-occurrence, beside agreement", "#0072B2"),
    ("with_agreement", "agreement"): BarStyle("agreement, beside co-occurrence", "#009E73"),
    ("within", "cooccurrence"): BarStyle("co-occurrence, of pairs\nthat agree", "#CC79A7"),
}
SPLITS = {
    "seen": "seen words and frames",
    "held_out_words": "held-out words",
    "held_out_frames": "held-out frames",
    "seen_templates": "wordings of training",
    "held_out_templates": "held-out wordings",
}
_CUE = "word that decides"


def topics_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """(kind, topic): syntax first; in a kind all topics together, then each by name."""
    if frame.empty:
        return []
    order = list(KINDS)
    found = set(zip(frame["kind"], frame["topic"], strict=True))
    known = [pair for pair in found if pair[0] in order]
    return sorted(known, key=lambda pair: (order.index(pair[0]), pair[1] != ALL, pair[1]))


def topic_name(topic: str, kind: str = "") -> str:
    return f"all {kind}" if topic == ALL else topic.replace("_", " ")


def role_labels(roles: Iterable[str], kind: str) -> dict[str, str]:
    """Of facts ``last subject token``; of syntax the word that decides, or its tokens."""
    if kind != SYNTAX:
        return {role: role_name(role, "subject") for role in roles}
    found = set(roles)
    one = {role for role in found if role.endswith("_subject")} == {"last_subject"}
    return {
        role: f"the {_CUE}"
        if one and role == "last_subject"
        else role_name(role, "subject").replace("subject token", f"token of the {_CUE}")
        for role in found
    }


def skill_rows(results: Results) -> pd.DataFrame:
    rows = results.table("skills")
    return rows if rows.empty else rows[rows["kind"].isin(KINDS) & rows["accuracy"].notna()]


def group_rows(results: Results) -> pd.DataFrame:
    """Sets of neurons whose similarity is defined."""
    rows = results.table("neuron_groups")
    return rows if rows.empty else rows[rows["kind"].isin(KINDS) & rows["excess"].notna()]


def answer_rows(results: Results, level: str = CLASS) -> pd.DataFrame:
    """Errors and probabilities by topic, all its groups together."""
    rows = pick(results.table("categorical"), level=level, group=ALL)
    if rows.empty:
        return rows
    known = rows["kind"].isin(KINDS) & rows["change"].isin(CHANGES) & rows["measure"].isin(OUTCOMES)
    return rows[known & rows["control"].isin(CONTROLS) & rows["difference"].notna()]


def answer_row(results: Results, kind: str, level: str, change: str, **of: str) -> Row:
    """Of all topics of a kind: ``measure`` and ``control``, with the difference as ``value``; empty
    where not defined."""
    rows = pick(answer_rows(results, level), kind=kind, topic=ALL, change=change, **of)
    row = first(rows)
    return {**row, "value": row["difference"]} if row else {}


def shift_rows(results: Results, kind: str = SYNTAX) -> pd.DataFrame:
    """Shifts of tokens, where they are defined (an infinite one is)."""
    rows = pick(results.table("token_shifts"), kind=kind)
    return rows if rows.empty else rows[rows["change"].isin(CHANGES) & rows["shift"].notna()]


def shifted_topics(results: Results) -> list[str]:
    """Phenomena, first those whose targets are determiners: these have neutral ones."""
    rows = shift_rows(results)
    if rows.empty:
        return []
    neutral = set(rows.loc[rows["token_class"] == NEUTRAL, "topic"])
    return sorted(set(rows["topic"]), key=lambda topic: (topic not in neutral, topic))


def fit_rows(results: Results, measure: str) -> pd.DataFrame:
    rows = pick(results.table("surface_fits"), measure=measure)
    if rows.empty:
        return rows
    known = [pair in MODELS for pair in zip(rows["model"], rows["term"], strict=True)]
    return rows[np.array(known) & rows["coefficient"].notna() & rows["change"].isin(CHANGES)]


def traced_rows(results: Results) -> pd.DataFrame:
    """Indirect effects over all topics of a kind, where they are defined; in the column ``part``
    as a share of the kind's mean total effect, NaN where that is not known."""
    rows = pick(results.table("syntax_effects"), topic=ALL)
    if rows.empty:
        return rows
    rows = rows[rows["kind"].isin(KINDS) & rows["state"].isin(STATES) & rows["aie"].notna()]
    totals = pick(results.table("syntax_totals"), topic=ALL)
    taken = totals.set_index("kind")["total_effect"].to_dict() if len(totals) else {}
    total = rows["kind"].map(taken).astype(float)
    return rows.assign(part=rows["aie"] / total.where(total > 0))


def rewrite_rows(results: Results) -> pd.DataFrame:
    """Scores of edits of all topics of a kind."""
    rows = pick(results.table("rewrites"), topic=ALL)
    if rows.empty:
        return rows
    return rows[rows["kind"].isin(KINDS) & rows["measure"].isin(SCORES) & rows["value"].notna()]


def rate_rows(results: Results, **of: str) -> pd.DataFrame:
    """Rows of ``implication_rates``, also of conditions without facts; of all relations and arms
    unless ``of`` says otherwise."""
    rows = pick(results.table("implication_rates"), **{"edited": ALL, "arm": ALL, **of})
    return rows if rows.empty else rows[rows["family"].isin(FAMILIES)]


def rate_row(results: Results, **of: str) -> Row:
    """family, condition, editor, check, moment; empty where there are no such facts."""
    rows = rate_rows(results, **of)
    row = first(rows)
    return row if row and row["n"] and pd.notna(row["value"]) else {}


def conditions_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """Those to draw: by what training showed, else by what the untouched model answers right."""
    counted = rows[rows["condition"].isin(["stated", "not_stated"])]["n"].sum() if len(rows) else 0
    wanted = _BY_EXPOSURE if counted else _BY_ANSWERS
    return tuple(name for name in wanted if len(rows) and (rows["condition"] == name).any())


def families_of(rows: pd.DataFrame) -> list[str]:
    return [name for name in FAMILIES if len(rows) and (rows["family"] == name).any()]


def editors_of(rows: pd.DataFrame) -> list[str]:
    """In the order of the table, which is that of the settings."""
    return list(dict.fromkeys(rows["editor"])) if len(rows) else []


def names(editors: Iterable[str]) -> list[str]:
    return [editor_name(editor) for editor in editors]
