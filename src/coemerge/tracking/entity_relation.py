"""What an analysis of the two sides of facts logs, from the tables of the study."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from coemerge.tracking.names import entity_relation

Rows = Sequence[Mapping[str, Any]]
_CONTRAST = "relation - subject"  # what is paired, and negative at times


def entity_relation_metrics(tables: Mapping[str, Rows]) -> dict[str, float]:
    """Transfer to the other side, as it is and net of damage, and efficacy under edits of all arms,
    by editor, edited side and probe; total effects; attention's share at the last corrupted token.
    Tables that were not made may be missing; what is not defined is left out."""
    found = {}
    for row in tables.get("side_transfer", ()):
        if (row["arm"], row["measure"]) == ("all", "efficacy") and row["edit_side"] != row["probe"]:
            name = f"{row['editor']}_{row['edit_side']}_to_{row['probe']}"
            found[entity_relation("transfer", name)] = row["index"]
            found[entity_relation("net_transfer", name)] = row["net"]
    for row in tables.get("cross_side", ()):
        chosen = (row["arm"], row["measure"], row["control"]) == ("all", "efficacy", "none")
        if chosen and row["moment"] in ("pre", "post"):
            name = f"{row['editor']}_{row['edit_side']}_on_{row['probe']}"
            found[entity_relation(row["moment"], name)] = row["value"]
    for row in tables.get("tracing_totals", ()):
        name = f"{row['setting']}_{row['corrupt']}"
        found[entity_relation("total_effect", name)] = row["total_effect"]
    for row in tables.get("attention_shares", ()):
        chosen = (row["measure"], row["site"]) == ("share_attn", "corrupted")
        if chosen and row["corrupt"] != _CONTRAST:
            found[entity_relation("attention_share", row["corrupt"])] = row["value"]
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}
