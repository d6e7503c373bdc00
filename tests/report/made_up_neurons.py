"""The results of a study of knowledge neurons that was never run: of four phenomena of agreement
and three relations."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coemerge.tables.store import table_schema
from tests.report.made_up import Tables, write_results

PHENOMENA = {
    "anaphor_gender": ("feminine", "masculine"),
    "determiner_noun": ("plural", "singular"),
    "noun_determiner": ("plural", "singular"),
    "subject_verb": ("plural", "singular"),
}
RELATIONS = ("birthplace", "capital", "field")
KINDS = ("syntax", "facts")
TOPICS = {**dict.fromkeys(PHENOMENA, "syntax"), **dict.fromkeys(RELATIONS, "facts")}
SPLITS = {
    "syntax": ("seen", "held_out_words", "held_out_frames"),
    "facts": ("seen_templates", "held_out_templates"),
}
DETERMINERS = {
    "plural": ("many", "several", "these", "those"),
    "singular": ("each", "every", "that", "this"),
    "neutral": ("any", "my", "our", "some", "the", "your"),
}
STEMS = ("dax", "drem", "fep", "gorp", "kiv", "mib", "tove", "wug", "yim", "zorp")
CHANGES = ("suppressed", "enhanced")
CONTROLS = {"none": 1.0, "mismatched": 0.3, "random": 0.02}  # and what part of the effect each has
EDITORS = ("rome", "memit", "ft", "kn")
WRITES = {"rome": 0.98, "memit": 0.94, "ft": 0.9, "kn": 0.3}  # success on the edited prompt
FAMILIES = {
    "symmetry": ("capital", "capital_of"),
    "synonymy": ("field", "occupation"),
}
CHECKS = {  # expected, before any edit, and what part of an edit shows
    "symmetry": {
        "source_old": ("falls", 1.0, -1.0),
        "rewrite": ("holds", 0.0, 1.0),
        "inverse_new": ("holds", 0.01, 0.05),
        "inverse_old": ("falls", 0.9, -0.1),
        "inverse_swapped": ("open", 0.02, 0.01),
        "inverse_displaced": ("falls", 0.9, -0.2),
        "unrelated_kept": ("holds", 1.0, -0.02),
        "unrelated_donor": ("open", 0.0, 0.0),
    },
    "synonymy": {
        "source_old": ("falls", 1.0, -1.0),
        "rewrite": ("holds", 0.0, 1.0),
        "synonym_new": ("holds", 0.02, 0.4),
        "synonym_old": ("falls", 0.95, -0.4),
        "unrelated_kept": ("holds", 1.0, -0.02),
        "unrelated_donor": ("open", 0.0, 0.0),
    },
}
CONDITIONS = {  # facts
    "all": 40, "known": 20, "unknown": 20, "stated": 22, "not_stated": 18, "stated_known": 20,
    "not_stated_known": 0, "took": 30, "took_known": 15, "took_stated_known": 15,
    "took_known_kept": 12,
}  # fmt: skip
ARMS = {"symmetry": ("A0_full", "A6_one_direction"), "synonymy": ("A0_full", "A7_one_synonym")}
LAYERS = range(8)
ROLES = ("first_subject", "middle_subject", "last_subject", "first_subsequent", "further", "last")


def neuron_tables() -> Tables:
    """All tables that the page reads, plausible and repeatable."""
    return {
        "skills": _skills(),
        "neuron_groups": _groups(),
        "categorical": _categorical(),
        "token_shifts": _shifts(),
        "surface_fits": _fits(),
        "syntax_totals": _totals(),
        "syntax_effects": _effects(),
        "rewrites": _rewrites(),
        "rewrite_choice": _choice(),
        "implication_rates": _rates(),
        "completions": _completions(),
    }


def summary() -> list[dict[str, Any]]:
    """A few rows of the side-by-side table."""
    usual = {"n": 40, "n_total": None, "seeds": [0], "published": None, "source": "made-up",
             "low": 0.1, "high": 0.2}  # fmt: skip
    rows = [
        {"id": "P4-a", "name": "size/syntax/class", "value": 4.0, "low": 2.0, "high": 5.0,
         "quantity": "neurons of a set, syntax"},
        {"id": "P4-a", "name": "excess/syntax/class", "value": 0.44, "quantity": "excess, syntax"},
        {"id": "P4-a", "name": "size/syntax/item", "value": 3.0, "quantity": "sets of a word"},
        {"id": "P4-b", "name": "symmetry/rome/all/post", "value": 0.12,
         "quantity": "ROME, symmetry, under it"},
        {"id": "P4-b", "name": "symmetry/rome/all/pre", "value": 0.13,
         "quantity": "ROME, symmetry, untouched"},
    ]  # fmt: skip
    return [{**usual, **row} for row in rows]


def write_neurons(
    directory: Path, tables: Mapping[str, pd.DataFrame], rows: list[dict[str, Any]] | None = None
) -> Path:
    """A run's directory with these tables."""
    return write_results(
        directory, "knowledge_neurons", tables, summary() if rows is None else rows
    )


def groups_of(topic: str) -> tuple[str, ...]:
    return PHENOMENA.get(topic, (topic,))


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=table_schema(table).names)


def _estimate(value: float, half: float, name: str = "value") -> dict[str, float]:
    return {name: value, "sd": 2 * half, "low": value - half, "high": value + half}


def _skills() -> pd.DataFrame:
    rows = []
    for topic, kind in TOPICS.items():
        for group, split in product(groups_of(topic), SPLITS[kind]):
            weak = topic == "anaphor_gender" and split == "held_out_words"
            accuracy = 0.6 if weak else 0.99 - 0.2 * (split == "held_out_templates")
            rows.append(
                {"seed": 0, "kind": kind, "topic": topic, "group": group, "split": split, "n": 100,
                 "accuracy": accuracy, "low": accuracy - 0.05, "high": min(1.0, accuracy + 0.04),
                 "margin": 4.0 if kind == "syntax" else float("nan"),
                 "chance": 0.5 if kind == "syntax" else 0.02, "studied": topic != "birthplace",
                 "reason": "" if topic != "birthplace" else "answered right too seldom"}
            )  # fmt: skip
    return _frame("skills", rows)


def excess(kind: str, level: str) -> float:
    """Of every set alike, but for a step of 0.01 from one group to the next."""
    return {"class": 0.3, "item": 0.4}[level] + 0.1 * (kind == "facts")


def _groups() -> pd.DataFrame:
    rows = []
    for topic, kind in TOPICS.items():
        for level in ("class", "item"):
            names = groups_of(topic) if level == "class" else [f"{topic}-{k}" for k in range(5)]
            for k, group in enumerate(names):
                own = excess(kind, level) + 0.01 * k
                rows.append(
                    {"seed": 0, "kind": kind, "topic": topic, "level": level, "group": group,
                     "n_prompts": 100 if level == "class" else 6, "n_neurons": 3 + k % 2,
                     "n_coarse": 14.5, "share": 0.7 - 0.05 * k, "is_small": True,
                     "n_compared": 60 if level == "class" else 3, "n_zero": 0,
                     "similarity": own + 0.02, "baseline": 0.02, "excess": own, "low": own - 0.05,
                     "high": own + 0.05}
                )  # fmt: skip
    return _frame("neuron_groups", rows)


def effect(kind: str, level: str, change: str, control: str, measure: str) -> float:
    """What a change of neurons does on average."""
    sign = (1 if change == "suppressed" else -1) * (1 if measure == "error" else -1)
    size = {"error": 0.04, "p": 0.2}[measure] * (1.5 if kind == "facts" else 1.0)
    return sign * size * CONTROLS[control] * (0.5 if level == "item" else 1.0)


def _categorical() -> pd.DataFrame:
    rows = []
    for kind in KINDS:
        topics = [topic for topic in TOPICS if TOPICS[topic] == kind]
        of = [("all", "all"), *[(t, g) for t in topics for g in ("all", *groups_of(t))]]
        for (topic, group), level in product(dict.fromkeys(of), ("class", "item")):
            for change, control, measure in product(CHANGES, CONTROLS, ("error", "p")):
                own = effect(kind, level, change, control, measure)
                before = 0.08 if measure == "error" else 0.7
                rows.append(
                    {"kind": kind, "topic": topic, "level": level, "group": group,
                     "change": change, "control": control, "measure": measure, "before": before,
                     "after": before + own, "difference": own, "low": own - 0.01,
                     "high": own + 0.01, "n": 800 if topic == "all" else 200, "n_groups": 4}
                )  # fmt: skip
    return _frame("categorical", rows)


def words_of(topic: str) -> dict[str, tuple[str, ...]]:
    """Class -> target words."""
    if topic == "noun_determiner":
        return DETERMINERS
    if topic == "anaphor_gender":
        return {"feminine": ("herself",), "masculine": ("himself",)}
    if topic == "determiner_noun":
        return {"plural": tuple(f"{stem}s" for stem in STEMS), "singular": STEMS}
    if topic == "subject_verb":
        return {"plural": ("rest", "sing", "walk"), "singular": ("rests", "sings", "walks")}
    return {"answer": tuple(f"{topic} {k}" for k in range(12))}


def shift(group: str, word_class: str, change: str) -> float:
    """Words of the group's class lose what others gain, and neutral ones a little."""
    own = {group: -3.0, "neutral": 0.2, "answer": -0.5}.get(word_class, 1.5)
    return own if change == "suppressed" else -own


def _shifts() -> pd.DataFrame:
    rows = []
    for topic, kind in TOPICS.items():
        for group, change in product(groups_of(topic), CHANGES):
            for word_class, words in words_of(topic).items():
                for k, word in enumerate(words):
                    own = shift(group, word_class, change) * (1 + 0.1 * k)
                    p = 0.01
                    after = p * (1 + own) if own > 0 else p / (1 - own)
                    rows.append(
                        {"seed": 0, "kind": kind, "topic": topic, "group": group,
                         "change": change, "token": word, "token_class": word_class,
                         "p_before": p, "p_after": after, "shift": own, "random_low": -0.1,
                         "random_high": 0.1, "p_value": 0.001, "q_value": 0.01,
                         "significant": word_class != "neutral", "n": 100}
                    )  # fmt: skip
    return _frame("token_shifts", rows)


COEFFICIENTS = {  # by model and term
    ("alone", "cooccurrence"): 0.4,
    ("with_agreement", "cooccurrence"): 0.05,
    ("with_agreement", "agreement"): 0.9,
    ("within", "cooccurrence"): 0.03,
}


def _fits() -> pd.DataFrame:
    rows = [
        {"topic": topic, "change": change, "measure": measure, "model": model, "term": term,
         "coefficient": value, "low": value - 0.1, "high": value + 0.1, "r_squared": 0.3,
         "n": 400}
        for topic, change, measure in product(("all", *PHENOMENA), CHANGES, ("shift", "log_ratio"))
        for (model, term), value in COEFFICIENTS.items()
    ]  # fmt: skip
    return _frame("surface_fits", rows)


def _totals() -> pd.DataFrame:
    rows = [
        {"kind": kind, "topic": topic, "p_clean": 0.9, "p_corrupted": 0.4,
         **_estimate(0.5, 0.05, "total_effect"), "n": 100, "n_kept": 90, "n_total": 120}
        for topic, kind in [("all", "syntax"), ("all", "facts"), *TOPICS.items()]
    ]  # fmt: skip
    return _frame("syntax_totals", rows)


def indirect(kind: str, state: str, role: str, layer: int) -> float:
    """Made up: an early site at the word that decides, a late one at the last token."""
    scale = {"resid": 1.0, "mlp": 0.5, "attn": 0.3}[state] * (0.8 if kind == "syntax" else 1.0)
    early = 0.5 * np.exp(-((layer - 2) ** 2) / 6) * (role == "last_subject")
    late = 0.6 / (1 + np.exp(4.5 - layer)) * (role == "last")
    return float(scale * (early + late) - 0.01 * (role == "further" and state == "attn"))


def _effects() -> pd.DataFrame:
    rows = []
    for (kind, topic), state, layer in product(
        (("syntax", "all"), ("facts", "all"), ("syntax", "subject_verb")),
        ("resid", "mlp", "attn"), LAYERS,
    ):  # fmt: skip
        for place, role in enumerate(ROLES):
            if (kind, role) == ("syntax", "middle_subject"):
                continue
            rows.append(
                {"kind": kind, "topic": topic, "state": state, "role": role, "layer": layer,
                 "place": place, "window": 1 if state == "resid" or layer == 0 else 2,
                 **_estimate(indirect(kind, state, role, layer), 0.02, "aie"), "n": 90}
            )  # fmt: skip
    return _frame("syntax_effects", rows)


def rewritten(kind: str, editor: str, measure: str, moment: str) -> float:
    """Mean score of edits."""
    before = {"es": 0.02, "ps": 0.05, "ns": 0.97, "top1": 0.0, "s": 0.04}[measure]
    if moment == "pre":
        return before
    under = {"es": 1.0, "ps": 0.9, "ns": 0.6, "top1": 0.95, "s": 0.8}[measure] * WRITES[editor]
    return under - 0.05 * (kind == "facts")


def _rewrites() -> pd.DataFrame:
    rows = [
        {"kind": kind, "topic": topic, "editor": editor, "measure": measure, "moment": moment,
         **_estimate(rewritten(kind, editor, measure, moment), 0.02), "n": 60,
         "layer": -1 if editor == "kn" else 2, "setting": "lr=0.5",
         "token": "last"}
        for topic, kind in [("all", "syntax"), ("all", "facts"), *TOPICS.items()]
        for editor, measure, moment in product(
            EDITORS, ("es", "ps", "ns", "top1", "s"), ("pre", "post"))
    ]  # fmt: skip
    return _frame("rewrites", rows)


def _choice() -> pd.DataFrame:
    rows = [
        {"seed": 0, "kind": kind, "editor": editor, "layer": -1 if editor == "kn" else layer,
         "setting": f"lr={lr:g}", "token": "last", "es": WRITES[editor], "ps": 0.8, "ns": 0.7,
         "s": WRITES[editor] - 0.1 * (lr == 0.5) - 0.05 * (layer == 2), "n": 20,
         "chosen": (layer, lr) == (3, 2.0)}
        for kind, editor, layer, lr in product(KINDS, EDITORS, (2, 3), (0.5, 2.0))
    ]  # fmt: skip
    return _frame("rewrite_choice", rows)


def rate(family: str, editor: str, condition: str, check: str, moment: str) -> float:
    """Mean token agreement of a condition that has facts."""
    _, before, part = CHECKS[family][check]
    if check.startswith(("inverse", "synonym")) and condition in ("unknown", "not_stated"):
        before = 0.0
    change = part * WRITES[editor] if before + part * WRITES[editor] > 0 else -before
    return {"pre": before, "post": before + change, "difference": change}[moment]


def _rates() -> pd.DataFrame:
    rows = []
    for family, checks in CHECKS.items():
        cells = [("all", condition, "all") for condition in CONDITIONS]
        cells += [("all", condition, arm) for arm in ARMS[family] for condition in CONDITIONS]
        cells += [(edited, "all", "all") for edited in FAMILIES[family]]
        for (edited, condition, arm), editor in product(cells, EDITORS):
            n = CONDITIONS[condition] // (1 if arm == edited == "all" else 2)
            for (check, (expected, *_)), moment in product(
                checks.items(), ("pre", "post", "difference")
            ):
                value = rate(family, editor, condition, check, moment) if n else float("nan")
                rows.append(
                    {"family": family, "edited": edited, "condition": condition, "arm": arm,
                     "editor": editor, "check": check, "expected": expected, "moment": moment,
                     **_estimate(value, 0.03), "n": n}
                )  # fmt: skip
    return _frame("implication_rates", rows)


def _completions() -> pd.DataFrame:
    rows = []
    for (family, checks), editor in product(CHECKS.items(), EDITORS):
        for check in list(checks)[1:4]:
            rows.append(
                {"seed": 0, "family": family, "editor": editor, "fact_id": f"{family}-1",
                 "edit": "Arvia -> Tolm (was: Renna)", "check": check,
                 "prompt": f"Made-up prompt of {check}:", "expected": "Arvia", "pre": "Selm .",
                 "post": "Renna ."}
            )  # fmt: skip
    return _frame("completions", rows)
