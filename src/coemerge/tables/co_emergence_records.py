"""Columns of the co-emergence study's tables, as in ``records``."""

from dataclasses import dataclass
from typing import ClassVar

from coemerge.tables.columns import column


@dataclass(frozen=True, slots=True)
class PairsRecord:
    """results/co_emergence/pairs.parquet: did a fact follow on a task (methods 3.3)?"""

    table: ClassVar[str] = "pairs"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("target task", key=True)
    arm: str = column("experimental arm")
    theta: float = column("emergence threshold", key=True)
    window: int = column("checkpoints in which the target may follow, -1: to the last", key=True)
    sustained: str = column("any, last or 3-in-a-row", key=True)
    testable: bool = column("whether the hypothesis says anything about this pair")
    excluded_reason: str = column("why not; empty where testable")
    prerequisite_step: int = column("step from which the target should follow, -1: none")
    emerged_step: int = column("first step of emergence on the target, -1: never")
    co_emerged: bool = column("whether it followed; false where not testable")


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """results/co_emergence/failure.parquet: testable pairs that did not follow."""

    table: ClassVar[str] = "failure"
    theta: float = column("emergence threshold", key=True)
    window: int = column("checkpoints in which the target may follow, -1: to the last", key=True)
    sustained: str = column("any, last or 3-in-a-row", key=True)
    arm: str = column("experimental arm, or all", key=True)
    rate: float = column("share of testable pairs that did not follow")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n_testable: int = column("pairs tested")
    n_excluded: int = column("pairs whose prerequisite or target task was lost")
    n_untestable: int = column("pairs without a prerequisite")


@dataclass(frozen=True, slots=True)
class MatrixRecord:
    """results/co_emergence/matrix.parquet: P(emerged on target | source) at the end."""

    table: ClassVar[str] = "matrix"
    basis: str = column("facts exposed in the source, or emerged on it", key=True)
    theta: float = column("emergence threshold", key=True)
    source: str = column("source task", key=True)
    target: str = column("target task, competent", key=True)
    arm: str = column("experimental arm, or all", key=True)
    options: str = column("option sets of lettered tasks: fresh or seen", key=True)
    rate: float = column("share of those facts that have emerged on the target")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """results/co_emergence/exposure.parquet: facts shown in one source alone."""

    table: ClassVar[str] = "transfer"
    seed: int = column("seed of the run, -1: several", key=True)
    source: str = column("the only task in which the facts were shown", key=True)
    target: str = column("task asked", key=True)
    exposures: int = column("documents in the source", key=True)
    score: float = column("mean score at the last checkpoint")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    never: float = column("mean score of facts never shown; T (methods 2.4) is score less this")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class CurvesRecord:
    """results/co_emergence/curves.parquet: facts emerged, checkpoint by checkpoint."""

    table: ClassVar[str] = "curves"
    seed: int = column("seed of the run", key=True)
    step: int = column("optimizer step", key=True)
    task: str = column("task", key=True)
    arm: str = column("experimental arm", key=True)
    exposed: bool = column("whether the facts were shown in this task", key=True)
    emerged_fraction: float = column("share of facts above the threshold")
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class VarianceRecord:
    """results/co_emergence/variance.parquet: shares of variance (methods 3.4)."""

    table: ClassVar[str] = "variance"
    seed: int = column("seed of the run", key=True)
    step: int = column("optimizer step", key=True)
    scale: str = column("raw, logit or rank", key=True)
    model: str = column("plain, nested (templates in tasks) or covariate (log count)", key=True)
    denominator: str = column("total, or cells: without the error", key=True)
    component: str = column("fact, task, interaction, template, covariate or error", key=True)
    eta_squared: float = column("share of the sum of squares")
    F: float = column("against the error mean square")
    p_value: float = column("of F")
    q_value: float = column("Benjamini-Hochberg over checkpoints")


@dataclass(frozen=True, slots=True)
class NullsRecord:
    """results/co_emergence/nulls.parquet: values to expect without the effect."""

    table: ClassVar[str] = "nulls"
    quantity: str = column("failure_rate, interaction_share (last step) or score", key=True)
    scale: str = column("of the scores: raw or logit", key=True)
    null: str = column("permutation, split_half, exposure_matched or never_shown", key=True)
    value: float = column("mean of the quantity, pooled over seeds")
    low: float = column("2.5 % of the draws, or of the interval")
    high: float = column("97.5 %")
    n: int = column("draws; pairs (exposure_matched), facts (never_shown)")


@dataclass(frozen=True, slots=True)
class AnswersRecord:
    """results/co_emergence/answers.parquet: what the models answer by themselves (methods 2.5)."""

    table: ClassVar[str] = "answers"
    seed: int = column("seed of the run", key=True)
    step: int = column("optimizer step", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format", key=True)
    n_prompts: int = column("prompts: held-out paraphrases, fresh option sets, all rotations")
    first_token: float = column("share whose top-1 token is the answer's first")
    full_answer: float = column("share for which greedy decoding says the whole answer")
    tolerant: float = column("share with a top-1 token that begins the answer, or the answer "
                             "within the first three generated tokens")  # fmt: skip
