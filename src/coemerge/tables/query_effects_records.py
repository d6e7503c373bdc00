"""Columns of tables of what happens when a query's neurons, attention or weights are changed, as in
``records``; ``cls`` as in ``query_localization_records``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column

CLS = "consistent (K_C) or inconsistent (K_I)"
LOW = "95 % interval over seeds and facts"


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
    cls: str = column(CLS)
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
    cls: str = column(CLS + ", or all", key=True)
    neurons: str = column("as in mapping, or a difference", key=True)
    sizes: str = column("full or matched", key=True)
    factor: float = column("0 or 2", key=True)
    delta_prob: float = column("mean change of the answer's probability, relative")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
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
    cls: str = column(CLS)
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
    cls: str = column(CLS + ", or all", key=True)
    synapses: str = column("own or unrelated", key=True)
    factor: float = column("0 or 2", key=True)
    rows: str = column("raw or renormalised", key=True)
    measure: str = column("delta_kn or delta_prob", key=True)
    value: float = column("mean over facts")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
    n: int = column("facts, over all seeds")


@dataclass(frozen=True, slots=True)
class NeuronEditsRecord:
    """results/query_localization/neuron_edits.parquet: one edit, for the fact's first query; of
    facts on which no setting was chosen.

    ``neurons``, or an editor of weights: local (of the query), global (of any of the fact's
    queries), consistent (consistency-aware), equal (of the query, as many as consistent),
    mismatched (local of another fact of the relation), random (as many as local in every layer;
    mean over draws); rome, memit (updates alone, which have no neurons, beta or tau).
    """

    table: ClassVar[str] = "neuron_edits"
    seed: int = column("seed of the run", key=True)
    fact_id: str = column("fact", key=True)
    cls: str = column(CLS)
    edit: str = column("erase or update", key=True)
    neurons: str = column("see above, or an editor of weights", key=True)
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
    cls: str = column(CLS + ", or all", key=True)
    edit: str = column("erase or update", key=True)
    neurons: str = column("as in neuron_edits", key=True)
    measure: str = column("see above", key=True)
    value: float = column("mean over facts")
    before: float = column("the same of the untouched model")
    sd: float = column("standard deviation across facts")
    low: float = column(LOW)
    high: float = column(LOW)
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


QUERY_EFFECTS_RECORDS: tuple[Any, ...] = (
    MappingRecord,
    MappingEffectsRecord,
    SynapsesRecord,
    SynapseEffectsRecord,
    NeuronEditsRecord,
    EditScoresRecord,
    ConsistentChoiceRecord,
)
