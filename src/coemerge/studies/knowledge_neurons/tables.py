"""All tables of the study, over all models."""

from collections.abc import Sequence

import pandas as pd

from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.effects import categorical_rows
from coemerge.studies.knowledge_neurons.implication_rates import implication_rates
from coemerge.studies.knowledge_neurons.rewriting import rewrite_rows
from coemerge.studies.knowledge_neurons.study import Studied
from coemerge.studies.knowledge_neurons.surface import surface_fits
from coemerge.studies.knowledge_neurons.tracing import tracing_rows
from coemerge.studies.shared.means import Rows


def knowledge_neurons_tables(
    runs: Sequence[Studied], config: KnowledgeNeuronsConfig
) -> dict[str, Rows]:
    """Table name -> rows (``tables.knowledge_neurons_records`` and ``knowledge_edits_records``);
    what a world does not have, or was not asked for, is missing."""
    words = pd.concat([run.word_shifts for run in runs], ignore_index=True)
    tables = {
        "skills": _joined([run.skills for run in runs]),
        "neuron_groups": _joined([run.found.rows.assign(seed=run.seed) for run in runs]),
        "group_neurons": _joined([run.found.units.assign(seed=run.seed) for run in runs]),
        "categorical": categorical_rows([run.effects.prompts for run in runs], config),
        "token_shifts": _joined([run.token_shifts for run in runs]),
        "word_shifts": words.to_dict("records"),
        "surface_fits": surface_fits(words, config),
        **tracing_rows([run.traced for run in runs], config),
        "rewrites": rewrite_rows([run.rewriting.edits for run in runs], config),
        "rewrite_choice": _joined([run.rewriting.tried for run in runs]),
        "implications": _joined([run.implied.rows for run in runs]),
        "implication_rates": implication_rates([run.implied.rows for run in runs], config),
        "completions": _joined([run.implied.completions for run in runs]),
    }
    return {name: rows for name, rows in tables.items() if rows}


def _joined(frames: Sequence[pd.DataFrame]) -> Rows:
    return [row for frame in frames for row in frame.to_dict("records")]
