"""One model studied: traced, its editors' settings chosen, its facts edited from both sides."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import nn

from coemerge.editing.outcome import warn_of
from coemerge.editing.requests import Ids
from coemerge.prompts.pairs import Pairing
from coemerge.studies.entity_relation.cases import STUDIED, Case, Cases
from coemerge.studies.entity_relation.config import EDITED_TOKENS, EntityRelationConfig
from coemerge.studies.entity_relation.judging import Judge
from coemerge.studies.entity_relation.settings import Chosen, tried_settings
from coemerge.studies.entity_relation.tracing import (
    Traced,
    site_of,
    trace_sides,
    tracing_prompts,
)
from coemerge.studies.shared.editors import check_edited_layers, make_editors
from coemerge.studies.shared.kept import Frames, Kept
from coemerge.studies.shared.split import split

log = logging.getLogger(__name__)
STUDY = "entity_relation"
NOWHERE = -1
KEPT = "kept for choosing settings"


@dataclass(frozen=True)
class Subject:
    """What is studied: a model, whose weights have the hash ``identity``; what it may be asked
    (``tables.records.PromptRecord``); its facts (columns fact_id, relation, arm, subject, object,
    and ``entity`` and ``relation_side``: how many documents showed each on that side, NaN where
    nobody knows). ``text``: documents for the second moment of keys, none for C = I. ``opening``:
    the token that opens a document, if the prompts have one; ``separator``: what stands between two
    statements; ``start``: what a text may begin with."""

    model: nn.Module
    identity: str
    seed: int
    prompts: pa.Table
    facts: pd.DataFrame
    pairing: Pairing
    text: Sequence[Ids]
    opening: int | None
    separator: Sequence[int]
    start: int


@dataclass(frozen=True)
class Studied:
    """Of one model: ``side_edits``, ``outcomes`` and ``tried`` are rows of their records."""

    subject: Subject
    cases: Cases
    traced: Traced | None
    side_edits: pd.DataFrame
    outcomes: pd.DataFrame
    tried: pd.DataFrame


def study_model(
    subject: Subject, cases: Cases, config: EntityRelationConfig, cache: Path
) -> Studied:
    """Raises ValueError for layers that the model has not, and where tracing points at none. The
    model is left as found. Moments of keys are kept in ``cache``."""
    check_edited_layers(subject.model, config.layers)
    kept = Kept.of_model(cache.with_name("edits"), STUDY, subject, config)
    traced = _traced(subject, cases.studied, config, kept)
    dev, test = _apart(subject, cases.studied, config)
    token, pointed = _site(traced, {cases.studied[i].fact_id for i in dev}, config)
    layers = [pointed] if config.layers is None else list(config.layers)
    editors = make_editors(subject, layers, config, cache)
    placed = [case.edited_at(token) for case in cases.studied]
    on_dev, on_test = (Judge(editors, [placed[i] for i in of], kept) for of in (dev, test))
    tried, chosen = tried_settings(on_dev, layers, config)
    edits, outcomes = _edited(on_test, chosen)
    seed = {"seed": subject.seed}
    return Studied(
        subject=subject,
        cases=Cases([cases.studied[i] for i in test], _counts(cases, dev)),
        traced=traced,
        side_edits=edits.assign(**seed),
        outcomes=outcomes.assign(**seed),
        tried=tried.assign(**seed, traced=tried["layer"].eq(pointed) & (pointed != NOWHERE)),
    )


def _traced(
    subject: Subject, cases: Sequence[Case], config: EntityRelationConfig, kept: Kept
) -> Traced | None:
    if not config.traced_facts:
        return None
    studied = [case.fact_id for case in cases]
    facts = subject.facts.set_index("fact_id").loc[studied].reset_index()
    asked = tracing_prompts(subject.prompts, facts, config)
    return trace_sides(
        subject.model, asked, config, subject.seed, subject.opening, subject.separator, kept
    )


def _apart(
    subject: Subject, cases: Sequence[Case], config: EntityRelationConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Places of (dev, test) cases. Facts of one subject are no strangers: settings chosen on one
    are not reported on another. Raises ValueError where there is one subject alone."""
    named = dict(zip(subject.facts["fact_id"], subject.facts["subject"], strict=True))
    own = pd.Series([named[case.fact_id] for case in cases])
    names = own.unique().tolist()
    if len(names) < 2:
        raise ValueError(
            f"facts of {', '.join(names)} alone: settings are chosen on other subjects than those "
            "reported; name facts of two or more (study.facts)"
        )
    dev, _ = split(names, config)
    in_dev = own.isin([names[i] for i in dev]).to_numpy()
    return np.flatnonzero(in_dev), np.flatnonzero(~in_dev)


def _counts(cases: Cases, dev: np.ndarray) -> pd.DataFrame:
    """With the facts that settings are chosen on apart from those reported."""
    chosen_on = {cases.studied[i].fact_id for i in dev}
    reason = [KEPT if case.fact_id in chosen_on else STUDIED for case in cases.studied]
    named = {name: [getattr(case, name) for case in cases.studied] for name in ("relation", "arm")}
    rows = pd.DataFrame({**named, "reason": reason})
    studied = rows.groupby(["relation", "arm", "reason"]).size().rename("n").reset_index()
    return pd.concat([studied, cases.counts[cases.counts["reason"] != STUDIED]], ignore_index=True)


def _site(
    traced: Traced | None, facts: Collection[str], config: EntityRelationConfig
) -> tuple[str, int]:
    """(which token of the subject is edited, the layer that tracing points at, -1 for none)."""
    tokens = EDITED_TOKENS[config.edited_token]
    needed = config.layers is None or len(tokens) > 1
    try:
        if traced is None:
            return tokens[0], NOWHERE
        site = site_of(traced, tokens, facts)
    except ValueError:
        if needed:
            raise
        return tokens[0], NOWHERE
    log.info(
        "causal tracing points at the subject's %s token, layer %d, where MLPs give back %.2f",
        *site,
    )
    return site.token, site.layer


def _edited(judge: Judge, chosen: Chosen) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of all edits, and of how they ended. A side is left out if all of its facts were kept
    for the choice."""
    runs = [(*of, *how) for of, how in chosen.items() if judge.of_side(of[1])]

    def rows(i: int) -> Frames:
        editor, side, layer, setting = runs[i]
        outcomes = judge.edit(editor, side, layer, setting)
        warn_of(outcomes)
        edits, ends = judge.side_edits(side, outcomes), judge.outcome_rows(side, outcomes)
        return edits.assign(editor=editor), ends.assign(editor=editor)

    units = [("edits", *run[:3], sorted(run[3].items())) for run in runs]
    found = judge.frames(2, units, rows, "editing", "editor")
    edits, ends = zip(*found, strict=True)
    return pd.concat(edits, ignore_index=True), pd.concat(ends, ignore_index=True)
