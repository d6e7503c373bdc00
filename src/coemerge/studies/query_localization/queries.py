"""Which facts are studied, and the k wordings in which each is asked: those answered right."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor, nn

from coemerge.scoring.forward import Question, score_prompts
from coemerge.studies.query_localization.config import QueryLocalizationConfig

log = logging.getLogger(__name__)
Ids = list[int]
STUDIED = "studied"
NEVER_SHOWN = "A5_never"


@dataclass(frozen=True)
class Subject:
    """What is studied: a model, identified by ``identity``, what it may be asked
    (``tables.records.PromptRecord``), its facts (columns fact_id, relation, arm, detail), and
    held-out ``text``, token ids [N,T], for perplexity; ``key_text``: texts of any length that say
    what the model usually reads, none where nobody knows. ``opening``: the token that opens a
    document, if the prompts have one; ``separator``: what stands between two statements."""

    model: nn.Module
    identity: str
    seed: int
    prompts: pa.Table
    facts: pd.DataFrame
    text: Tensor | None = None
    key_text: Sequence[Sequence[int]] = ()
    opening: int | None = None
    separator: Sequence[int] = ()


@dataclass(frozen=True)
class Queries:
    """F facts, k queries of each: query i of fact f is row ``f * k + i``.

    ``facts``: fact_id, relation, arm, detail. ``rows``: ids, answer_ids, template_id, split, text,
    subject_start, subject_stop.
    ``more``: per fact, further wordings that are answered right. ``counts``: how many facts are
    studied or left out, and why (columns of ``ExclusionsRecord`` without the seed).
    """

    facts: pd.DataFrame
    rows: pd.DataFrame
    k: int
    more: list[list[Ids]]
    counts: pd.DataFrame

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
    most probable one in at least k wordings: k of these, at random. What is left out is counted.

    Raises ValueError where fewer than ``config.min_facts`` are left, with the remedy.
    """
    asked = _asked(subject, config)
    asked["right"] = _is_right(subject.model, asked) if config.only_known else True
    counts = _counts(subject, asked, config)
    of_reason = counts.groupby("reason")["n"].sum().to_dict()
    told = ", ".join(f"{n} {reason}" for reason, n in of_reason.items())
    log.info("facts in %s: %s", config.task, told)
    if of_reason.get(STUDIED, 0) < config.min_facts:
        raise ValueError(
            f"facts in {config.task}: {told}; the study takes {config.min_facts} that are right in "
            f"{config.k} wordings: train longer, lower study.k, or name other facts (study.arms, "
            "study.facts)"
        )
    right = asked[asked["right"]]
    right = right.iloc[np.random.default_rng(config.seed).permutation(len(right))]
    n_right = right.groupby("fact_id").size()
    facts = subject.facts[subject.facts["fact_id"].isin(n_right.index[n_right >= config.k])]
    facts = _in_turns(facts, config.n_facts).reset_index(drop=True)
    chosen = right.groupby("fact_id").head(config.k)
    further = right.drop(chosen.index)
    rows = chosen.set_index("fact_id").loc[facts["fact_id"]].reset_index()
    more = {
        fact: [list(map(int, ids)) for ids in of_fact]
        for fact, of_fact in further.groupby("fact_id")["ids"]
    }
    return Queries(facts, rows, config.k, [more.get(f, []) for f in facts["fact_id"]], counts)


def _is_right(model: nn.Module, asked: pd.DataFrame) -> np.ndarray:
    questions = [
        Question(list(ids), list(answer), [answer[0]])
        for ids, answer in zip(asked["ids"], asked["answer_ids"], strict=True)
    ]
    return score_prompts(model, questions).correct.numpy()


def _asked(subject: Subject, config: QueryLocalizationConfig) -> pd.DataFrame:
    """Of the candidates, in the order of facts and wordings."""
    candidates = _candidates(subject.facts, config)
    if not candidates:
        raise ValueError(
            "study.arms, study.facts: no fact is of both; there are facts of "
            f"{', '.join(sorted(set(subject.facts['arm'])))}"
        )
    columns = ["fact_id", "task", "template_id", "split", "variant", "ids", "answer_ids", "text",
               "subject_start", "subject_stop"]  # fmt: skip
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
    else:  # what was never shown is at best guessed
        chosen &= (facts["arm"] != NEVER_SHOWN).to_numpy()
    if config.facts is not None:
        chosen &= facts["fact_id"].isin(config.facts).to_numpy()
    return set(facts["fact_id"][chosen])


def _in_turns(facts: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """At most ``n``, relations taking turns."""
    turn = facts.groupby("relation").cumcount()
    return facts.iloc[turn.argsort(kind="stable")][:n]


def _counts(subject: Subject, asked: pd.DataFrame, config: QueryLocalizationConfig) -> pd.DataFrame:
    """How many candidates are studied or left out, and why, by relation and arm."""
    facts = subject.facts[subject.facts["fact_id"].isin(_candidates(subject.facts, config))]
    n_asked = asked.groupby("fact_id").size().reindex(facts["fact_id"]).fillna(0).to_numpy()
    n_right = asked.groupby("fact_id")["right"].sum().reindex(facts["fact_id"]).fillna(0).to_numpy()
    known = facts[n_right >= config.k]
    studied = facts["fact_id"].isin(_in_turns(known, config.n_facts)["fact_id"]).to_numpy()
    reason = np.select(
        [studied, n_asked == 0, n_asked < config.k, n_right < config.k],
        [
            STUDIED,
            "without a left-to-right wording",
            "with too few wordings",
            "not known in enough",
        ],
        "beyond study.n_facts",
    )
    grouped = facts.assign(reason=reason).groupby(["relation", "arm", "reason"])
    return grouped.size().rename("n").reset_index()
