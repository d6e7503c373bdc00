"""What an analysis of knowledge neurons logs, from the tables of the study."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from coemerge.tracking.names import knowledge_neurons

Rows = Sequence[Mapping[str, Any]]
_IMPLIED = ("rewrite", "inverse_new", "synonym_new")  # what has to hold under an edit
_MOMENTS = ("pre", "post")
_ALL = "all"


def knowledge_neurons_metrics(tables: Mapping[str, Rows]) -> dict[str, float]:
    """Means over sets of their size and excess similarity; what changed neurons do to errors and
    probabilities; scores under edits of syntax and facts; what edits imply, of all facts and of
    those whose restatement was shown and known; total effects; coefficients of co-occurrence.
    Tables that were not made may be missing; what is not defined is left out."""
    found = _sets(tables.get("neuron_groups", ())) | _implied(tables.get("implication_rates", ()))
    for row in tables.get("categorical", ()):
        chosen = (row["topic"], row["group"], row["level"]) == (_ALL, _ALL, "class")
        if chosen and row["control"] == "none":
            name = f"{row['kind']}_{row['change']}"
            found[knowledge_neurons(f"{row['measure']}_change", name)] = row["difference"]
    for row in tables.get("rewrites", ()):
        if (row["topic"], row["moment"]) == (_ALL, "post"):
            name = f"{row['kind']}_{row['editor']}"
            found[knowledge_neurons(row["measure"], name)] = row["value"]
    for row in tables.get("syntax_totals", ()):
        if row["topic"] == _ALL:
            found[knowledge_neurons("total_effect", row["kind"])] = row["total_effect"]
    for row in tables.get("surface_fits", ()):
        chosen = (row["topic"], row["measure"], row["term"]) == (_ALL, "log_ratio", "cooccurrence")
        if chosen:
            name = f"{row['change']}_{row['model']}"
            found[knowledge_neurons("cooccurrence", name)] = row["coefficient"]
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _sets(rows: Rows) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        name = f"{row['kind']}_{row['level']}"
        values[knowledge_neurons("n_neurons", name)].append(float(row["n_neurons"]))
        if math.isfinite(row["excess"]):
            values[knowledge_neurons("excess", name)].append(float(row["excess"]))
    return {name: sum(known) / len(known) for name, known in values.items()}


def _implied(rows: Rows) -> dict[str, float]:
    """Conditions without facts are left out."""
    found = {}
    for row in rows:
        chosen = (row["edited"], row["arm"]) == (_ALL, _ALL) and row["check"] in _IMPLIED
        if chosen and row["moment"] in _MOMENTS and row["condition"] in (_ALL, "stated_known"):
            facts = "" if row["condition"] == _ALL else f"{row['condition']}_"
            name = f"{row['family']}_{row['editor']}_{row['check']}"
            found[knowledge_neurons(f"{facts}{row['moment']}", name)] = row["value"]
    return found
