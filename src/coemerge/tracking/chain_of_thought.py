"""What an analysis of reasoning logs, from the tables of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

from coemerge.tracking.names import chain_of_thought

ALL = "all"


def chain_of_thought_metrics(
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, float]:
    """Drops over all formats, each with the floor that random units of equal size set."""
    found = {}
    for row in tables["cot_drops"]:
        if (row["task"], row["route"]) == (ALL, ALL):
            prompting, masks = str(row["prompting"]), str(row["masks"])
            found[chain_of_thought(prompting, masks)] = float(row["drop"])
            found[chain_of_thought(prompting, f"{masks}_floor")] = float(row["floor"])
    return found
