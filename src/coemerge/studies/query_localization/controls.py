"""What queries are compared with: those of other facts, and the same query behind other texts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from coemerge.scoring.forward import Question, score_prompts
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Ids, Queries, Subject
from coemerge.studies.shared.contexts import behind, statement


def of_others(queries: Queries, seed: int, same_answer: bool = False) -> np.ndarray:
    """For each query another fact's of the same relation in the same wording, [F,k]; -1 where there
    are not enough. The facts of one fact's queries are all different: two queries of one fact among
    them would share what is that fact's. ``same_answer``: only facts with the answer that the fact
    has, else any."""
    rng = np.random.default_rng(seed)
    wording = queries.rows["template_id"].to_numpy()
    chosen = np.full((len(queries.facts), queries.k), -1)
    for f in range(len(queries.facts)):
        rows = np.arange(f * queries.k, (f + 1) * queries.k)
        pool = (queries.relation_of == queries.relation_of[rows[0]]) & (queries.fact_of != f)
        if same_answer:
            pool &= queries.answer == queries.answer[rows[0]]
        at = np.flatnonzero(pool)
        # At random, but so that as many wordings as possible get a fact of their own: a wording of
        # few facts is not left without one by another that has many.
        others, place = np.unique(queries.fact_of[at], return_inverse=True)
        found = np.full((queries.k, len(others)), -1)
        i, j = np.nonzero(wording[rows][:, None] == wording[at])
        found[i, place[j]] = at[j]
        cost = np.where(found >= 0, rng.random(found.shape), queries.k)
        i, other = linear_sum_assignment(cost)
        chosen[f, i] = found[i, other]
    return chosen


def of_other_relations(queries: Queries, n: int, seed: int) -> list[np.ndarray]:
    """For each fact up to ``n`` queries of other relations, drawn for it alone, of different facts
    first; of other facts with another answer where there is only one relation."""
    rng = np.random.default_rng(seed)
    chosen = []
    for f, relation in enumerate(queries.facts["relation"]):
        others = queries.relation_of != relation
        if not others.any():
            others = queries.answer != queries.answer[f * queries.k]
        chosen.append(_different_facts(queries, rng.permutation(np.flatnonzero(others)))[:n])
    return chosen


def of_the_relation(queries: Queries, n: int, seed: int) -> list[np.ndarray]:
    """For each fact up to ``n`` queries of other facts of its relation, of different facts first;
    none where it is alone."""
    rng = np.random.default_rng(seed)
    chosen = []
    for f in range(len(queries.facts)):
        near = (queries.relation_of == queries.relation_of[f * queries.k]) & (queries.fact_of != f)
        chosen.append(_different_facts(queries, rng.permutation(np.flatnonzero(near)))[:n])
    return chosen


def another_fact(queries: Queries, seed: int) -> np.ndarray:
    """For each fact another one of its relation, at random, [F]; -1 where it is alone."""
    rng = np.random.default_rng(seed)
    relation = queries.facts["relation"].to_numpy()
    chosen = np.full(len(relation), -1)
    for f in range(len(relation)):
        pool = np.flatnonzero((relation == relation[f]) & (np.arange(len(relation)) != f))
        if len(pool):
            chosen[f] = rng.choice(pool)
    return chosen


def _different_facts(queries: Queries, rows: np.ndarray) -> np.ndarray:
    """The same rows, those whose fact came before last."""
    fact = queries.fact_of[rows]
    turn = pd.Series(fact).groupby(fact).cumcount().to_numpy()
    return rows[np.argsort(turn, kind="stable")]


@dataclass(frozen=True)
class Contexts:
    """The first query of some facts behind k texts each: ``facts`` [C], ``ids`` C*k prompts."""

    facts: np.ndarray
    ids: list[Ids]


def behind_contexts(
    subject: Subject, queries: Queries, config: QueryLocalizationConfig
) -> Contexts:
    """Facts whose first query is still answered right behind k of ``config.context_draws``
    statements about facts of other relations, and the first k of these prompts: neurons of an
    answer that the model no longer gives say nothing about the query."""
    drawn = of_other_relations(queries, config.context_draws, config.seed + 1)
    fact, prompts = [], []
    for f, others in enumerate(drawn):
        for other in others:
            text = statement(queries.ids[other], queries.answers[other], subject.separator)
            fact.append(f)
            prompts.append(behind(text, queries.ids[f * queries.k], subject.opening))
    answers = [queries.answers[f * queries.k] for f in fact]
    asked = [
        Question(ids, answer, [answer[0]]) for ids, answer in zip(prompts, answers, strict=True)
    ]
    right = np.ones(len(asked), bool)
    if config.only_known:
        right = score_prompts(subject.model, asked).correct.numpy()
    frame = pd.DataFrame({"fact": fact, "row": np.arange(len(fact))})[right]
    kept = frame.groupby("fact").head(queries.k)
    kept = kept[kept.groupby("fact")["row"].transform("size") == queries.k]
    return Contexts(kept["fact"].to_numpy()[:: queries.k], [prompts[row] for row in kept["row"]])
