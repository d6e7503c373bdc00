"""Columns of what knowledge_neurons writes about tracing and edits, as in ``records`` (methods 6.5
and 6.6)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from coemerge.tables.columns import column

KIND = "syntax or facts"
TOPIC = "phenomenon of agreement, or relation"
OVER_ITEMS = "95 % interval over seeds and items"
OVER_WORDS = (
    "95 % interval over seeds, and over words that decide or subjects: what is about one is "
    "resampled together"
)
EDITOR = "rome, memit, ft or kn"
MOMENT = "pre (of the untouched model) or post (under the edit)"


@dataclass(frozen=True, slots=True)
class SyntaxTotalsRecord:
    """results/knowledge_neurons/syntax_totals.parquet: total effect of noise on the word that
    decides (syntax) or the subject (facts); means over prompts answered right."""

    table: ClassVar[str] = "syntax_totals"
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC + ", or all", key=True)
    p_clean: float = column("probability of the answer")
    p_corrupted: float = column("probability of the answer under noise")
    total_effect: float = column("p_clean - p_corrupted")
    sd: float = column("standard deviation across prompts")
    low: float = column(OVER_WORDS)
    high: float = column(OVER_WORDS)
    n: int = column("prompts whose answer is the likeliest token")
    n_kept: int = column("of these, prompts with a total effect, which effects are averaged over")
    n_total: int = column("prompts traced")


@dataclass(frozen=True, slots=True)
class SyntaxEffectsRecord:
    """results/knowledge_neurons/syntax_effects.parquet: average indirect effects of restored
    states, by role of the token (methods 2.8, 6.5)."""

    table: ClassVar[str] = "syntax_effects"
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC + ", or all", key=True)
    state: str = column("resid, mlp or attn: what is restored", key=True)
    role: str = column("role of the token (the word that decides stands for the subject)", key=True)
    layer: int = column("layer", key=True)
    place: int = column("order of the roles")
    window: int = column("layers restored together")
    aie: float = column("mean over prompts of the probability given back")
    sd: float = column("standard deviation across prompts")
    low: float = column(OVER_WORDS)
    high: float = column(OVER_WORDS)
    n: int = column("prompts that have the role")


@dataclass(frozen=True, slots=True)
class RewritesRecord:
    """results/knowledge_neurons/rewrites.parquet: edits to the ungrammatical form, and to another
    object, by the scores of methods 2.10; means over edits."""

    table: ClassVar[str] = "rewrites"
    kind: str = column(KIND, key=True)
    topic: str = column(TOPIC + ", or all", key=True)
    editor: str = column(EDITOR, key=True)
    measure: str = column(
        "es (edited prompt), ps (other sentences or wordings), ns (other words or subjects), top1 "
        "(the new answer is the likeliest token) or s (harmonic mean of es, ps, ns, over edits of "
        "which all three are defined; not there without any)",
        key=True,
    )
    moment: str = column(MOMENT, key=True)
    value: float = column("mean over edits; s: of means")
    sd: float = column("standard deviation across edits")
    low: float = column(OVER_WORDS)
    high: float = column(OVER_WORDS)
    n: int = column("edits for which it is defined")
    layer: int = column("edited layer, the last one of several; -1 where neurons choose")
    setting: str = column("values chosen on other words and facts")
    token: str = column(
        "which token was edited: first or last of the word that decides (the subject), or the "
        "prompt's end; several joined by ' | ' where models differ, as in setting"
    )


@dataclass(frozen=True, slots=True)
class RewriteChoiceRecord:
    """results/knowledge_neurons/rewrite_choice.parquet: what was tried on words and facts kept for
    it."""

    table: ClassVar[str] = "rewrite_choice"
    seed: int = column("seed of the run", key=True)
    kind: str = column(KIND, key=True)
    editor: str = column(EDITOR, key=True)
    layer: int = column("edited layer", key=True)
    setting: str = column("values tried", key=True)
    token: str = column("which token was edited: first or last of the subject, or the prompt's end")
    es: float = column("share of success, edited prompt")
    ps: float = column("share of success, other wordings")
    ns: float = column("share of neighbours left alone")
    s: float = column("harmonic mean of those that are defined")
    n: int = column("edits")
    chosen: bool = column("used for the edits reported")


@dataclass(frozen=True, slots=True)
class ImplicationsRecord:
    """results/knowledge_neurons/implications.parquet: what one edit of a fact does to the fact and
    to what restates it (methods 6.6).

    Edited: s -> t into s -> t', where (s', t') is another fact of the relation and condition.
    Checks: source_old (s -> t), rewrite (s -> t'); of symmetry inverse_new (t' -> s), inverse_old
    (t -> s), inverse_swapped (t -> s'), inverse_displaced (t' -> s'); of synonymy synonym_old and
    synonym_new (s -> what restates t and t'). Controls, where s has another relation, answered
    right before: unrelated_kept (means over all such; s keeps its answers) and unrelated_donor (it
    takes those of s' where they differ: the edit has made s into s').
    ``value``: share of the answer's tokens that greedy, teacher-forced predictions agree with."""

    table: ClassVar[str] = "implications"
    seed: int = column("seed of the run", key=True)
    family: str = column("symmetry or synonymy", key=True)
    edited: str = column("relation of the edited fact", key=True)
    asked: str = column("relation that restates it", key=True)
    fact_id: str = column("edited fact", key=True)
    root: str = column("unit of inference: smallest root_id of it and of what restates it")
    arm: str = column("its arm")
    stated: str = column("yes, no or unknown: training showed what restates the fact")
    known: bool = column("what restates the fact, and what restates (s', t'), is answered right")
    editor: str = column(EDITOR, key=True)
    check: str = column("see above", key=True)
    expected: str = column(
        "what a consistent edit would bring: holds, falls, or open (inverse_swapped, which follows "
        "only if subjects and objects are to stay in pairs; unrelated_donor)"
    )
    pre: float = column("token agreement, untouched model")
    post: float = column("token agreement, under the edit")


@dataclass(frozen=True, slots=True)
class ImplicationRatesRecord:
    """results/knowledge_neurons/implication_rates.parquet: means of ``implications`` over facts.

    A condition without facts has its row too, with n = 0 and NaN: an inverse that the corpus never
    states is no failure of an edit. A fact and what restates it (``root``) are resampled as one;
    where all values are 0, or all 1, the interval is Wilson's with as many units.
    """

    table: ClassVar[str] = "implication_rates"
    family: str = column("symmetry or synonymy", key=True)
    edited: str = column("relation of the edited fact, or all", key=True)
    condition: str = column(
        "all, known, unknown, stated, not_stated, or stated_known, not_stated_known: what training "
        "showed, and what the untouched model answered right; took, took_known, took_stated_known: "
        "of these the edits of this editor whose rewrite is said (post = 1); took_known_kept: and "
        "that keep all other facts of the subject",
        key=True,
    )
    arm: str = column("arm of the exposure plan, or all", key=True)
    editor: str = column(EDITOR, key=True)
    check: str = column("as in implications", key=True)
    expected: str = column("as in implications: holds, falls or open")
    moment: str = column(MOMENT + ", or difference", key=True)
    value: float = column("mean over facts")
    sd: float = column("standard deviation across facts")
    low: float = column(OVER_ITEMS)
    high: float = column(OVER_ITEMS)
    n: int = column("facts")


@dataclass(frozen=True, slots=True)
class CompletionsRecord:
    """results/knowledge_neurons/completions.parquet: what the model says before and under one edit
    (greedy)."""

    table: ClassVar[str] = "completions"
    seed: int = column("seed of the run", key=True)
    family: str = column("symmetry or synonymy", key=True)
    editor: str = column(EDITOR, key=True)
    fact_id: str = column("edited fact", key=True)
    edit: str = column("the edit in words: subject -> new object (was: old object)")
    check: str = column("as in implications", key=True)
    prompt: str = column("what is asked")
    expected: str = column("what a consistent edit would bring")
    pre: str = column("the untouched model's continuation")
    post: str = column("continuation under the edit")


KNOWLEDGE_EDITS_RECORDS: tuple[type[Any], ...] = (
    SyntaxTotalsRecord,
    SyntaxEffectsRecord,
    RewritesRecord,
    RewriteChoiceRecord,
    ImplicationsRecord,
    ImplicationRatesRecord,
    CompletionsRecord,
)
