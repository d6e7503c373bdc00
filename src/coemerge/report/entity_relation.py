"""The section on the two sides of a fact: caveats, then figures and tables (methods 4)."""

from pathlib import Path

from coemerge.report.figures_entity_relation import PICTURES
from coemerge.report.markup import Html, element, join
from coemerge.report.picture import figures
from coemerge.report.results import Results
from coemerge.report.side_folds import (
    FOR_SETTINGS,
    STUDIED,
    attention_table,
    choice_table,
    exclusion_table,
    outcome_table,
    reason_words,
    totals_table,
    transfer_table,
)
from coemerge.report.side_tables import control_table, cross_tables

_LEAD = (
    "A fact joins a subject, a relation and an object. From its entity side one asks for the "
    "object, from its relation side for the relation that joins the two, or none. Each fact gets "
    "another object, once by an edit asked for from the entity side and once from the relation "
    "side: logically the same change. Does it show when one asks from the other side?"
)
_CAVEATS = (
    "A value under an edit means nothing without that of the untouched model: a probe may be "
    "answered so before any edit. The relation probe compares a relation's name with none; the "
    "entity probe two objects. Levels of the two are not comparable, changes with those of an "
    "edit of the same side are.",
    "Facts are edited because the model answers them right, from every side that training showed: "
    "the easy ones. Which these are depends on the arm.",
    "Edits are made at the layer that causal tracing points at or that did best on facts kept for "
    "it; settings are chosen on these facts too. Another layer or setting may carry an edit "
    "further.",
    "An edit may do damage that looks like transfer: the old answer goes, and with it whatever "
    "else. TI net of damage takes off what happens to a third object, which no edit asks for; "
    "edits of other facts, edits in random directions and the subject's other facts say more.",
    "Where an edit of a side does not take on that side itself, it says nothing about the other.",
    "Relation words come mostly after the subject: noise on them removes the question too, hence "
    "the neutral control. They are alike for all facts of a relation, so that what they carry may "
    "be the wording's; prompts take turns in several wordings.",
    "Windows of layers are cut at the first and the last layer: compare whole ones alone.",
    "The loss of a relation edit takes its two answers (the name, and none for the old object) by "
    "their own lengths; the public code divides the second by the length of the first.",
    "For tracing with relation words no published numbers are at hand; the published edits come "
    "without the values before them, and it is our guess that they are of GPT-2 XL.",
)


def entity_relation(results: Results, directory: Path) -> Html:
    """Empty where the study was not run; figures go to ``directory``."""
    drawn = figures(results, PICTURES, directory)
    tables = [
        make(results)
        for make in (cross_tables, control_table, transfer_table, exclusion_table, choice_table,
                     outcome_table, totals_table, attention_table)
    ]  # fmt: skip
    found = [part for part in (drawn, *tables) if part]
    if not found:
        return Html("")
    told = element("ul", *[element("li", caveat) for caveat in _CAVEATS], class_="caveats")
    lead = " ".join(part for part in (_LEAD, _studied(results)) if part)
    return join([element("p", lead), told, *found], "\n")


def _studied(results: Results) -> str:
    """How many facts were edited, and why others were not; over all seeds."""
    rows = results.table("side_exclusions")
    if rows.empty:
        return ""
    counts = rows.groupby("reason", sort=False)["n"].sum()
    left_out = counts.drop([STUDIED, FOR_SETTINGS], errors="ignore").sort_values(
        ascending=False, kind="stable"
    )
    told = f"Studied: {counts.get(STUDIED, 0):,} of {counts.sum():,} facts"
    told += f" over {n} seeds" if (n := rows["seed"].nunique()) > 1 else ""
    if kept := counts.get(FOR_SETTINGS, 0):
        told += f"; {FOR_SETTINGS}: {kept:,}"
    why = [f"{n:,} {reason_words(reason)}" for reason, n in left_out.items()]
    return f"{told}{'; left out: ' if why else ''}{', '.join(why)}."
