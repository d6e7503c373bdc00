"""Columns of what knowledge_neurons writes, as in ``records`` (methods 6).

Syntax and facts stand side by side (``kind``). A topic is a phenomenon of agreement or a relation.
Neurons are looked for in groups of prompts: of a class (the level ``class``: pairs whose right word
is, say, plural; all facts of a relation) or of one item (``item``: one target word in several
sentences; one fact in several wordings).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column
from coemerge.tables.knowledge_edits_records import (
    KIND,
    KNOWLEDGE_EDITS_RECORDS,
    OVER_ITEMS,
    TOPIC,
)

LOW = "95 % interval"
GROUP = "class of the right word (singular, plural, ...), the relation, the word or the fact"
LEVEL = "class or item: what a group of prompts has in common"
CHANGE = "suppressed (activations times 0) or enhanced (times 2) at the prompt's last token"
CONTROL = (
    "none, mismatched (neurons of another group of the kind and level) or random (as many of "
    "each layer; mean over draws)"
)


@dataclass(frozen=True, slots=True)
class SkillsRecord:
    """results/knowledge_neurons/skills.parquet: what the model has learned, before anything is
    changed.

    Right: of a pair, its good word is likelier than its bad one (chance 0.5); of a fact, its answer
    is the likeliest token. ``studied``: right often enough (study.least_accuracy), with enough
    prompts."""

    table: ClassVar[str] = "skills"
    seed: int = column("seed of the run", key=True)
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC, key=True)
    group: str = column("class of the right word; of facts the relation", key=True)
    split: str = column(
        "seen, held_out_words, held_out_frames; of facts that of templates", key=True
    )
    n: int = column("prompts")
    accuracy: float = column("share answered right")
    low: float = column("95 % interval over prompts (Wilson)")
    high: float = column("95 % interval over prompts (Wilson)")
    margin: float = column("mean log p(good) - log p(bad), nats; NaN for facts")
    chance: float = column("share that guessing answers right")
    studied: bool = column("the group's neurons are looked for")
    reason: str = column("why not; empty where they are")


@dataclass(frozen=True, slots=True)
class NeuronGroupsRecord:
    """results/knowledge_neurons/neuron_groups.parquet: one set of neurons, and how alike the
    attributions are that it was made of (methods 6.2, 6.3).

    ``low`` and ``high`` are NaN where the prompts allow fewer different draws than
    study.similarity_draws, as of items with few sentences."""

    table: ClassVar[str] = "neuron_groups"
    seed: int = column("seed of the run", key=True)
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC, key=True)
    level: str = column(LEVEL, key=True)
    group: str = column(GROUP, key=True)
    n_prompts: int = column("prompts that neurons were looked for in")
    n_neurons: int = column("size of the refined set")
    n_coarse: float = column("mean size of the coarse sets")
    share: float = column(
        "share of prompts that a neuron had to be in the coarse sets of, tau_share"
    )
    is_small: bool = column("the search ended with as few neurons as it should (2 to 5)")
    n_compared: int = column("prompts per draw of the similarity, alike in all groups of a level")
    n_zero: int = column("prompts without any attribution, left out of it")
    similarity: float = column("n-sample similarity R1^2, mean over draws of prompts")
    baseline: float = column("the same with each prompt's neurons permuted")
    excess: float = column("similarity - baseline")
    low: float = column("2.5 % point of the excess over draws")
    high: float = column("97.5 % point of the excess over draws")


@dataclass(frozen=True, slots=True)
class GroupNeuronsRecord:
    """results/knowledge_neurons/group_neurons.parquet: the neurons of every refined set."""

    table: ClassVar[str] = "group_neurons"
    seed: int = column("seed of the run", key=True)
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC, key=True)
    level: str = column(LEVEL, key=True)
    group: str = column(GROUP, key=True)
    layer: int = column("layer", key=True)
    neuron: int = column("neuron of the layer's MLP", key=True)
    found_in: float = column("share of the group's coarse sets that have it")
    attribution: float = column("mean attribution over the group's prompts")


@dataclass(frozen=True, slots=True)
class CategoricalRecord:
    """results/knowledge_neurons/categorical.parquet: what a set of neurons does to answers, on
    prompts that it was not found in (methods 6.4); means over prompts, groups of a level by topic
    pooled.

    Right is as in ``skills``. ``p``: probability of the right answer's first token."""

    table: ClassVar[str] = "categorical"
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC + ", or all", key=True)
    level: str = column(LEVEL, key=True)
    group: str = column("class of the right word, the relation, or all; of items all", key=True)
    change: str = column(CHANGE, key=True)
    control: str = column(CONTROL, key=True)
    measure: str = column(
        "error (share not answered right) or p (probability of the right answer)", key=True
    )
    before: float = column("mean, untouched model")
    after: float = column("mean with the neurons changed")
    difference: float = column("after - before, paired by prompt")
    low: float = column(OVER_ITEMS + ", of the difference")
    high: float = column(OVER_ITEMS + ", of the difference")
    n: int = column("prompts")
    n_groups: int = column("sets of neurons")


@dataclass(frozen=True, slots=True)
class TokenShiftsRecord:
    """results/knowledge_neurons/token_shifts.parquet: how far the probability of a token moves when
    a class's neurons are changed (methods 6.4).

    shift = (p after - p before) / min of both, of means over prompts. ``p_value``: two-sided paired
    t-test over units, each the mean probability of its prompts: units are the words that decide (of
    pairs without any, texts), of facts the facts; ``q_value``: Benjamini-Hochberg over all tokens,
    groups and changes of the kind."""

    table: ClassVar[str] = "token_shifts"
    seed: int = column("seed of the run", key=True)
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC, key=True)
    group: str = column("class whose neurons are changed, or the relation", key=True)
    change: str = column(CHANGE, key=True)
    token: str = column("the word", key=True)
    token_class: str = column(
        "singular, plural, masculine, feminine, neutral; of facts answer", key=True
    )
    p_before: float = column("mean over prompts, untouched model")
    p_after: float = column("mean over prompts, neurons changed")
    shift: float = column("signed ratio; 0.5: half more, -0.5: half more before")
    random_low: float = column("2.5 % point of the shift over random sets; may be infinite")
    random_high: float = column("97.5 % point of the shift over random sets; may be infinite")
    p_value: float = column("paired t-test over units; NaN for a single one")
    q_value: float = column("Benjamini-Hochberg")
    significant: bool = column("q_value below 0.05; says nothing of random sets")
    n: int = column("units that are tested: words that decide, or facts")


@dataclass(frozen=True, slots=True)
class WordShiftsRecord:
    """results/knowledge_neurons/word_shifts.parquet: the same for every word that decides and every
    target word, beside how often training showed the two together."""

    table: ClassVar[str] = "word_shifts"
    seed: int = column("seed of the run", key=True)
    topic: str = column("phenomenon of agreement", key=True)
    group: str = column("class whose neurons are changed", key=True)
    change: str = column(CHANGE, key=True)
    cue: str = column("the word that decides", key=True)
    token: str = column("target word", key=True)
    agrees: bool = column("grammar allows the two together")
    n_documents: int = column("documents that show cue before token")
    p_before: float = column("mean over prompts with the cue")
    p_after: float = column("mean over prompts with the cue")
    shift: float = column("as in token_shifts")
    log_ratio: float = column("log(p after / p before)")
    n: int = column("prompts with the cue")


@dataclass(frozen=True, slots=True)
class SurfaceFitsRecord:
    """results/knowledge_neurons/surface_fits.parquet: regression of shifts on how often training
    showed cue and token together: log(1 + n_documents), in standard deviations.

    Ordinary least squares over pairs of words, each class with an intercept of its own; standard
    deviations are over all pairs of the row's topic; intervals resample seeds, then cues (methods
    6.4).

    ``model`` alone: on co-occurrence; with_agreement: also on whether grammar allows the pair;
    within: on co-occurrence among pairs that grammar allows."""

    table: ClassVar[str] = "surface_fits"
    topic: str = column("phenomenon of agreement, or all", key=True)
    change: str = column(CHANGE, key=True)
    measure: str = column("shift or log_ratio", key=True)
    model: str = column("alone, with_agreement or within", key=True)
    term: str = column("cooccurrence or agreement", key=True)
    coefficient: float = column("change of the measure per standard deviation, or with agreement")
    low: float = column(LOW)
    high: float = column(LOW)
    r_squared: float = column("share of what varies within classes that the whole model explains")
    n: int = column("pairs of words")


KNOWLEDGE_NEURONS_RECORDS: tuple[type[Any], ...] = (
    SkillsRecord,
    NeuronGroupsRecord,
    GroupNeuronsRecord,
    CategoricalRecord,
    TokenShiftsRecord,
    WordShiftsRecord,
    SurfaceFitsRecord,
    *KNOWLEDGE_EDITS_RECORDS,
)
