"""Columns of tables that say whether neurons belong to facts or to queries, as in ``records``.

``cls``: whether a fact's neurons are alike over its queries: ``consistent`` (K_C of the paper) or
``inconsistent`` (K_I), by the study's main localiser and threshold.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column
from coemerge.tables.query_effects_records import CLS, LOW, QUERY_EFFECTS_RECORDS

_LOCALISER = "joint (integrated gradients), single (neurons ablated one by one), gradient"


@dataclass(frozen=True, slots=True)
class ExclusionsRecord:
    """results/query_localization/exclusions.parquet: which facts are studied, and why others are
    not."""

    table: ClassVar[str] = "exclusions"
    seed: int = column("seed of the run", key=True)
    relation: str = column("relation id", key=True)
    arm: str = column("experimental arm", key=True)
    reason: str = column("studied, or why not", key=True)
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class NeuronSetsRecord:
    """results/query_localization/neuron_sets.parquet: coarse sets, one neuron of a query a row."""

    table: ClassVar[str] = "neuron_sets"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    template_id: int = column("wording of the query", key=True)
    split: str = column("seen_templates or held_out_templates")
    localiser: str = column(_LOCALISER, key=True)
    layer: int = column("layer, from 0", key=True)
    index: int = column("neuron of the layer", key=True)
    attribution: float = column("the neuron's attribution, in probability of the answer")


@dataclass(frozen=True, slots=True)
class ConsistencyRecord:
    """results/query_localization/consistency.parquet: how alike a fact's queries are.

    ``control``: none (k queries of the fact), other_facts (the same wordings, each of another fact
    of the relation), same_answer (the same, facts with this fact's answer), context (one query
    behind k other texts that leave it right), random (sets of equal size).
    """

    table: ClassVar[str] = "consistency"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    relation: str = column("relation id")
    arm: str = column("experimental arm")
    regime: str = column("of arm A8 once, repeated or reworded; else empty")
    localiser: str = column(_LOCALISER, key=True)
    sets: str = column("threshold (coarse sets), or top (equally many of every query)", key=True)
    control: str = column("see above", key=True)
    cs1: float = column("neurons of all k sets, of those of any")
    cs2: float = column("neurons of at least two sets, of those of any")
    k: int = column("queries")
    n_neurons: float = column("mean size of a query's set")
    n_union: int = column("neurons of any of the k sets")


@dataclass(frozen=True, slots=True)
class ConsistencyMeansRecord:
    """results/query_localization/consistency_means.parquet: means over facts.

    ``control``: as in ``consistency``; or none - other_facts, ...: what the fact's queries have
    beyond the control, paired by fact.
    """

    table: ClassVar[str] = "consistency_means"
    relation: str = column("relation id, or all", key=True)
    localiser: str = column(_LOCALISER, key=True)
    sets: str = column("threshold or top", key=True)
    control: str = column("see above", key=True)
    measure: str = column("cs1 or cs2", key=True)
    value: float = column("mean over facts")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class ClassSharesRecord:
    """results/query_localization/class_shares.parquet: share of inconsistent facts.

    Classes are split on cs2, so Welch's t between them is a check of the arithmetic alone.
    """

    table: ClassVar[str] = "class_shares"
    localiser: str = column(_LOCALISER + ", or all (inconsistent under all three)", key=True)
    threshold: str = column("0.1, 0.2, 0.3 or otsu", key=True)
    sets: str = column("threshold or top", key=True)
    control: str = column("as in consistency", key=True)
    main: bool = column("whether this localiser and threshold make the classes of other tables")
    cut: float = column("value of cs2 up to which a fact is inconsistent; NaN for all localisers")
    share: float = column("share of inconsistent facts")
    low: float = column(LOW)
    high: float = column(LOW)
    cs2_consistent: float = column("mean cs2 of consistent facts; NaN without any")
    cs2_inconsistent: float = column("mean cs2 of inconsistent facts; NaN without any")
    welch_t: float = column("Welch's t of cs2 between the classes; NaN where undefined")
    p_value: float = column("its two-sided p")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class WordingEffectsRecord:
    """results/query_localization/wording_effects.parquet: consistency by how facts were shown.

    ``regime``: of arm A8 once, repeated, reworded; or reworded - repeated. ``facts``: assigned (all
    of a regime, right or not: the contrast is one that the lot decided), or known in k wordings
    (which depends on the regime).
    """

    table: ClassVar[str] = "wording_effects"
    facts: str = column("assigned or known", key=True)
    regime: str = column("see above", key=True)
    localiser: str = column(_LOCALISER, key=True)
    sets: str = column("threshold or top", key=True)
    cs2: float = column("mean over facts, or difference of means")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("facts; for the difference those of the smaller side")


@dataclass(frozen=True, slots=True)
class NeuronMapsRecord:
    """results/query_localization/neuron_maps.parquet: two queries of one fact of each class.

    The fact of a class is the one whose cs2 is nearest to the class's median.
    """

    table: ClassVar[str] = "neuron_maps"
    cls: str = column(CLS, key=True)
    fact_id: str = column("fact")
    text: str = column("the query")
    query: int = column("0 or 1", key=True)
    synapses: str = column("untouched, suppressed or enhanced", key=True)
    layer: int = column("layer, from 0", key=True)
    bin: int = column("group of neighbouring neurons", key=True)
    attribution: float = column("highest attribution in the group")


QUERY_LOCALIZATION_RECORDS: tuple[Any, ...] = (
    ExclusionsRecord,
    NeuronSetsRecord,
    ConsistencyRecord,
    ConsistencyMeansRecord,
    ClassSharesRecord,
    WordingEffectsRecord,
    NeuronMapsRecord,
    *QUERY_EFFECTS_RECORDS,
)
