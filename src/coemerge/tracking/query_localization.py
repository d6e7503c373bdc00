"""What an analysis of query localization logs, from the tables of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

from coemerge.tracking.names import query_localization

Rows = Sequence[Mapping[str, Any]]


def query_localization_metrics(
    tables: Mapping[str, Rows], threshold: float | str
) -> dict[str, float]:
    """Share of inconsistent facts by localiser, mean CS2 of the main tables, and Avg of edits."""
    found = {}
    for row in tables["class_shares"]:
        if (row["threshold"], row["sets"], row["control"]) == (str(threshold), "threshold", "none"):
            found[query_localization("inconsistent", str(row["localiser"]))] = float(row["share"])
    for row in tables["consistency_means"]:
        if " - " in row["control"]:  # a difference follows from the two
            continue
        if (row["relation"], row["sets"], row["measure"]) == ("all", "threshold", "cs2"):
            name = query_localization("cs2", f"{row['localiser']}_{row['control']}")
            found[name] = float(row["value"])
    for row in tables["edit_scores"]:
        if (row["cls"], row["measure"]) == ("all", "avg"):
            name = query_localization(str(row["edit"]), str(row["neurons"]))
            found[name] = float(row["value"])
    return found
