"""Every table's columns, in one place. One frozen dataclass per table, one measurement per row.

``step`` is always the optimizer step; a column name that starts with ``n_`` counts, ``p_`` is a
probability, and ``nll`` is in nats per answer token.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

from coemerge.tables import co_emergence_records as co_emergence
from coemerge.tables import dynamics_records as dynamics
from coemerge.tables.agreement_records import CooccurrenceRecord, MinimalPairRecord
from coemerge.tables.columns import column
from coemerge.tables.entity_relation_records import ENTITY_RELATION_RECORDS
from coemerge.tables.knowledge_neurons_records import KNOWLEDGE_NEURONS_RECORDS
from coemerge.tables.localization_records import LOCALIZATION_RECORDS
from coemerge.tables.query_localization_records import QUERY_LOCALIZATION_RECORDS

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class FactRecord:
    """data/facts.parquet, and a copy in a run's tables/: what is true, and in which arm."""

    table: ClassVar[str] = "facts"
    fact_index: int = column("position in the world; documents.bin refers to it", key=True)
    fact_id: str = column("content-derived id, equal across experiments", key=True)
    relation: str = column("relation id")
    subject: str = column("subject as text")
    object: str = column("object as text")
    arm: str = column("experimental arm, or 'auxiliary'")
    detail: str = column("withheld target, single source, dose or variant of the arm; else empty")
    root_id: str = column("the fact that this one restates (inverse, synonym), or itself")


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """data/plan.parquet: how many documents are to show each (fact, task), and when."""

    table: ClassVar[str] = "plan"
    fact_id: str = column("fact", key=True)
    task: str = column("task format", key=True)
    n_documents: int = column("documents planned")
    timing: str = column("uniform, burst, spaced, once or window")
    wording: int = column("the one template used, or -1 for all seen ones")
    start: float = column("earliest document, as a fraction of training")
    stop: float = column("latest document, as a fraction of training")


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """data/prompts.parquet: every prompt to score (methods 2.2). Spans are token spans [a, b)."""

    table: ClassVar[str] = "prompts"
    prompt_id: str = column("fact/task/template/options/variant", key=True)
    fact_id: str = column("fact", key=True)
    relation: str = column("relation id")
    task: str = column("task format", key=True)
    template_id: int = column("position of the paraphrase in its list", key=True)
    split: str = column("seen_templates or held_out_templates")
    options: str = column("option set: seen (shown together in training), fresh (never), none")
    variant: int = column("rotation of the options, or polarity")
    text: str = column("the prompt")
    answer: str = column("the right answer")
    ids: list[int] = column("token ids of the prompt")
    answer_ids: list[int] = column("token ids of the answer")
    candidate_ids: list[int] = column("first tokens of all allowed answers")
    option_order: list[str] = column("options in the order shown")
    polarity: str = column("true or false for verification, else empty")
    subject_start: int = column("first token of the subject")
    subject_stop: int = column("token after the subject")
    relation_spans: list[int] = column("flattened spans of the phrasing outside the subject")
    answer_pos: int = column("index whose logits predict the first answer token")
    chance: float = column("probability of the right answer under uniform guessing")
    prior: float = column("the same for a guesser who knows how often each answer is right")


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """tables/training.parquet: the optimizer's view, averaged since the row before."""

    table: ClassVar[str] = "training"
    step: int = column("optimizer step", key=True)
    tokens_seen: int = column("tokens shown so far, padding left out")
    loss: float = column("weighted mean cross-entropy of the next token, nats")
    lr: float = column("learning rate of the step")
    grad_norm: float = column("gradient norm before clipping")
    tokens_per_s: float = column("tokens per second of wall time in training steps")


@dataclass(frozen=True, slots=True)
class ExposureRecord:
    """tables/exposure.parquet: documents shown by the optimizer steps done so far."""

    table: ClassVar[str] = "exposure"
    step: int = column("optimizer step", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format", key=True)
    template_id: int = column("paraphrase", key=True)
    form: str = column("direct, inverse, synonym, relation or cot", key=True)
    n_documents: int = column("cumulative number of documents")


@dataclass(frozen=True, slots=True)
class PromptScoreRecord:
    """tables/prompt_scores.parquet: a paraphrase per row, averaged over its prompts."""

    table: ClassVar[str] = "prompt_scores"
    step: int = column("optimizer step", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format", key=True)
    template_id: int = column("paraphrase", key=True)
    split: str = column("seen_templates or held_out_templates", key=True)
    options: str = column("seen, fresh or none", key=True)
    n_rotations: int = column("prompts averaged")
    p_first: float = column("probability of the first answer token")
    p_full: float = column("probability of the whole answer, teacher forced")
    nll: float = column("mean negative log-probability per answer token, nats")
    chance: float = column("probability under uniform guessing")
    score: float = column("(p - chance) / (1 - chance), not clipped")
    accuracy: float = column("share of prompts whose top-1 token is the answer's first")


@dataclass(frozen=True, slots=True)
class OldFactsRecord(PromptScoreRecord):
    """tables/old_facts.parquet: the same for facts of the run that this one continues."""

    table: ClassVar[str] = "old_facts"


@dataclass(frozen=True, slots=True)
class InjectionsRecord(PromptScoreRecord):
    """tables/injections.parquet: the same for injected facts, at many steps around injections."""

    table: ClassVar[str] = "injections"


@dataclass(frozen=True, slots=True)
class InjectionStepsRecord:
    """tables/injection_steps.parquet: which optimizer steps used the documents of an injection."""

    table: ClassVar[str] = "injection_steps"
    injection: int = column("number, from 1", key=True)
    first_step: int = column("first optimizer step that used one of its documents", key=True)
    last_step: int = column("last one", key=True)


@dataclass(frozen=True, slots=True)
class AcquisitionRecord:
    """tables/acquisition.parquet: derived from prompt_scores, averaged over paraphrases."""

    table: ClassVar[str] = "acquisition"
    run_id: str = column("run", key=True)
    seed: int = column("seed of the run", key=True)
    step: int = column("optimizer step", key=True)
    tokens_seen: int = column("tokens shown so far")
    fact_id: str = column("fact", key=True)
    relation: str = column("relation id")
    arm: str = column("experimental arm")
    task: str = column("task format", key=True)
    split: str = column("seen_templates or held_out_templates", key=True)
    options: str = column("seen, fresh or none", key=True)
    n_prompts: int = column("prompts averaged")
    p_first: float = column("probability of the first answer token")
    nll: float = column("mean negative log-probability per answer token, nats")
    chance: float = column("probability under uniform guessing")
    score: float = column("chance-normalised score (methods 2.5)")
    accuracy: float = column("share of prompts answered right by top-1")
    exposures: int = column("documents that have shown this (fact, task) so far")


RECORDS: dict[str, type] = {
    cls.table: cls
    for cls in (
        FactRecord,
        PlanRecord,
        PromptRecord,
        MinimalPairRecord,
        CooccurrenceRecord,
        TrainingRecord,
        ExposureRecord,
        PromptScoreRecord,
        OldFactsRecord,
        InjectionsRecord,
        InjectionStepsRecord,
        AcquisitionRecord,
        co_emergence.PairsRecord,
        co_emergence.FailureRecord,
        co_emergence.MatrixRecord,
        co_emergence.TransferRecord,
        co_emergence.CurvesRecord,
        co_emergence.VarianceRecord,
        co_emergence.NullsRecord,
        dynamics.EmergencePointsRecord,
        dynamics.EmergenceOrderRecord,
        dynamics.EffectivityRecord,
        dynamics.RetentionRecord,
        dynamics.RetentionFitRecord,
        co_emergence.AnswersRecord,
        *LOCALIZATION_RECORDS,
        *QUERY_LOCALIZATION_RECORDS,
        *ENTITY_RELATION_RECORDS,
        *KNOWLEDGE_NEURONS_RECORDS,
    )
}


def describe(table: str) -> dict[str, str]:
    """Column name -> documentation."""
    return {f.name: f.metadata["doc"] for f in fields(RECORDS[table])}
