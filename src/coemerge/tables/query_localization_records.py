"""Columns of tables that say whether neurons belong to facts or to queries, as in ``records``.

``cls``: whether a fact's neurons are alike over its queries: ``consistent`` (K_C of the paper) or
``inconsistent`` (K_I), by the study's main localiser and threshold.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column

_LOCALISER = "joint (integrated gradients), single (neurons ablated one by one), gradient"
_CLS = "consistent (K_C) or inconsistent (K_I)"
_LOW = "95 % interval over seeds and facts"


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
    low: float = column(_LOW)
    high: float = column(_LOW)
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
    low: float = column(_LOW)
    high: float = column(_LOW)
    cs2_consistent: float = column("mean cs2 of consistent facts; NaN without any")
    cs2_inconsistent: float = column("mean cs2 of inconsistent facts; NaN without any")
    welch_t: float = column("Welch's t of cs2 between the classes; NaN where undefined")
    p_value: float = column("its two-sided p")
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class MappingRecord:
    """results/query_localization/mapping.parquet: one fact's queries with neurons changed.

    ``neurons``: own (of the query), union or intersection (of the fact's other queries), mismatched
    (of another fact's query), random (as many as own in every layer; mean over draws). ``sizes``:
    full, or matched (all cut to the smallest of the first three, highest attributions first;
    undefined where one is empty).
    """

    table: ClassVar[str] = "mapping"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    cls: str = column(_CLS)
    neurons: str = column("own, union, intersection, mismatched or random", key=True)
    sizes: str = column("full or matched", key=True)
    factor: float = column("what activations are multiplied by: 0 or 2", key=True)
    delta_prob: float = column("(P' - P) / P of the answer, mean over queries; NaN if undefined")
    n_neurons: float = column("mean size of the sets")
    n: float = column("queries for which it is defined, mean over draws")


@dataclass(frozen=True, slots=True)
class MappingEffectsRecord:
    """results/query_localization/mapping_effects.parquet: means over facts; also of own - union,
    own - intersection and own - mismatched, paired by fact."""

    table: ClassVar[str] = "mapping_effects"
    cls: str = column(_CLS + ", or all", key=True)
    neurons: str = column("as in mapping, or a difference", key=True)
    sizes: str = column("full or matched", key=True)
    factor: float = column("0 or 2", key=True)
    delta_prob: float = column("mean change of the answer's probability, relative")
    sd: float = column("standard deviation across facts")
    low: float = column(_LOW)
    high: float = column(_LOW)
    n_neurons: float = column("mean size of the sets; NaN for differences")
    n: int = column("facts for which it is defined")
    n_total: int = column("facts of the class")


@dataclass(frozen=True, slots=True)
class SynapsesRecord:
    """results/query_localization/synapses.parquet: one fact's queries with attention changed.

    ``synapses``: own (of the query), or unrelated (of a query of another relation, at the same
    relative columns, equally many).
    """

    table: ClassVar[str] = "synapses"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    cls: str = column(_CLS)
    synapses: str = column("own or unrelated", key=True)
    factor: float = column("what attention to these columns is multiplied by: 0 or 2", key=True)
    rows: str = column("raw, or renormalised (rows of attention sum to 1 again)", key=True)
    delta_kn: float = column("change of the query's neurons, of their sum of sizes")
    delta_prob: float = column("(P' - P) / P of the answer")
    n_synapses: float = column("mean number of (layer, head, column)")
    n: int = column("queries")


@dataclass(frozen=True, slots=True)
class SynapseEffectsRecord:
    """results/query_localization/synapse_effects.parquet: means over facts."""

    table: ClassVar[str] = "synapse_effects"
    cls: str = column(_CLS + ", or all", key=True)
    synapses: str = column("own or unrelated", key=True)
    factor: float = column("0 or 2", key=True)
    rows: str = column("raw or renormalised", key=True)
    measure: str = column("delta_kn or delta_prob", key=True)
    value: float = column("mean over facts")
    sd: float = column("standard deviation across facts")
    low: float = column(_LOW)
    high: float = column(_LOW)
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class NeuronEditsRecord:
    """results/query_localization/neuron_edits.parquet: one edit, for the fact's first query; of
    facts on which no setting was chosen.

    ``neurons``: local (of the query), global (of any of the fact's queries), consistent
    (consistency-aware), equal (of the query, as many as consistent), mismatched (local of another
    fact of the relation), random (as many as local in every layer; mean over draws).
    """

    table: ClassVar[str] = "neuron_edits"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    cls: str = column(_CLS)
    edit: str = column("erase or update", key=True)
    neurons: str = column("see above", key=True)
    beta: float = column("weight of the spread over queries, of the set or of that it is sized by")
    tau: float = column("share of the highest score that a neuron needs, likewise")
    n_neurons: float = column("neurons edited")
    rel: float = column("1 if the edited query answers as the edit wants")
    gen: float = column("the same, over the fact's other queries, which global sets are made of")
    gen_new: float = column("the same, over further wordings, which no set is made of; NaN if none")
    loc: float = column("queries of other relations whose answer stays")
    loc_near: float = column("queries of other facts of the relation whose answer stays")
    avg: float = column("mean of rel, gen and loc")
    n_gen: float = column("queries behind gen")
    n_loc: float = column("queries behind loc")
    rel_before: float = column("rel of the untouched model")
    gen_before: float = column("gen of the untouched model")
    ppl_change: float = column("(perplexity after - before) / before, on held-out text")


@dataclass(frozen=True, slots=True)
class EditScoresRecord:
    """results/query_localization/edit_scores.parquet: means over facts.
    ``measure``: rel, gen, gen_new, loc, loc_near, avg, ppl_change, n_neurons."""

    table: ClassVar[str] = "edit_scores"
    cls: str = column(_CLS + ", or all", key=True)
    edit: str = column("erase or update", key=True)
    neurons: str = column("as in neuron_edits", key=True)
    measure: str = column("see above", key=True)
    value: float = column("mean over facts")
    before: float = column("the same of the untouched model")
    sd: float = column("standard deviation across facts")
    low: float = column(_LOW)
    high: float = column(_LOW)
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class ConsistentChoiceRecord:
    """results/query_localization/consistent_choice.parquet: settings tried on dev facts."""

    table: ClassVar[str] = "consistent_choice"
    edit: str = column("erase or update", key=True)
    neurons: str = column("consistent, local or global", key=True)
    beta: float = column("weight of the spread over queries; 0 but for consistent", key=True)
    tau: float = column("share of the highest score that a neuron needs", key=True)
    avg: float = column("mean of rel, gen and loc over dev facts")
    chosen: bool = column("the best, used on the test facts")
    n: int = column("dev facts, over all seeds")


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
    low: float = column(_LOW)
    high: float = column(_LOW)
    n: int = column("facts; for the difference those of the smaller side")


@dataclass(frozen=True, slots=True)
class NeuronMapsRecord:
    """results/query_localization/neuron_maps.parquet: two queries of one fact of each class.

    The fact of a class is the one whose cs2 is nearest to the class's median.
    """

    table: ClassVar[str] = "neuron_maps"
    cls: str = column(_CLS, key=True)
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
    MappingRecord,
    MappingEffectsRecord,
    SynapsesRecord,
    SynapseEffectsRecord,
    NeuronEditsRecord,
    EditScoresRecord,
    ConsistentChoiceRecord,
    WordingEffectsRecord,
    NeuronMapsRecord,
)
