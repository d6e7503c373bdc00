"""Columns of tables that say where facts live: masks and what they do, as in ``records``."""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column

_VARIANT = "exclusive, free (overlap allowed) or remask (a second one, without the first's units)"


@dataclass(frozen=True, slots=True)
class LocalizationRecord:
    """tables/localization.parquet: short mask trainings while the model trains."""

    table: ClassVar[str] = "localization"
    step: int = column("optimizer step", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format of the mask", key=True)
    necessity: float = column("relative drop on the mask's own fact and task")
    specificity_facts: float = column("relative drop on other facts in the same task")
    specificity_tasks: float = column("relative drop on the fact's other tasks, mean")
    sufficiency: float = column("recovery, patched into corrupted prompts")
    n_heads: int = column("heads in the mask")
    n_neurons: int = column("neurons in the mask")
    density: float = column("share of all heads and neurons that the mask holds")


@dataclass(frozen=True, slots=True)
class LocalizationOverlapsRecord:
    """tables/localization_overlaps.parquet: how much the masks of a fact's tasks share."""

    table: ClassVar[str] = "localization_overlaps"
    step: int = column("optimizer step", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format", key=True)
    other_task: str = column("another one, later in the order of tasks", key=True)
    jaccard: float = column("units in both masks, of those in either")


@dataclass(frozen=True, slots=True)
class MasksRecord:
    """results/task_localization/masks.parquet: one row per trained mask."""

    table: ClassVar[str] = "masks"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    relation: str = column("relation id")
    task: str = column("task format", key=True)
    variant: str = column(_VARIANT, key=True)
    order_index: int = column("rank of the task in the random order of the fact's tasks, from 0")
    n_heads: int = column("heads in the mask")
    n_neurons: int = column("neurons in the mask")
    valid: bool = column("necessary, specific and sufficient (methods 3.5, step 5)")
    loss_nec: float = column("necessity term at the end, nats")
    loss_suf: float = column("sufficiency term, nats")
    loss_facts: float = column("specificity term on other facts, nats")
    loss_tasks: float = column("specificity term on other tasks, nats")
    n_steps: int = column("steps of training")
    wall_s: float = column("the mask's share of the wall time of its training")


@dataclass(frozen=True, slots=True)
class MaskUnitsRecord:
    """results/task_localization/mask_units.parquet: which units a mask holds."""

    table: ClassVar[str] = "mask_units"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format", key=True)
    variant: str = column(_VARIANT, key=True)
    layer: int = column("layer, from 0", key=True)
    kind: str = column("head or neuron", key=True)
    index: int = column("position in the layer", key=True)


@dataclass(frozen=True, slots=True)
class EffectsRecord:
    """results/task_localization/effects.parquet: one intervention on one set of prompts."""

    table: ClassVar[str] = "effects"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact of the mask", key=True)
    mask_task: str = column("task format of the mask", key=True)
    eval_task: str = column("task format that is asked", key=True)
    eval_facts: str = column("whose prompts: own, or other facts of the relation", key=True)
    intervention: str = column("ablate (clean prompts) or patch (corrupted prompts)", key=True)
    reference: str = column(
        "what ablated units become: zero, mean or corrupted; for patches corrupted", key=True
    )
    variant: str = column(_VARIANT, key=True)
    control: str = column(
        "none, random (equal size per layer) or mismatched (other fact)", key=True
    )
    draw: int = column("number of the random draw, from 0", key=True)
    valid: bool = column("whether the mask passes with this reference")
    n: int = column("prompts asked")
    accuracy_base: float = column("strict top-1 accuracy of the untouched model")
    accuracy_corrupted: float = column("the same on corrupted prompts; NaN for ablations")
    accuracy_after: float = column("the same under the intervention")
    relative_drop: float = column("(base - after) / base; NaN for patches")
    recovery: float = column("(after - corrupted) / (base - corrupted); NaN for ablations")


@dataclass(frozen=True, slots=True)
class DropMatrixRecord:
    """results/task_localization/drop_matrix.parquet: mean relative drops over facts."""

    table: ClassVar[str] = "drop_matrix"
    variant: str = column(_VARIANT, key=True)
    masks: str = column("all, or valid ones alone", key=True)
    reference: str = column("what ablated units become: zero, mean or corrupted", key=True)
    mask_task: str = column("task format of the mask", key=True)
    eval_task: str = column("task format that is asked", key=True)
    eval_facts: str = column("own, or other facts of the relation", key=True)
    drop: float = column("mean relative drop")
    sd: float = column("standard deviation across facts")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class MaskMeasuresRecord:
    """results/task_localization/mask_measures.parquet: what masks and their controls do, in short.

    ``measure``: target_drop, tasks_drop (mean over the fact's other tasks), facts_drop (other
    facts, same task), recovery, valid (share), n_heads, n_neurons.
    """

    table: ClassVar[str] = "mask_measures"
    variant: str = column(_VARIANT, key=True)
    masks: str = column("all, or valid ones alone", key=True)
    reference: str = column("what ablated units become: zero, mean or corrupted", key=True)
    control: str = column("none, random or mismatched", key=True)
    task: str = column("task format of the mask, or all", key=True)
    measure: str = column("see above", key=True)
    value: float = column("mean over facts, of each fact's masks first")
    sd: float = column("standard deviation across facts")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class MaskLayersRecord:
    """results/task_localization/mask_layers.parquet: sizes by layer."""

    table: ClassVar[str] = "mask_layers"
    variant: str = column(_VARIANT, key=True)
    task: str = column("task format of the mask", key=True)
    layer: int = column("layer, from 0", key=True)
    kind: str = column("head or neuron", key=True)
    density: float = column("mean share of the layer's units that a mask holds")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class MaskOverlapRecord:
    """results/task_localization/mask_overlap.parquet: Jaccard overlap of free masks.

    ``between``: tasks (one fact, two tasks) or facts (one task, two facts of the relation).
    """

    table: ClassVar[str] = "mask_overlap"
    between: str = column("tasks or facts", key=True)
    task: str = column("task format", key=True)
    other_task: str = column("the other one; the same for facts", key=True)
    jaccard: float = column("mean overlap")
    expected: float = column("the same of random units, equal in number per layer")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class EntanglementRecord:
    """results/task_localization/entanglement.parquet: both readings of methods 3.6."""

    table: ClassVar[str] = "entanglement"
    reading: str = column("drop (collateral damage) or overlap (free masks)", key=True)
    task: str = column("task format, or generative, discriminative", key=True)
    value: float = column("entanglement with the fact's other tasks")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    n: int = column("facts for which it is defined")


@dataclass(frozen=True, slots=True)
class OrderEffectRecord:
    """results/task_localization/order_effect.parquet: what coming first is worth.

    ``measure``: target_drop, recovery, n_heads, n_neurons.
    """

    table: ClassVar[str] = "order_effect"
    measure: str = column("see above", key=True)
    rho: float = column("Spearman correlation with the task's rank in the fact's random order")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    first: float = column("mean of first masks")
    last: float = column("mean of last masks")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class CotEffectsRecord:
    """results/chain_of_thought/cot_effects.parquet: one mask, one way of answering."""

    table: ClassVar[str] = "cot_effects"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    task: str = column("task format that is answered", key=True)
    route: str = column("format in which the fact is restated first", key=True)
    prompting: str = column("direct or cot", key=True)
    mask_task: str = column("task format of the ablated mask", key=True)
    control: str = column("none or random (equal size per layer)", key=True)
    draw: int = column("number of the random draw, from 0", key=True)
    n: int = column("prompts asked")
    accuracy_base: float = column("untouched model: share of prompts answered right")
    accuracy_after: float = column("the same under ablation at every token")
    drop: float = column("accuracy_base - accuracy_after")
    restated_base: float = column(
        "untouched model: share whose reasoning names the object; CoT only"
    )
    restated_after: float = column("the same under ablation; CoT only")


@dataclass(frozen=True, slots=True)
class CotDropsRecord:
    """results/chain_of_thought/cot_drops.parquet: mean drops over facts.

    ``masks``: own (of the answered task), route (of the restating format), other_mean and
    other_worst (over the fact's other tasks). ``floor``: the same statistic, mean or worst of as
    many, with random units of equal size.
    """

    table: ClassVar[str] = "cot_drops"
    task: str = column("task format that is answered, or all", key=True)
    route: str = column("format in which the fact is restated first, or all", key=True)
    prompting: str = column("direct or cot", key=True)
    masks: str = column("own, route, other_mean or other_worst", key=True)
    drop: float = column("mean drop of accuracy, as a fraction")
    sd: float = column("standard deviation across facts")
    low: float = column("95 % interval over seeds and facts")
    high: float = column("95 % interval over seeds and facts")
    floor: float = column("mean over random draws, not below 0")
    floor_high: float = column("97.5 % point of the random draws")
    n: int = column("facts")
    n_draws: int = column("random draws behind the floor")


LOCALIZATION_RECORDS: tuple[Any, ...] = (
    LocalizationRecord,
    LocalizationOverlapsRecord,
    MasksRecord,
    MaskUnitsRecord,
    EffectsRecord,
    DropMatrixRecord,
    MaskMeasuresRecord,
    MaskLayersRecord,
    MaskOverlapRecord,
    EntanglementRecord,
    OrderEffectRecord,
    CotEffectsRecord,
    CotDropsRecord,
)
