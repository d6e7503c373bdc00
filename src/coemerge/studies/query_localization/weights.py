"""What editors of weights make of the same facts, beside edits of neurons: ROME and MEMIT (methods
2.10, 5.3)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coemerge.editing.contexts import BARE, sample_contexts
from coemerge.editing.keys import KeyMoment, key_moments
from coemerge.editing.memit import memit
from coemerge.editing.outcome import Outcome, warn_of
from coemerge.editing.rank_one import rank_one
from coemerge.editing.requests import Goal, Ids, Request
from coemerge.editing.value_config import SMALL
from coemerge.interventions.architecture import ModuleMap
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.editor import Editor
from coemerge.studies.query_localization.queries import Queries, Subject

log = logging.getLogger(__name__)
EDIT = "update"


@dataclass(frozen=True)
class Setting:
    """Where and behind what facts are edited; ``layers``: ROME's is the last."""

    layers: list[int]
    contexts: Sequence[Ids]
    moments: dict[int, KeyMoment] | None

    @classmethod
    def of(cls, subject: Subject, start: Ids, config: QueryLocalizationConfig) -> "Setting":
        """``start``: what the contexts that the model writes begin with."""
        layer = ModuleMap(subject.model).n_layers // 3 if config.layer is None else config.layer
        layers = list(range(max(0, layer - config.memit_layers + 1), layer + 1))
        if "memit" not in config.editors:
            layers = layers[-1:]
        written = sample_contexts(
            subject.model, start, [(n, many) for n, many in config.contexts], config.seed,
            subject.separator,
        )  # fmt: skip
        opening = () if subject.opening is None else (subject.opening,)
        contexts = [BARE, *((*opening, *context) for context in written[1:])]
        if not subject.key_text:
            log.warning("no text says which keys are common: edits of weights spare none of them")
            return cls(layers, contexts, None)
        return cls(layers, contexts, key_moments(subject.model, subject.key_text, layers))


def check_editable(subject: Subject, queries: Queries, config: QueryLocalizationConfig) -> None:
    """Raises ValueError for a layer that the model has not, and contexts that leave no room."""
    n_layers = ModuleMap(subject.model).n_layers
    if config.layer is not None and config.layer >= n_layers:
        raise ValueError(
            f"study.layer: {config.layer}, but the model's layers are 0 to {n_layers - 1}"
        )
    reads = getattr(subject.model.config, "max_position_embeddings", None)
    before = max((n for n, _ in config.contexts), default=0) + len(subject.separator) + 1
    longest = before + max(map(len, queries.ids)) + 1
    if config.editors and config.contexts and reads is not None and longest > reads:
        raise ValueError(
            f"study.contexts: the longest, a query and its answer are {longest} tokens, the model "
            f"reads {reads}: take shorter ones, or [] for none"
        )


def weight_edits(subject: Subject, editor: Editor, facts: np.ndarray) -> pd.DataFrame:
    """``NeuronEditsRecord`` of ``facts`` [E], but for seed and class: an update by each of the
    study's editors of weights. Facts without another answer are left out. An edit that diverges is
    none, and scores as the untouched model."""
    config = editor.config
    facts = facts[editor.wanted[facts] >= 0]
    if not config.editors or not len(facts):
        return pd.DataFrame()
    setting = Setting.of(subject, editor.queries.ids[0][:1], config)
    requests = update_requests(editor, facts)
    frames = []
    for name in config.editors:
        outcomes = _edited(name, subject, requests, setting, config)
        warn_of(outcomes)
        found = editor.judged(EDIT, [outcome.edit for outcome in outcomes], facts, whole=True)
        nothing = dict.fromkeys(("beta", "tau", "n_neurons"), np.nan)
        frames.append(found.assign(edit=EDIT, neurons=name, **nothing))
    return pd.concat(frames, ignore_index=True)


def update_requests(editor: Editor, facts: np.ndarray) -> list[Request]:
    """Of each fact's first query: the answer that updates of its neurons want."""
    queries = editor.queries
    rows = facts * queries.k
    spans = queries.rows[["subject_start", "subject_stop"]].to_numpy()[rows].tolist()
    return [
        Request(
            Goal(queries.ids[row], (start, stop), [int(editor.wanted[f])]),
            [int(queries.answer[row])],
        )
        for f, row, (start, stop) in zip(facts, rows, spans, strict=True)
    ]


def _edited(
    name: str,
    subject: Subject,
    requests: Sequence[Request],
    setting: Setting,
    config: QueryLocalizationConfig,
) -> list[Outcome]:
    model, layers, contexts, moments = (
        subject.model, setting.layers, setting.contexts, setting.moments
    )  # fmt: skip
    if name == "rome":
        layer = layers[-1]
        moment = None if moments is None else moments[layer]
        return rank_one(model, requests, layer, contexts, moment, SMALL, show_progress=True)
    weight = config.memit_weight
    return memit(model, requests, layers, contexts, moments, weight, SMALL, show_progress=True)
