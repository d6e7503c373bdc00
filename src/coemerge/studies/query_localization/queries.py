"""Which facts are studied, and the k wordings in which each is asked: those answered right."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from coemerge.scoring.forward import Question, score_prompts
from coemerge.studies.query_localization.config import QueryLocalizationConfig

log = logging.getLogger(__name__)
Ids = list[int]


@dataclass(frozen=True)
class Subject:
    """What is studied: a model, identified by ``identity``, what it may be asked
    (``tables.records.PromptRecord``), its facts (columns fact_id, relation, arm, detail), and
    held-out ``text``, token ids [N,T], for perplexity."""

    model: nn.Module
    identity: str
    seed: int
    prompts: pa.Table
    facts: pd.DataFrame
    text: Tensor | None = None


@dataclass(frozen=True)
class Queries:
    """F facts, k queries of each: query i of fact f is row ``f * k + i``.

    ``facts``: fact_id, relation, arm, detail. ``rows``: ids, answer_ids, template_id, text.
    """

    facts: pd.DataFrame
    rows: pd.DataFrame
    k: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fact_of(self) -> np.ndarray:
        """[F*k]."""
        return np.repeat(np.arange(len(self.facts)), self.k)

    @cached_property
    def relation_of(self) -> np.ndarray:
        """Of each query, [F*k]."""
        return self.facts["relation"].to_numpy()[self.fact_of]

    @cached_property
    def ids(self) -> list[Ids]:
        return [list(map(int, ids)) for ids in self.rows["ids"]]

    @cached_property
    def answers(self) -> list[Ids]:
        return [list(map(int, ids)) for ids in self.rows["answer_ids"]]

    @cached_property
    def answer(self) -> np.ndarray:
        """First token of each query's answer, [F*k]."""
        return np.array([ids[0] for ids in self.answers])


def choose_queries(subject: Subject, config: QueryLocalizationConfig) -> Queries:
    """Asks everything in ``config.task``, and keeps facts whose answer (its first token) is the
    most probable one in at least k wordings: the first k of these. What is left out is counted.

    Raises ValueError where fewer than ``config.min_facts`` are left, with the remedy.
    """
    asked = _asked(subject, config)
    questions = [
        Question(list(ids), list(answer), [answer[0]])
        for ids, answer in zip(asked["ids"], asked["answer_ids"], strict=True)
    ]
    right = score_prompts(subject.model, questions).correct.numpy()
    asked["right"] = right if config.only_known else True
    right = asked[asked["right"]].groupby("fact_id").head(config.k)
    known = right.groupby("fact_id").size()
    kept = subject.facts[subject.facts["fact_id"].isin(known.index[known == config.k])]
    kept = _in_turns(kept, config.n_facts)
    log.info("%s", _told(subject, asked, kept, config))
    if len(kept) < config.min_facts:
        raise ValueError(
            f"{_told(subject, asked, kept, config)}; the study takes {config.min_facts}: train "
            "longer, lower study.k, or name other facts (study.arms, study.facts)"
        )
    place = {fact: f for f, fact in enumerate(kept["fact_id"])}
    rows = right[right["fact_id"].isin(place)]
    order = rows["fact_id"].map(place).argsort(kind="stable")
    return Queries(kept.reset_index(drop=True), rows.iloc[order].reset_index(drop=True), config.k)


def _asked(subject: Subject, config: QueryLocalizationConfig) -> pd.DataFrame:
    """Of the candidates, in the order of facts and wordings."""
    candidates = _candidates(subject.facts, config)
    if not candidates:
        raise ValueError(
            "study.arms, study.facts: no fact is of both; there are facts of "
            f"{', '.join(sorted(set(subject.facts['arm'])))}"
        )
    columns = ["fact_id", "task", "template_id", "variant", "ids", "answer_ids", "text"]
    frame = subject.prompts.select(columns).to_pandas()
    frame = frame[(frame["task"] == config.task) & (frame["variant"] == 0)]
    frame = frame[frame["fact_id"].isin(candidates)]
    frame = frame.drop_duplicates(["fact_id", "template_id"])
    if frame.empty:
        raise ValueError(
            f"study.task: none of these facts is asked in {config.task}: a relation without "
            "left-to-right wordings cannot be studied"
        )
    return frame.sort_values(["fact_id", "template_id"]).reset_index(drop=True)


def _candidates(facts: pd.DataFrame, config: QueryLocalizationConfig) -> set[str]:
    chosen = np.ones(len(facts), bool)
    if config.arms is not None:
        chosen &= facts["arm"].isin(config.arms).to_numpy()
    if config.facts is not None:
        chosen &= facts["fact_id"].isin(config.facts).to_numpy()
    return set(facts["fact_id"][chosen])


def _in_turns(facts: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """At most ``n``, relations taking turns."""
    turn = facts.groupby("relation").cumcount()
    return facts.iloc[turn.argsort(kind="stable")][:n]


def _told(
    subject: Subject, asked: pd.DataFrame, kept: pd.DataFrame, config: QueryLocalizationConfig
) -> str:
    wordings = asked.groupby("fact_id").size()
    n_right = asked.groupby("fact_id")["right"].sum()
    n_few = int((wordings < config.k).sum())
    n_unasked = len(_candidates(subject.facts, config) - set(wordings.index))
    n_several = int(asked.drop_duplicates("fact_id")["answer_ids"].map(len).gt(1).sum())
    return (
        f"{len(kept)} facts are studied; of {len(wordings)} asked in {config.task}, "
        f"{int((n_right >= config.k).sum())} are right in {config.k} wordings or more, {n_few} "
        f"have fewer wordings, {n_several} an answer of several tokens; {n_unasked} facts are not "
        "asked at all (no left-to-right wording)"
    )


def of_others(queries: Queries, seed: int) -> np.ndarray:
    """For each query another fact's of the same relation in the same wording, the facts of one
    fact's queries all different, [F,k]; -1 where there are not enough."""
    rng = np.random.default_rng(seed)
    wording = queries.rows["template_id"].to_numpy()
    chosen = np.full((len(queries.facts), queries.k), -1)
    for f in range(len(queries.facts)):
        rows = np.arange(f * queries.k, (f + 1) * queries.k)
        pool = queries.relation_of == queries.facts["relation"].iloc[f]
        pool = np.flatnonzero(pool & (queries.fact_of != f))
        # At random, but so that as many wordings as possible get a fact of their own: a wording of
        # few facts is not left without one by another that has many.
        others, place = np.unique(queries.fact_of[pool], return_inverse=True)
        found = np.full((queries.k, len(others)), -1)
        i, j = np.nonzero(wording[rows][:, None] == wording[pool])
        found[i, place[j]] = pool[j]
        cost = np.where(found >= 0, rng.random(found.shape), queries.k)
        i, other = linear_sum_assignment(cost)
        chosen[f, i] = found[i, other]
    return chosen


def of_other_relations(queries: Queries, n: int, seed: int) -> list[np.ndarray]:
    """For each fact up to ``n`` queries of other relations, of different facts first; of other
    facts with another answer where there is only one relation. The same for a relation's facts
    wherever possible."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(queries))
    order = order[np.argsort(_turn(queries.fact_of[order]), kind="stable")]
    relations = queries.facts["relation"].to_numpy()
    chosen = []
    for f, relation in enumerate(relations):
        others = order[queries.relation_of[order] != relation]
        if not len(others):
            others = order[queries.answer[order] != queries.answer[f * queries.k]]
        chosen.append(others[:n])
    return chosen


def _turn(values: np.ndarray) -> np.ndarray:
    """How often each value came before, [N]."""
    return pd.Series(values).groupby(values).cumcount().to_numpy()


def behind_contexts(queries: Queries, seed: int) -> list[Ids]:
    """Each fact's first query behind k statements about other facts, [F*k]: queries of other
    relations with their answers. What all prompts begin with stays in front."""
    texts = of_other_relations(queries, queries.k, seed + 1)
    start = _common_start(queries.ids)
    found = []
    for f, others in enumerate(texts):
        query = queries.ids[f * queries.k][start:]
        for other in np.resize(others, queries.k):
            found.append([*queries.ids[other], *queries.answers[other], *query])
    return found


def _common_start(ids: Sequence[Ids]) -> int:
    """1 where all begin with one token, such as that which opens a document, else 0."""
    return int(len({prompt[0] for prompt in ids}) == 1)
