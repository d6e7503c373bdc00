"""Results of the two sides of facts that were never measured, of the shape in which the study
writes them."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coemerge.tables.store import table_schema
from tests.report.made_up import Tables, write_results

ARMS = {"all": 60, "entity_only": 18, "relation_only": 18, "both_sides": 24}
EDITORS = ("rome", "memit", "ft", "ft_l", "kn")
SIDES = ("entity", "relation")
THIRD = {"entity": "entity_third", "relation": "relation_third"}
PROBES = (*SIDES, "removal", *THIRD.values())
MEASURES = ("efficacy", "generalisation", "specificity")
PRE = {"entity": 0.02, "relation": 0.05, "removal": 0.03, "entity_third": 0.01,
       "relation_third": 0.02}  # fmt: skip
DAMAGE = 0.05  # to a third object, of any edit
CONTROLS = {"mismatched": 0.06, "random": 0.04}  # success in place of any edit
OWN = {"rome": 0.99, "memit": 0.95, "ft": 0.97, "ft_l": 0.6, "kn": 0.3}
TRANSFER = {"all": 0.2, "entity_only": 0.02, "relation_only": 0.1, "both_sides": 0.4}
DOCUMENTS = {  # by arm and side
    "all": (520.0, 430.0),
    "entity_only": (420.0, 0.0),
    "relation_only": (0.0, 880.0),
    "both_sides": (420.0, 880.0),
}
LAYERS = range(8)
AROUND_SUBJECT = ("first_subject", "middle_subject", "last_subject", "first_subsequent", "further",
                  "last")  # fmt: skip
AROUND_SPAN = ("first_corrupted", "middle_corrupted", "last_corrupted", "subject", "other", "last")
TOTALS = {"subject": 0.62, "relation": 0.4, "both": 0.8, "neutral": 0.06}


def side_tables() -> Tables:
    """All tables that the page reads, plausible and repeatable."""
    return {
        "side_exclusions": _exclusions(),
        "cross_side": _cross(),
        "side_transfer": _transfer(),
        "side_means": _means(),
        "edit_choice": _choice(),
        "edit_outcomes": _outcomes(),
        "tracing_totals": _totals(),
        "tracing_effects": _effects(),
        "attention_shares": _shares(),
    }


def summary() -> list[dict[str, Any]]:
    """A few rows of the side-by-side table."""
    usual = {"n": 60, "n_total": 90, "seeds": [0], "published": None, "source": "made-up",
             "low": 0.1, "high": 0.2}  # fmt: skip
    rows = [
        {"id": "P2-a", "name": "mean/efficacy/rome/entity/post", "value": 0.14,
         "quantity": "ROME, entity edit, under it"},
        {"id": "P2-a", "name": "mean/efficacy/rome/entity/pre", "value": 0.13,
         "quantity": "ROME, entity edit, untouched"},
        {"id": "P2-a", "name": "transfer/efficacy/rome/entity", "value": 0.12, "unit": "index",
         "quantity": "ROME, entity edit, TI"},
        {"id": "P2-b", "name": "total/bare/subject", "value": 0.62, "quantity": "total, subject"},
        {"id": "P2-b", "name": "total/bare/relation", "value": 0.4, "quantity": "total, relation"},
    ]  # fmt: skip
    return [{**usual, **row} for row in rows]


def write_sides(
    directory: Path, tables: Mapping[str, pd.DataFrame], rows: list[dict[str, Any]] | None = None
) -> Path:
    """A run's directory with these tables."""
    return write_results(directory, "entity_relation", tables, summary() if rows is None else rows)


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=table_schema(table).names)


def _estimate(value: float, half: float, name: str = "value") -> dict[str, float]:
    return {name: value, "sd": 2 * half, "low": value - half, "high": value + half}


def _exclusions() -> pd.DataFrame:
    reasons = {"not known": 8, "without another object": 2, "kept for choosing settings": 3,
               "studied": 0}  # fmt: skip
    rows = [
        {"seed": 0, "relation": relation, "arm": arm, "reason": reason, "n": n or ARMS[arm] // 2}
        for relation, arm, (reason, n) in product(("birthplace", "employer"), ARMS, reasons.items())
        if arm != "all"
    ]
    return _frame("side_exclusions", rows)


def post(arm: str, editor: str, side: str, probe: str, measure: str) -> float:
    """Mean success under the edit."""
    if measure == "specificity":
        return 0.8 if editor == "ft" else 0.97
    if probe in THIRD.values():
        return PRE[probe] + DAMAGE
    gain = OWN[editor] * (0.7 if measure == "generalisation" else 1.0)
    own = probe == side or (probe, side) == ("removal", "relation")
    return PRE[probe] + (gain if own else gain * TRANSFER[arm]) * (1 - PRE[probe])


def _cross() -> pd.DataFrame:
    rows = []
    for (arm, n), editor, side in product(ARMS.items(), EDITORS, SIDES):
        of = {"arm": arm, "editor": editor, "edit_side": side}
        for probe, measure in product(PROBES, MEASURES):
            before = 1.0 if measure == "specificity" else PRE[probe]
            if probe in THIRD.values() and measure == "specificity":
                continue
            under = post(arm, editor, side, probe, measure)
            asked = {"probe": probe, "measure": measure, "control": "none"}
            rows += _moments({**of, **asked}, n, before, under)
        asked = {"probe": "same_subject", "measure": "specificity", "control": "none"}
        rows += _moments({**of, **asked}, n, 1.0, 0.9 if side == "entity" else 0.8)
        for probe, (control, under) in product(SIDES, CONTROLS.items()):
            asked = {"probe": probe, "measure": "efficacy", "control": control}
            rows += _moments({**of, **asked}, n, PRE[probe], under)
    return _frame("cross_side", rows)


def _moments(of: dict[str, str], n: int, before: float, under: float) -> list[dict[str, Any]]:
    values = {"pre": before, "post": under, "difference": under - before}
    return [
        {**of, "moment": moment, "n": n - (of["measure"] == "specificity"), "n_total": n,
         **_estimate(value, 0.01 if moment == "pre" else 0.04)}
        for moment, value in values.items()
    ]  # fmt: skip


def _transfer() -> pd.DataFrame:
    rows = []
    for (arm, n), editor, side, probe, measure in product(
        ARMS.items(), EDITORS, SIDES, SIDES, MEASURES[:2]
    ):
        index = 1.0 if side == probe else TRANSFER[arm] + 0.03 * EDITORS.index(editor) - 0.02
        index += 0.1 * (measure == "generalisation" and side != probe)
        gain = post(arm, editor, side, probe, measure) - PRE[probe]
        own = post(arm, editor, probe, probe, measure) - PRE[probe]
        half = 0.0 if side == probe else 0.08
        net = 1.0 if side == probe else index - 0.04
        rows.append(
            {"arm": arm, "editor": editor, "edit_side": side, "probe": probe, "measure": measure,
             "index": index, "low": index - half, "high": index + half, "gain": gain,
             "net": net, "net_low": net - half, "net_high": net + half, "n_none": n // 2,
             "own_gain": own, "n_documents": DOCUMENTS[arm][SIDES.index(probe)], "n": n,
             "undefined": 0.0}
        )  # fmt: skip
    return _frame("side_transfer", rows)


def _means() -> pd.DataFrame:
    rows = []
    for (arm, n), editor, side, measure, moment in product(
        ARMS.items(), EDITORS, SIDES, MEASURES, ("pre", "post")
    ):
        under = [post(arm, editor, side, probe, measure) for probe in SIDES]
        before = [1.0, 1.0] if measure == "specificity" else [PRE[probe] for probe in SIDES]
        one, other = under if moment == "post" else before
        value = 2 * one * other / (one + other)
        rows.append(
            {"arm": arm, "editor": editor, "edit_side": side, "measure": measure, "moment": moment,
             "value": value, "low": value - 0.03, "high": value + 0.03, "n": n}
        )  # fmt: skip
    return _frame("side_means", rows)


def _choice() -> pd.DataFrame:
    rows = []
    for editor, side, layer, lr in product(EDITORS, SIDES, (2, 3), (0.5, 2.0)):
        es = OWN[editor] - 0.1 * (lr == 0.5) - 0.05 * (layer == 2)
        rows.append(
            {"seed": 0, "editor": editor, "edit_side": side, "layer": -1 if editor == "kn" else
             layer, "setting": f"lr={lr:g}, steps=20, try={layer}", "es": es, "ps": es - 0.2,
             "ns": 0.9, "ks": 0.95,
             "s": 4 / (1 / es + 1 / max(es - 0.2, 0.01) + 1 / 0.9 + 1 / 0.95),
             "traced": layer == 3, "chosen": (layer, lr) == (3, 2.0), "n": 26}
        )  # fmt: skip
    return _frame("edit_choice", rows)


def _outcomes() -> pd.DataFrame:
    rows = [
        {"seed": 0, "fact_id": f"fact-{k:02d}", "arm": "both_sides", "editor": editor,
         "edit_side": side, "loss": float("nan") if editor == "kn" else 0.05 + 0.001 * k,
         "n_steps": 0 if editor == "kn" else 20 + k % 3, "diverged": editor == "ft" and k < 3,
         "already_answered": side == "relation" and k == 5, "size": 0.1}
        for k, editor, side in product(range(60), EDITORS, SIDES)
    ]  # fmt: skip
    return _frame("edit_outcomes", rows)


def _totals() -> pd.DataFrame:
    tokens = {"subject": 3.4, "relation": 5.0, "both": 8.4, "neutral": 5.0}
    rows = [
        {"setting": setting, "corrupt": corrupt, "p_clean": 0.91, "p_corrupted": 0.91 - total,
         **_estimate(total, 0.05, "total_effect"), "n_corrupted": tokens[corrupt],
         "n": 90 if setting == "bare" else 70, "n_kept": 80, "n_total": 100}
        for setting, (corrupt, total) in product(("bare", "prefixed"), TOTALS.items())
        if (setting == "bare") == (corrupt == "both") or corrupt in ("subject", "relation")
    ]  # fmt: skip
    return _frame("tracing_totals", rows)


# The last corrupted token is one of several further ones where the relation is corrupted too.
HELD = {"subject": "last_subject", "relation": "last_corrupted", "both": "further"}


def effect(corrupt: str, kind: str, role: str, layer: int) -> float:
    """Made up: an early site at the corrupted span's end, a late one at the last token."""
    scale = {"resid": 1.0, "mlp": 0.5, "attn": 0.25 if corrupt == "subject" else 0.5,
             "resid_mlp_severed": 0.3, "resid_attn_severed": 0.8}[kind]  # fmt: skip
    early = 0.5 * np.exp(-((layer - 2) ** 2) / 6) * (role in ("last_subject", "last_corrupted"))
    late = 0.6 / (1 + np.exp(4.5 - layer)) * (role == "last")
    low = -0.01 * (role == "further" and kind == "attn")
    return float(scale * (early + late) + low)


def _effects() -> pd.DataFrame:
    rows = []
    for corrupt, kind, layer in product(TOTALS, ("resid", "mlp", "attn"), LAYERS):
        if corrupt == "neutral":
            continue
        for place, role in enumerate(AROUND_SPAN if corrupt == "relation" else AROUND_SUBJECT):
            window = 1 if kind == "resid" or layer == 0 else 2
            rows.append(_effect(corrupt, kind, role, layer, window, place))
    for corrupt, kind, layer in product(
        ("subject", "relation", "both"), ("resid_mlp_severed", "resid_attn_severed"), LAYERS
    ):
        role = HELD[corrupt]
        rows.append(_effect(corrupt, kind, role, layer, 1, 2))
    return _frame("tracing_effects", rows)


def _effect(
    corrupt: str, kind: str, role: str, layer: int, window: int, place: int
) -> dict[str, Any]:
    return {"corrupt": corrupt, "kind": kind, "role": role, "layer": layer, "window": window,
            "place": place, **_estimate(effect(corrupt, kind, role, layer), 0.02, "aie"),
            "n": 60 if role.startswith("middle") else 80}  # fmt: skip


def _shares() -> pd.DataFrame:
    values = {
        "share_attn": {"subject": 0.3, "relation": 0.52, "both": 0.4, "relation - subject": 0.22},
        "loss_mlp_severed": {"subject": 0.7, "relation": 0.5, "both": 0.6,
                             "relation - subject": -0.2},
        "loss_attn_severed": {"subject": 0.2, "relation": 0.24, "both": 0.2,
                              "relation - subject": 0.04},
    }  # fmt: skip
    rows = [
        {"corrupt": corrupt, "site": site, "measure": measure,
         "role": "" if "-" in corrupt else "last_subject",
         "layer": 3 if site == "best" and "-" not in corrupt else -1,
         "value": value, "low": value - 0.07, "high": value + 0.07, "n": 78}
        for measure, by in values.items()
        for corrupt, value in by.items()
        for site in ("best", "corrupted")
    ]  # fmt: skip
    return _frame("attention_shares", rows)
