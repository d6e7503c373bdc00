"""Where a fact's answer survives noise on its subject, on its relation, on both (methods 4.4).

The relation's tokens are all outside of the subject but the last one, where the answer is
predicted, and the token that opens a document (T-R3): the words that open a format, alike in all
facts, are among them. So that no one template passes for a relation, wordings take turns over the
facts of each (methods 4.6).
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from torch import nn

from coemerge.localization.causal_tracing import total_effects, trace
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_noise import noise_scale
from coemerge.localization.tracing_prompts import Span, TracedPrompt, outside_subject
from coemerge.localization.tracing_result import TracingResult, with_total_effect
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.neutral import NeutralTexts, behind_neutral_texts
from coemerge.studies.shared.contexts import statement
from coemerge.studies.shared.kept import Kept
from coemerge.studies.shared.sites import REMEDY, EditSite, best_site

log = logging.getLogger(__name__)
COMPARED = ("subject", "relation", "neutral")


@dataclass(frozen=True, slots=True)
class Asked:
    """One fact in one wording: token ``ids`` of the prompt, those of the answer, of which the first
    is asked for, and the subject's span."""

    fact_id: str
    relation: str
    arm: str
    template_id: int
    ids: list[int]
    answer_ids: list[int]
    subject: Span


@dataclass(frozen=True)
class Setting:
    """Prompts in one setting: ``asked`` and ``prompts`` [N] belong together; ``results`` by what is
    corrupted, and ``kept`` bool [N]: prompts answered right with a total effect."""

    asked: list[Asked]
    prompts: list[TracedPrompt]
    results: Mapping[str, TracingResult]
    kept: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Traced:
    """One model: its prompts as they are (``bare``), and behind neutral words (``prefixed``), where
    only total effects were measured. ``left_out``: prompts that have no relation tokens, so that
    nothing could be corrupted (T-R4)."""

    seed: int
    bare: Setting
    prefixed: Setting
    noise_std: float
    left_out: int


def tracing_prompts(
    prompts: pa.Table, facts: pd.DataFrame, config: EntityRelationConfig
) -> list[Asked]:
    """One prompt of each of the first facts (columns fact_id, relation, arm), relations taking
    turns, ``config.traced_facts`` at most. The k-th fact of a relation is asked in the k-th of its
    first ``config.wordings`` wordings, over and over.

    ``prompts``: ``tables.records.PromptRecord``; facts not asked in ``config.task`` are left out.
    """
    chosen = (pc.field("task") == config.task) & (pc.field("variant") == 0)
    columns = ["fact_id", "template_id", "ids", "answer_ids", "subject_start", "subject_stop"]
    frame = prompts.filter(chosen).select(columns).to_pandas()
    frame = frame[frame["fact_id"].isin(facts["fact_id"])].sort_values("template_id")
    frame = frame.drop_duplicates(["fact_id", "template_id"])
    wordings = {fact: rows.to_dict("records") for fact, rows in frame.groupby("fact_id")}
    facts = facts[facts["fact_id"].isin(wordings)]
    facts = facts.assign(turn=facts.groupby("relation").cumcount())
    facts = facts.sort_values("turn", kind="stable")[: config.traced_facts]
    return [
        _asked(row, wordings[row["fact_id"]][: config.wordings]) for row in facts.to_dict("records")
    ]


def _asked(fact: Mapping, wordings: Sequence[Mapping]) -> Asked:
    prompt = wordings[fact["turn"] % len(wordings)]
    return Asked(
        fact_id=fact["fact_id"],
        relation=fact["relation"],
        arm=fact["arm"],
        template_id=int(prompt["template_id"]),
        ids=[int(token) for token in prompt["ids"]],
        answer_ids=[int(token) for token in prompt["answer_ids"]],
        subject=(int(prompt["subject_start"]), int(prompt["subject_stop"])),
    )


def relation_spans(asked: Asked, opening: int | None) -> list[Span]:
    return outside_subject(len(asked.ids), asked.subject, int(asked.ids[0] == opening))


def trace_sides(
    model: nn.Module,
    asked: Sequence[Asked],
    config: EntityRelationConfig,
    seed: int,
    opening: int | None = None,
    separator: Sequence[int] = (),
    kept: Kept | None = None,
) -> Traced:
    """Traces every prompt under each of ``config.corruptions``, all under noise of one scale, then
    the control: how much noise on equally many neutral words before the prompt takes.

    ``seed``: of the model's run. ``opening``: the token that opens a document, ``separator``: what
    stands between two statements. ``kept``: where results are kept, if anywhere. The model is left
    as found. Raises ValueError as ``trace``.
    """
    whole = [one for one in asked if relation_spans(one, opening)]
    left_out = len(asked) - len(whole)
    if left_out:
        log.warning("%d prompts have no token that is the relation's: not traced", left_out)
    bare = [
        TracedPrompt(one.ids, one.answer_ids[0], one.subject, relation_spans(one, opening))
        for one in whole
    ]
    std = noise_scale(model, bare, config.traced("subject")) if bare else 0.0
    settings = {
        corrupt: replace(config.traced(corrupt), noise_std=std)
        for corrupt in (*COMPARED, *config.corruptions)
    }
    traced = _traced(model, bare, {c: settings[c] for c in config.corruptions}, kept)
    texts = _neutral_texts(model, whole, bare, config, opening, separator)
    behind, prefixed = behind_neutral_texts(model, texts)
    totals = {
        corrupt: total_effects(model, prefixed, settings[corrupt], show_progress=True)
        for corrupt in COMPARED
    }
    return Traced(
        seed=seed,
        bare=_setting(whole, bare, traced, config),
        prefixed=_setting([whole[i] for i in behind], prefixed, totals, config),
        noise_std=std,
        left_out=left_out,
    )


def _traced(
    model: nn.Module,
    prompts: list[TracedPrompt],
    settings: Mapping[str, TracingConfig],
    kept: Kept | None,
) -> dict[str, TracingResult]:
    """By what is corrupted, read where it was kept."""
    configs = list(settings.values())

    def traced(i: int) -> TracingResult:
        return trace(model, prompts, configs[i], show_progress=True)

    if kept is None:
        results = [traced(i) for i in range(len(configs))]
    else:
        results = kept.tracing([(config, prompts) for config in configs], traced)
    return dict(zip(settings, results, strict=True))


def _neutral_texts(
    model: nn.Module,
    asked: Sequence[Asked],
    prompts: Sequence[TracedPrompt],
    config: EntityRelationConfig,
    opening: int | None,
    separator: Sequence[int],
) -> NeutralTexts:
    return NeutralTexts(
        prompts=prompts,
        relations=[one.relation for one in asked],
        statements=[statement(one.ids, one.answer_ids, separator) for one in asked],
        n_separator=len(separator),
        opening=opening,
        context=getattr(model.config, "max_position_embeddings", None),
        draws=config.prefix_draws,
        seed=config.seed,
    )


def _setting(
    asked: list[Asked],
    prompts: list[TracedPrompt],
    results: Mapping[str, TracingResult],
    config: EntityRelationConfig,
) -> Setting:
    least = config.traced("subject").min_total_effect
    kept = {name: with_total_effect(found, least).mask for name, found in results.items()}
    return Setting(asked, prompts, results, kept)


def site_of(
    traced: Traced, tokens: Sequence[str] = ("last", "first"), facts: Collection[str] | None = None
) -> EditSite:
    """The ``best_site`` under noise on the subject. ``facts``: by whose prompts, None for all.
    Raises ValueError, with the remedy, where no prompt tells."""
    found = traced.bare.results.get("subject")
    if found is None or "mlp" not in found.effects:
        raise ValueError(
            "causal tracing restored no MLP under noise on the subject (study.corruptions, "
            f"study.tracing.kinds), so that it names no layer to edit: {REMEDY}"
        )
    kept = traced.bare.kept["subject"]
    if facts is not None:
        kept = kept & np.array([asked.fact_id in facts for asked in traced.bare.asked], bool)
    return best_site(found, kept, tokens)
