"""Causal tracing with the word that decides, or a fact's subject, under noise (methods 2.8, 6.5).

Syntax and facts go through the same code. A word like a noun or a verb is one of many that agree,
so that the good word of a pair is seldom the likeliest token. As in methods 2.8 the answer is what
the model itself finds likeliest, where that is right: of a fact its object, of a pair any good word
of its class.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from torch import nn

from coemerge.editing.rows import top_tokens
from coemerge.interventions.guard import unchanged
from coemerge.localization.causal_tracing import trace
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.localization.tracing_result import TracingResult, with_total_effect
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.sides import chance
from coemerge.studies.knowledge_neurons.subject import KINDS, SYNTAX, Pool, Prompt, Subject
from coemerge.studies.knowledge_neurons.turns import grouped, in_turns
from coemerge.studies.shared.means import Rows
from coemerge.studies.shared.traced_means import mean_effects, mean_total_effect

log = logging.getLogger(__name__)
ALL = "all"
_TOTALS = ("p_clean", "p_corrupted", "total_effect")


@dataclass(frozen=True, eq=False)
class TracedKind:
    """``prompts`` [N] with the answers traced, the ``topics`` [N] that they are of, and what became
    of them; ``kept`` bool [N]: answered right, with a total effect. ``no_span``, ``not_top``: how
    many prompts answered right were left out, as the word that decides is unknown, or as another
    token is likelier than any right one."""

    prompts: list[Prompt]
    topics: np.ndarray
    result: TracingResult
    kept: np.ndarray
    no_span: int
    not_top: int

    @property
    def abouts(self) -> np.ndarray:
        """[N]: the word that decides, or the subject, of each; what intervals resample."""
        return np.array([prompt.about for prompt in self.prompts])


@dataclass(frozen=True)
class Traced:
    """One model, by kind; none where nothing was traced."""

    seed: int
    kinds: Mapping[str, TracedKind]


def trace_kinds(subject: Subject, pools: Sequence[Pool], config: KnowledgeNeuronsConfig) -> Traced:
    """Up to ``config.traced`` prompts of each topic, its classes and their words (facts) in turn;
    noise of one scale in all topics of a kind. The model is left as found."""
    kinds = {}
    for kind in KINDS if config.traced else ():
        of_kind = [pool for pool in pools if pool.kind == kind]
        found = _trace_kind(subject.model, of_kind, config) if of_kind else None
        if found is not None:
            kinds[kind] = found
            log.info(
                "%s: %d prompts traced, %d of them lose their answer to noise; %d without a span "
                "and %d with another likeliest token left out",
                kind, len(found.prompts), found.kept.sum(), found.no_span, found.not_top,
            )  # fmt: skip
    return Traced(subject.seed, kinds)


def _trace_kind(
    model: nn.Module, pools: Sequence[Pool], config: KnowledgeNeuronsConfig
) -> TracedKind | None:
    """None where the pools have nothing to trace."""
    candidates = [_distinct(pool) for pool in pools]
    no_span = sum(prompt.span is None for prompts in candidates for prompt in prompts)
    candidates = [[p for p in prompts if p.span is not None] for prompts in candidates]
    answered = _answered_by_model(model, pools, candidates)
    n_candidates, n_answered = (sum(map(len, of)) for of in (candidates, answered))
    chosen: list[Prompt] = []
    topics: list[str] = []
    for topic in dict.fromkeys(pool.topic for pool in pools):
        of_topic = [of for of, pool in zip(answered, pools, strict=True) if pool.topic == topic]
        taken = in_turns(_drawn(prompts, config) for prompts in of_topic)[: config.traced]
        chosen += taken
        topics += [topic] * len(taken)
    if not chosen:
        return None
    traced = [TracedPrompt(p.ids, p.answer[0], p.span) for p in chosen if p.span is not None]
    result = trace(model, traced, config.traced_config, show_progress=True)
    kept = with_total_effect(result, config.traced_config.min_total_effect).mask
    return TracedKind(chosen, np.array(topics), result, kept, no_span, n_candidates - n_answered)


def _distinct(pool: Pool) -> list[Prompt]:
    """Prompts answered right, each once however many good words it has."""
    right = [prompt for prompt, is_right in zip(pool.prompts, pool.right, strict=True) if is_right]
    return list({prompt.ids: prompt for prompt in reversed(right)}.values())[::-1]


def _drawn(prompts: Sequence[Prompt], config: KnowledgeNeuronsConfig) -> list[Prompt]:
    """By lot, the words that decide (subjects) in turn."""
    ordered = sorted(prompts, key=lambda prompt: chance(config.seed, "traced", prompt.name))
    return in_turns(grouped(ordered, lambda prompt: prompt.about))


def _answered_by_model(
    model: nn.Module, pools: Sequence[Pool], candidates: Sequence[Sequence[Prompt]]
) -> list[list[Prompt]]:
    """Those whose likeliest token is right, with that token as the answer."""
    prompts = list(chain.from_iterable(candidates))
    with unchanged(model):
        model.eval()
        likeliest = top_tokens(model, [prompt.ids for prompt in prompts])
    found, ends = [], np.cumsum([len(of) for of in candidates])[:-1]
    for pool, of, tokens in zip(pools, candidates, np.split(likeliest, ends), strict=True):
        good = {prompt.answer[0] for prompt in pool.prompts}
        said = [replace(p, answer=(int(t),)) for p, t in zip(of, tokens, strict=True)]
        right = [good if pool.kind == SYNTAX else {prompt.answer[0]} for prompt in of]
        found.append([p for p, those in zip(said, right, strict=True) if p.answer[0] in those])
    return found


def tracing_rows(traced: Sequence[Traced], config: KnowledgeNeuronsConfig) -> dict[str, Rows]:
    """``SyntaxTotalsRecord`` and ``SyntaxEffectsRecord`` over all models, by topic and pooled."""
    tables: dict[str, Rows] = {"syntax_totals": [], "syntax_effects": []}
    for kind in KINDS:
        models = [one.kinds[kind] for one in traced if kind in one.kinds]
        topics = dict.fromkeys(topic for one in models for topic in one.topics.tolist())
        for topic in (ALL, *topics) if models else ():
            named = {"kind": kind, "topic": topic}
            chosen = [np.full(len(m.topics), topic == ALL) | (m.topics == topic) for m in models]
            tables["syntax_totals"].append({**named, **_totals(models, chosen, config)})
            results = [model.result for model in models]
            kept = [m.kept & of for m, of in zip(models, chosen, strict=True)]
            units = [model.abouts for model in models]
            tables["syntax_effects"] += [
                {**named, "state": state, **row}
                for state in results[0].effects
                for row in mean_effects(results, kept, state, config, units)
            ]
    return tables


def _totals(
    models: Sequence[TracedKind], chosen: Sequence[np.ndarray], config: KnowledgeNeuronsConfig
) -> dict[str, float]:
    pairs = list(zip(models, chosen, strict=True))
    counted = [of & m.result.is_top1 for m, of in pairs]
    tables = [
        np.stack([getattr(m.result, name) for name in _TOTALS], axis=1)[rows]
        for m, rows in zip(models, counted, strict=True)
    ]
    units = [m.abouts[rows] for m, rows in zip(models, counted, strict=True)]
    return {
        **mean_total_effect(tables, _TOTALS, config, units),
        "n": sum(map(len, tables)),
        "n_kept": int(sum((m.kept & of).sum() for m, of in pairs)),
        "n_total": int(sum(of.sum() for _, of in pairs)),
    }
