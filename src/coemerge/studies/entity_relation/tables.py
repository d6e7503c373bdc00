"""All tables of the study, from what was found in each model."""

from collections.abc import Sequence

import pandas as pd

from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.study import Studied
from coemerge.studies.entity_relation.tracing_tables import tracing_tables
from coemerge.studies.entity_relation.transfer import cross_side, side_means, side_transfer
from coemerge.studies.shared.means import Rows


def entity_relation_tables(
    runs: Sequence[Studied], config: EntityRelationConfig
) -> dict[str, Rows]:
    """Table name -> rows (``tables.entity_relation_records``); tracing is missing where none was
    asked for."""
    edits = pd.concat([run.side_edits for run in runs], ignore_index=True)
    documents = pd.concat(
        run.subject.facts[["fact_id", "entity", "relation_side"]].assign(seed=run.subject.seed)
        for run in runs
    )
    counts = [run.cases.counts.assign(seed=run.subject.seed) for run in runs]
    tables = {
        "side_exclusions": pd.concat(counts).to_dict("records"),
        "side_edits": edits.to_dict("records"),
        "edit_outcomes": pd.concat([run.outcomes for run in runs]).to_dict("records"),
        "cross_side": cross_side(edits, config),
        "side_transfer": side_transfer(edits, documents, config),
        "side_means": side_means(edits, config),
        "edit_choice": pd.concat([run.tried for run in runs]).to_dict("records"),
    }
    if traced := [run.traced for run in runs if run.traced]:
        tables |= tracing_tables(traced, config)
    return {name: rows for name, rows in tables.items() if rows}
