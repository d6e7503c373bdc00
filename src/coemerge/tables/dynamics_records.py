"""Columns of the tables of learning dynamics (methods 3.11), as in ``records``."""

from dataclasses import dataclass
from typing import ClassVar

from coemerge.tables.columns import column


@dataclass(frozen=True, slots=True)
class EmergencePointsRecord:
    """results/co_emergence/emergence_points.parquet: when a fact emerged on a task, by four rules,
    on its mean score over paraphrases, smoothed over checkpoints."""

    table: ClassVar[str] = "emergence_points"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task", key=True)
    rule: str = column("fixed, relative, stable or knee", key=True)
    theta: float = column("threshold of the rules fixed and stable", key=True)
    arm: str = column("experimental arm")
    emerged_step: int = column("optimizer step of the checkpoint, -1: never")
    exposures: int = column("documents shown in this task by then; by the end where never")
    exposures_total: int = column("documents shown in this task by the last checkpoint")


@dataclass(frozen=True, slots=True)
class EmergenceOrderRecord:
    """results/co_emergence/emergence_order.parquet: do facts emerge in the same order in two tasks
    of a run, or in two runs? Facts that never emerge share the bottom rank."""

    table: ClassVar[str] = "emergence_order"
    seed: int = column("seed of the run", key=True)
    other_seed: int = column("the same, or that of another run with the same facts", key=True)
    task: str = column("task", key=True)
    other_task: str = column("another task of the run, or the same one of the other", key=True)
    rule: str = column("fixed, relative, stable or knee", key=True)
    theta: float = column("threshold of the rules fixed and stable", key=True)
    arm: str = column("experimental arm (in both runs), or all", key=True)
    rho: float = column("Spearman's rank correlation, NaN without an order")
    low: float = column("rho, 95 % interval over facts")
    high: float = column("rho, 95 % interval over facts")
    tau: float = column("Kendall's rank correlation (b)")
    n: int = column("facts")
    n_both: int = column("facts that emerged in both")


@dataclass(frozen=True, slots=True)
class EffectivityRecord:
    """results/co_emergence/effectivity.parquet: what each injection gave a fact. Log-probabilities
    of the answer per token, nats, averaged over wordings."""

    table: ClassVar[str] = "effectivity"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    regime: str = column("once, repeated or reworded", key=True)
    split: str = column("probe: seen_templates (injected wording) or held_out_templates", key=True)
    injection: int = column("number of the injection, from 1", key=True)
    before_step: int = column("last optimizer step before the injection")
    peak_step: int = column("step of the fact's best value within 50 steps of the injection")
    before_logprob: float = column("at before_step")
    peak_logprob: float = column("at peak_step")
    effectivity: float = column("peak_logprob less before_logprob")


@dataclass(frozen=True, slots=True)
class RetentionRecord:
    """results/co_emergence/retention.parquet: what is left of all that injections gave a fact."""

    table: ClassVar[str] = "retention"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    regime: str = column("once, repeated or reworded", key=True)
    split: str = column("probe: seen_templates (injected wording) or held_out_templates", key=True)
    tau: int = column("optimizer steps since the peak after the last injection", key=True)
    retainability: float = column("share left of the gain since before the first injection")
    is_outlier: bool = column("left out of the fit: over 2 interquartile ranges off, at this tau")


@dataclass(frozen=True, slots=True)
class RetentionFitRecord:
    """results/co_emergence/retention_fit.parquet: retainability as a line on log10 tau."""

    table: ClassVar[str] = "retention_fit"
    seed: int = column("seed of the run, -1: several", key=True)
    regime: str = column("once, repeated or reworded", key=True)
    split: str = column("probe: seen_templates (injected wording) or held_out_templates", key=True)
    effectivity: float = column("mean over facts of their mean over injections, nats")
    effectivity_low: float = column("95 % interval over seeds and facts")
    effectivity_high: float = column("95 % interval over seeds and facts")
    slope: float = column("change of retainability per decade of steps: -a")
    slope_low: float = column("95 % interval over seeds and facts")
    slope_high: float = column("95 % interval over seeds and facts")
    intercept: float = column("of the line, one step after the peak")
    intercept_low: float = column("95 % interval over seeds and facts")
    intercept_high: float = column("95 % interval over seeds and facts")
    steps_to_zero: float = column("where the line meets 0, infinite if it does not before 1e30")
    steps_to_zero_low: float = column("95 % interval over seeds and facts")
    steps_to_zero_high: float = column("95 % interval over seeds and facts")
    n: int = column("facts, over all seeds")
    n_undefined: int = column("of them without a share: no gain of 0.02 nats, or no later probe")
    n_values: int = column("values of retainability in the fit")
    n_filtered: int = column("values left out as outliers")
