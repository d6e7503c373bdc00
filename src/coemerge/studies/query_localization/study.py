"""One model studied: everything that runs it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from coemerge.interventions.architecture import ModuleMap
from coemerge.localization.neuron_sets import coarse_sets
from coemerge.studies.query_localization.attributions import find_neurons
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.consistency import fact_consistency
from coemerge.studies.query_localization.controls import behind_contexts
from coemerge.studies.query_localization.editor import Editor
from coemerge.studies.query_localization.edits import tried_settings
from coemerge.studies.query_localization.mapping import mapping
from coemerge.studies.query_localization.queries import Queries, Subject, choose_queries
from coemerge.studies.query_localization.synapses import synapses, synapses_of
from coemerge.studies.query_localization.weights import check_editable
from coemerge.studies.query_localization.wordings import assigned_consistency
from coemerge.studies.shared.split import split
from coemerge.units import alone


@dataclass(frozen=True)
class Studied:
    """Of one model, rows without classes, which all models together decide. ``editor`` with its
    ``dev`` and ``test`` facts edits once they are."""

    subject: Subject
    queries: Queries
    found: dict[str, Tensor]
    consistency: pd.DataFrame
    wordings: pd.DataFrame
    mapping: pd.DataFrame
    own_synapses: list[Tensor]
    synapses: pd.DataFrame
    editor: Editor
    dev: np.ndarray
    test: np.ndarray
    tried: pd.DataFrame


def study_model(subject: Subject, config: QueryLocalizationConfig, cache: Path) -> Studied:
    """Raises ValueError as ``choose_queries``, and for queries without controls or sets larger than
    the model. The model is left as found."""
    queries = choose_queries(subject, config)
    _check(subject, queries, config)
    contexts = behind_contexts(subject, queries, config)
    found = find_neurons(subject, queries.ids, queries.answers, queries.k, config, cache)
    of_contexts = [queries.answers[f * queries.k] for f in contexts.facts for _ in range(queries.k)]
    behind = find_neurons(subject, contexts.ids, of_contexts, queries.k, config, cache)
    wordings = assigned_consistency(subject, config, cache)
    alone("what neurons do, and edits")
    attribution = found[config.localiser]
    sets = coarse_sets(attribution, config.tau)
    columns = synapses_of(subject.model, queries, config)
    editor = Editor(subject.model, queries, attribution, config, subject.text)
    dev, test = split(list(queries.facts["fact_id"]), config)
    return Studied(
        subject=subject,
        queries=queries,
        found=found,
        consistency=fact_consistency(queries, found, contexts, behind, subject.seed, config),
        wordings=wordings,
        mapping=mapping(subject.model, queries, attribution, sets, config),
        own_synapses=columns["own"],
        synapses=synapses(subject.model, queries, sets, columns, config),
        editor=editor,
        dev=dev,
        test=test,
        tried=tried_settings(editor, dev),
    )


def _check(subject: Subject, queries: Queries, config: QueryLocalizationConfig) -> None:
    modules = ModuleMap(subject.model)
    n_neurons = modules.n_layers * modules.d_mlp
    if config.top > n_neurons:
        raise ValueError(f"study.top: {config.top} of the model's {n_neurons} neurons")
    check_editable(subject, queries, config)
    if len(set(queries.relation_of)) == len(set(queries.answer)) == 1:
        raise ValueError(
            "all facts that can be studied have one relation and one answer: there is no other "
            "query to compare with; name more facts (study.arms, study.facts)"
        )


def set_rows(studied: Studied, config: QueryLocalizationConfig) -> pd.DataFrame:
    """``NeuronSetsRecord``."""
    queries, frames = studied.queries, []
    for localiser, attribution in studied.found.items():
        values = attribution.flatten(0, 1)
        row, layer, index = torch.nonzero(coarse_sets(values, config.tau), as_tuple=True)
        frames.append(
            pd.DataFrame(
                {
                    "seed": studied.subject.seed,
                    "fact_id": queries.facts["fact_id"].to_numpy()[queries.fact_of[row]],
                    "template_id": queries.rows["template_id"].to_numpy()[row],
                    "split": queries.rows["split"].to_numpy()[row],
                    "localiser": localiser,
                    "layer": layer,
                    "index": index,
                    "attribution": values[row, layer, index],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
