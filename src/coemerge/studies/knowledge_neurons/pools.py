"""All prompts of a class, whether the model answers them right, and which classes are studied."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from coemerge.prompts.minimal_pairs import PairPrompt
from coemerge.scoring.forward import answers_right
from coemerge.scoring.minimal_pairs import margins
from coemerge.statistics.intervals import wilson_mean
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.sides import class_sides
from coemerge.studies.knowledge_neurons.subject import FACTS, SYNTAX, Pool, Prompt, Subject

log = logging.getLogger(__name__)
NEVER_SHOWN = "A5_never"
_COLUMNS = ["prompt_id", "fact_id", "relation", "template_id", "split", "ids", "answer_ids",
            "subject_start", "subject_stop"]  # fmt: skip


def make_pools(subject: Subject, config: KnowledgeNeuronsConfig) -> list[Pool]:
    """Phenomena and classes, then relations, in the order of the data; prompts asked twice are
    there once. Raises ValueError for phenomena, arms and facts that are not there, by name."""
    pools = [*_syntax_pools(subject, config), *_fact_pools(subject, config)]
    if not pools:
        raise ValueError(
            f"there is neither a minimal pair nor a fact asked in {config.task} to study: name "
            "others (study.task, study.arms, study.facts, study.pairs)"
        )
    return pools


def skills(pools: Sequence[Pool], config: KnowledgeNeuronsConfig) -> pd.DataFrame:
    """``SkillsRecord`` but for the seed."""
    return pd.DataFrame([row for pool in pools for row in _skill_rows(pool, config)])


def studied(pools: Sequence[Pool], config: KnowledgeNeuronsConfig) -> list[Pool]:
    """Those answered right often enough, with enough prompts. Raises ValueError, with what each
    lacks, where there is none."""
    reasons = [_reason(pool, config) for pool in pools]
    kept = [pool for pool, reason in zip(pools, reasons, strict=True) if not reason]
    if not kept:
        told = (f"{p.topic} {p.name}: {why}" for p, why in zip(pools, reasons, strict=True))
        raise ValueError(
            f"the model has learned nothing that can be studied ({'; '.join(told)}): train longer, "
            "or lower study.least_accuracy or study.min_prompts"
        )
    log.info("%d of %d classes and relations are studied", len(kept), len(pools))
    return kept


def _syntax_pools(subject: Subject, config: KnowledgeNeuronsConfig) -> list[Pool]:
    """By phenomenon and class of the good word; where that is unknown, a phenomenon is one."""
    known = list(dict.fromkeys(prompt.pair.phenomenon for prompt in subject.pairs))
    _check_names("phenomena", config.phenomena, known, "phenomena")
    chosen = known if config.phenomena is None else config.phenomena
    distinct: dict[tuple, PairPrompt] = {}
    for prompt in subject.pairs:
        if prompt.pair.phenomenon in chosen:
            named = (prompt.pair.phenomenon, prompt.pair.word_class)
            distinct.setdefault((*named, prompt.ids, prompt.good_id, prompt.bad_id), prompt)
    asked = list(distinct.values())
    if not asked:
        return []
    margin = margins(subject.model, asked).numpy().astype(float)
    pairs = [prompt.pair for prompt in asked]
    classes = [(pair.phenomenon, pair.word_class or pair.phenomenon) for pair in pairs]
    return [
        _pool(SYNTAX, topic, name, [_of_pair(p, k) for k, p in enumerate(of)], values > 0, values)
        for topic, name, of, values in (
            (*key, [asked[i] for i in rows], margin[rows]) for key, rows in _rows_of(classes)
        )
    ]


def _fact_pools(subject: Subject, config: KnowledgeNeuronsConfig) -> list[Pool]:
    """By relation, with all wordings of a fact."""
    facts = _chosen_facts(subject.facts, config)
    if not facts or not subject.prompts.num_rows:
        return []
    wanted = (pc.field("task") == config.task) & (pc.field("variant") == 0)
    frame = subject.prompts.filter(wanted).select(_COLUMNS).to_pandas()
    frame = frame[frame["fact_id"].isin(facts)].drop_duplicates(["fact_id", "template_id"])
    frame["subject"] = frame["fact_id"].map(subject.facts.set_index("fact_id")["subject"])
    asked = frame.to_dict("records")
    if not asked:
        log.warning("study.task: none of the %d facts is asked in %s", len(facts), config.task)
        return []
    ids, answers = ([list(map(int, row[name])) for row in asked] for name in ("ids", "answer_ids"))
    right = answers_right(subject.model, ids, answers)
    return [
        _pool(FACTS, key, key, [_of_fact(asked[i]) for i in rows], right[rows], None)
        for key, rows in _rows_of([str(row["relation"]) for row in asked])
    ]


def _chosen_facts(facts: pd.DataFrame, config: KnowledgeNeuronsConfig) -> set[str]:
    """Of the arms and names asked for; what training never showed only where named."""
    if facts.empty:
        _check_names("facts", config.facts, [], "facts")
        return set()
    _check_names("arms", config.arms, sorted(facts["arm"].unique()), "arms")
    _check_names("facts", config.facts, facts["fact_id"].tolist(), "facts")
    kept = np.ones(len(facts), bool)
    if config.arms is not None:
        kept &= facts["arm"].isin(config.arms).to_numpy()
    if config.facts is not None:
        kept &= facts["fact_id"].isin(config.facts).to_numpy()
    else:
        kept &= (facts["documents"] != 0).to_numpy()  # NaN: nobody knows
        if config.arms is None:
            kept &= (facts["arm"] != NEVER_SHOWN).to_numpy()
    return set(facts["fact_id"][kept])


def _check_names(key: str, names: Sequence[str] | None, known: Sequence[str], what: str) -> None:
    there = set(known)
    if unknown := [name for name in names or () if name not in there]:
        some = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        told = f"{what} such as {some}" if known else f"no {what} at all"
        raise ValueError(f"study.{key}: {', '.join(unknown)} is not there; there are {told}")


def _rows_of(keys: Sequence[Any]) -> list[tuple[Any, list[int]]]:
    """Each key, in the order they come, with its places."""
    found: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return list(found.items())


def _pool(
    kind: str,
    topic: str,
    name: str,
    prompts: Sequence[Prompt],
    right: np.ndarray,
    margin: np.ndarray | None,
) -> Pool:
    values = np.full(len(prompts), np.nan) if margin is None else margin
    return Pool(kind, topic, name, tuple(prompts), right, values)


def _of_pair(prompt: PairPrompt, number: int) -> Prompt:
    pair = prompt.pair
    return Prompt(
        name=f"{pair.phenomenon}/{pair.word_class}/{number}",
        item=pair.good,
        about=pair.cue,
        ids=tuple(prompt.ids),
        answer=(prompt.good_id,),
        foil=prompt.bad_id,
        span=prompt.cue,
        split=pair.split,
    )


def _of_fact(row: Mapping[str, Any]) -> Prompt:
    return Prompt(
        name=row["prompt_id"],
        item=row["fact_id"],
        about=row["subject"],
        ids=tuple(map(int, row["ids"])),
        answer=tuple(map(int, row["answer_ids"])),
        foil=None,
        span=(int(row["subject_start"]), int(row["subject_stop"])),
        split=row["split"],
        wording=int(row["template_id"]),
    )


def _skill_rows(pool: Pool, config: KnowledgeNeuronsConfig) -> list[dict[str, Any]]:
    reason = _reason(pool, config)
    firsts = {prompt.answer[0] for prompt in pool.prompts}
    rows = []
    for split, places in _rows_of([prompt.split for prompt in pool.prompts]):
        found = wilson_mean(pool.right[places].astype(float), lowest=0.0)
        rows.append(
            {
                "kind": pool.kind,
                "topic": pool.topic,
                "group": pool.name,
                "split": split,
                "n": found.n,
                "accuracy": found.mean,
                "low": found.low,
                "high": found.high,
                "margin": float(pool.margin[places].mean()),
                "chance": 0.5 if pool.kind == SYNTAX else 1 / len(firsts),
                "studied": not reason,
                "reason": reason,
            }
        )
    return rows


def _reason(pool: Pool, config: KnowledgeNeuronsConfig) -> str:
    """Why a pool is not studied, empty where it is."""
    accuracy = pool.right.mean()
    if accuracy < config.least_accuracy:
        return f"{accuracy:.2f} answered right, below study.least_accuracy={config.least_accuracy}"
    sides = class_sides(pool, config)
    n = min(len(sides.search), int(pool.right[sides.test].sum()))
    if n < config.min_prompts:
        return f"{n} prompts answered right on a side, study.min_prompts={config.min_prompts}"
    return ""
