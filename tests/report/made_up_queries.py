"""Results of query localization that were never measured, of the shape in which the study writes
them."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coemerge.tables.store import table_schema
from tests.report.made_up import Tables, write_results

RELATIONS = ("birthplace", "employer", "language", "profession", "residence")
LOCALISERS = ("joint", "single", "gradient")
CLASSES = ("consistent", "inconsistent")
FACTS = {"consistent": 18, "inconsistent": 42}
CS2 = {"none": 0.27, "other_facts": 0.12, "same_answer": 0.2, "context": 0.55, "random": 0.01}
SHARES = {"none": 0.7, "other_facts": 0.95, "same_answer": 0.8, "context": 0.15, "random": 1.0}
N_OF = {"same_answer": 40, "context": 8}  # facts that have this control, else 60


def query_tables(wordings: bool = True) -> Tables:
    """All tables that the page reads, plausible and repeatable."""
    rng = np.random.default_rng(0)
    found = {
        "exclusions": _exclusions(),
        "consistency": _consistency(rng),
        "consistency_means": _means(),
        "class_shares": _shares(),
        "mapping_effects": _mapping(),
        "synapse_effects": _synapses(),
        "edit_scores": _edits(),
        "consistent_choice": _choice(),
        "neuron_maps": _maps(rng),
    }
    return {**found, "wording_effects": _wordings()} if wordings else found


def summary(value: float = 0.61) -> list[dict[str, Any]]:
    """The rows of the side-by-side table."""
    usual = {"n": 60, "n_total": None, "seeds": [0], "published": None, "source": "made-up"}
    share = {"id": "P3-a", "name": "inconsistent/all/none", "quantity": "share, all localisers",
             "value": value, "low": 0.5, "high": 0.7}  # fmt: skip
    null = {**share, "name": "inconsistent/all/other_facts", "quantity": "null: other facts"}
    gains = [
        {"id": "P3-b", "name": f"gain/{other}/both", "quantity": f"consistent - {other}",
         "value": 0.05, "low": -0.01, "high": 0.11, "unit": "points"}
        for other in ("local", "equal", "global")
    ]  # fmt: skip
    return [{**row, **usual} for row in (share, null, *gains)]


def write_queries(
    directory: Path, tables: Mapping[str, pd.DataFrame], rows: list[dict[str, Any]] | None = None
) -> Path:
    """A run's directory with these tables."""
    return write_results(
        directory, "query_localization", tables, summary() if rows is None else rows
    )


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=table_schema(table).names)


def _estimate(value: float, half: float, name: str = "value", **others: Any) -> dict[str, Any]:
    return {name: value, "sd": 2 * half, "low": value - half, "high": value + half, **others}


def _exclusions() -> pd.DataFrame:
    reasons = {"beyond study.n_facts": 40, "not known in enough": 100, "studied": 12}
    rows = [
        {"seed": 0, "relation": relation, "arm": "A0_full", "reason": reason, "n": n}
        for relation, (reason, n) in product(RELATIONS, reasons.items())
    ]
    return _frame("exclusions", rows)


def _consistency(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for k, localiser, sets, control in product(range(60), LOCALISERS, ("threshold", "top"), CS2):
        if k >= N_OF.get(control, 60):
            continue
        cs2 = float(np.clip(rng.normal(CS2[control], 0.02 if control == "random" else 0.14), 0, 1))
        rows.append(
            {"seed": 0, "fact_id": f"fact-{k:02d}", "relation": RELATIONS[k % 5], "arm": "A0_full",
             "regime": "", "localiser": localiser, "sets": sets, "control": control,
             "cs1": cs2 / 3, "cs2": cs2, "k": 5, "n_neurons": 20.0 if sets == "top" else 11.4,
             "n_union": 37}
        )  # fmt: skip
    return _frame("consistency", rows)


def _means() -> pd.DataFrame:
    rows = [
        {"relation": relation, "localiser": localiser, "sets": sets, "control": control,
         "measure": measure, "n": N_OF.get(control, 60) if relation == "all" else 12,
         **_estimate(CS2[control] * scale, 0.04 if control == "none" else 0.01)}
        for relation, localiser, sets, control, (measure, scale) in product(
            ("all", *RELATIONS), LOCALISERS, ("threshold", "top"), CS2, (("cs1", 0.3), ("cs2", 1)))
    ]  # fmt: skip
    beyond = [
        {**row, "control": f"none - {row['control']}", "n": N_OF.get(row["control"], row["n"]),
         **_estimate((CS2["none"] - CS2[row["control"]]) * (0.3 if row["measure"] == "cs1" else 1),
                     0.03)}
        for row in rows if row["control"] != "none"
    ]  # fmt: skip
    return _frame("consistency_means", rows + beyond)


def _shares() -> pd.DataFrame:
    rows = []
    for localiser, threshold, sets, control in product(
        (*LOCALISERS, "all"), ("0.1", "0.2", "0.3", "otsu"), ("threshold", "top"), SHARES
    ):
        nowhere = float("nan")
        cut = nowhere if localiser == "all" else 0.36 if threshold == "otsu" else float(threshold)
        share = SHARES[control] * (0.9 if localiser == "all" else 1.0)
        rows.append(
            {"localiser": localiser, "threshold": threshold, "sets": sets, "control": control,
             "main": (localiser, threshold, sets, control) == ("joint", "0.3", "threshold", "none"),
             "cut": cut, "share": share, "low": share - 0.1, "high": min(1.0, share + 0.1),
             "cs2_consistent": 0.44, "cs2_inconsistent": 0.19, "welch_t": 11.2, "p_value": 1e-9,
             "n": N_OF.get(control, 60)}
        )  # fmt: skip
    return _frame("class_shares", rows)


def _mapping() -> pd.DataFrame:
    changes = {"own": -0.62, "union": -0.45, "intersection": -0.2, "mismatched": -0.1,
               "random": -0.01, "own - union": -0.17, "own - intersection": -0.42,
               "own - mismatched": -0.52}  # fmt: skip
    rows = [
        {"cls": cls, "neurons": neurons, "sizes": sizes, "factor": factor,
         "n_neurons": 4.2 if sizes == "matched" else 11.4, "n": n - (sizes == "matched") * n // 3,
         "n_total": n,
         **_estimate(change * (1.0 if cls == "consistent" or neurons == "own" else 0.5)
                     * (1 if factor == 0 else -0.4), 0.06, "delta_prob")}
        for (cls, n), (neurons, change), sizes, factor in product(
            [*FACTS.items(), ("all", 60)], changes.items(), ("full", "matched"), (0.0, 2.0))
    ]  # fmt: skip
    return _frame("mapping_effects", rows)


def _synapses() -> pd.DataFrame:
    rows = [
        {"cls": cls, "synapses": synapses, "factor": factor, "rows": kind, "measure": measure,
         "n": n, **_estimate(size * (-0.4 if factor == 0 else 0.3)
                             * (0.8 if kind == "renormalised" else 1), 0.05)}
        for (cls, n), (synapses, size), factor, kind, measure in product(
            [*FACTS.items(), ("all", 60)], (("own", 1.0), ("unrelated", 0.2)), (0.0, 2.0),
            ("raw", "renormalised"), ("delta_kn", "delta_prob"))
    ]  # fmt: skip
    return _frame("synapse_effects", rows)


def _edits() -> pd.DataFrame:
    scores = {"local": (0.95, 0.3, 0.25, 0.9, 0.8, 0.717, 0.02, 11.4),
              "global": (1.0, 0.9, 0.6, 0.55, 0.4, 0.817, 0.31, 37.0),
              "consistent": (0.97, 0.7, 0.5, 0.85, 0.7, 0.84, 0.06, 14.2),
              "equal": (0.96, 0.4, 0.3, 0.86, 0.75, 0.74, 0.05, 14.2),
              "mismatched": (0.4, 0.2, 0.2, 0.9, 0.6, 0.5, 0.02, 11.0),
              "random": (0.05, 0.04, 0.03, 0.99, 0.98, 0.36, 0.001, 11.4)}  # fmt: skip
    before = {"rel": 0.0, "gen": 0.02, "gen_new": 0.02, "loc": 1.0, "loc_near": 1.0, "avg": 0.34,
              "ppl_change": 0.0, "n_neurons": 0.0}  # fmt: skip
    updates = {"rome": (0.9, 0.45, 0.4, 0.95, 0.85, 0.767, 0.03, np.nan),
               "memit": (0.8, 0.35, 0.3, 0.97, 0.9, 0.707, 0.01, np.nan)}  # fmt: skip
    rows = [
        {"cls": cls, "edit": edit, "neurons": neurons, "measure": measure,
         "n": n - (measure == "gen_new"), "before": before[measure], **_estimate(value, 0.03)}
        for (cls, n), edit in product([*FACTS.items(), ("all", 60)], ("erase", "update"))
        for neurons, values in {**scores, **(updates if edit == "update" else {})}.items()
        for measure, value in zip(before, values, strict=True) if not np.isnan(value)
    ]  # fmt: skip
    return _frame("edit_scores", rows)


def _choice() -> pd.DataFrame:
    best = {"erase": 2.0, "update": 0.0}  # beta
    rows = [
        {"edit": edit, "neurons": neurons, "beta": beta, "tau": tau,
         "avg": 0.75 - 0.01 * abs(beta - best[edit]) - (0.3 - tau), "n": 15,
         "chosen": tau == 0.3 and (neurons != "consistent" or beta == best[edit])}
        for edit, beta, tau in product(best, (0.0, 0.5, 1.0, 2.0), (0.2, 0.3))
        for neurons in (("local", "global", "consistent") if beta == 0 else ("consistent",))
    ]  # fmt: skip
    return _frame("consistent_choice", rows)


def _wordings() -> pd.DataFrame:
    means = {"once": 0.2, "repeated": 0.22, "reworded": 0.39, "reworded - repeated": 0.17}
    rows = [
        {"facts": facts, "regime": regime, "localiser": localiser, "sets": sets, "n": n,
         **_estimate(mean * scale, 0.07 * scale, "cs2")}
        for (facts, n, scale), (regime, mean), localiser, sets in product(
            (("assigned", 20, 1.0), ("known", 7, 1.5)), means.items(), LOCALISERS,
            ("threshold", "top"))
    ]  # fmt: skip
    return _frame("wording_effects", rows)


def _maps(rng: np.random.Generator) -> pd.DataFrame:
    texts = (
        "The birth record of Cekkil Prunddask names",
        "Cekkil Prunddask came into the world in the well-known town of",
    )
    scales = {"untouched": 1.0, "suppressed": 0.4, "enhanced": 1.6}
    rows = []
    for cls in CLASSES:
        shared = 0.02 * rng.exponential(size=(4, 32)) ** 2
        for query, text in enumerate(texts):
            own = shared if cls == "consistent" else 0.02 * rng.exponential(size=(4, 32)) ** 2
            for (state, scale), layer, place in product(scales.items(), range(4), range(32)):
                rows.append(
                    {"cls": cls, "fact_id": f"fact-{cls}", "text": text, "query": query,
                     "synapses": state, "layer": layer, "bin": place,
                     "attribution": scale * own[layer, place]}
                )  # fmt: skip
    return _frame("neuron_maps", rows)
