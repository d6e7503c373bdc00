"""What edits of facts imply: one edit, and everything that restates the fact, before and under it
(methods 6.6).

A new capital should change what the inverse question gets. Where training never stated the inverse
the model may not have known it before either: then its silence says nothing about editing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coemerge.editing.outcome import warn_of
from coemerge.editing.requests import Goal, Request, edited_at
from coemerge.interventions.guard import unchanged
from coemerge.studies.knowledge_neurons.agreement import UNTOUCHED, Predict, agreements, predictor
from coemerge.studies.knowledge_neurons.checks import others, questions
from coemerge.studies.knowledge_neurons.completions import completions, examples
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.families import Planned, planned, restatements
from coemerge.studies.knowledge_neurons.subject import Chosen, Subject
from coemerge.studies.shared.editors import Editors
from coemerge.studies.shared.wordings import Wording, wordings
from coemerge.tables.store import table_schema


@dataclass(frozen=True)
class Implied:
    """``rows``: ``ImplicationsRecord``; ``completions``: ``CompletionsRecord``."""

    rows: pd.DataFrame
    completions: pd.DataFrame


def implied(
    subject: Subject,
    editors: Editors,
    chosen: Mapping[str, Chosen],
    config: KnowledgeNeuronsConfig,
    kept: Collection[str] = (),
) -> Implied:
    """Every fact that is restated by another one, was shown, and is answered right in the edited
    wording (all tokens), edited by every editor of ``chosen``. Facts of the subjects ``kept``, on
    which settings were chosen, are left out, and so is what restates them. Empty for a world
    without such facts. The model is left as found."""
    prompts = _first_wordings(subject, config)
    with unchanged(subject.model):
        subject.model.eval()
        right = answered_right(prompts, predictor(subject.model))
        plans = planned(subject.facts, prompts, right & _wanted(subject.facts, kept, config))
        asked = questions(plans, prompts, right, others(plans, subject.facts))
        untouched = np.full(len(asked.plan), UNTOUCHED)
        before = asked.by_row(agreements(asked.asked, untouched, predictor(subject.model)))
    requests = [request_of(one, prompts) for one in plans]
    shown = examples(plans, right, config.examples) if plans else []
    rows, said = [], []
    for name, choice in chosen.items() if plans else ():
        placed = [edited_at(request, choice.token) for request in requests]
        outcomes = editors.outcomes(choice.editor, placed, choice.layer, choice.setting)
        warn_of(outcomes)
        edits = [outcome.edit for outcome in outcomes]
        with unchanged(subject.model):
            subject.model.eval()
            predict = predictor(subject.model, edits)
            after = asked.by_row(agreements(asked.asked, np.array(asked.plan), predict))
            texts = completions(
                subject, [plans[i] for i in shown], prompts, [edits[i] for i in shown]
            )
        rows.append(asked.rows.assign(editor=name, pre=before, post=after))
        said.append(texts.assign(editor=name))
    return Implied(
        _table("implications", rows, subject.seed), _table("completions", said, subject.seed)
    )


def _first_wordings(subject: Subject, config: KnowledgeNeuronsConfig) -> dict[str, Wording]:
    """By fact, of the subjects of those that restate each other: the first prompt that training
    showed."""
    if subject.facts.empty:
        return {}
    restate = subject.facts["fact_id"].isin(restatements(subject.facts)["fact"])
    about = set(subject.facts.loc[restate, "subject"])
    concerned = set(subject.facts.loc[subject.facts["subject"].isin(about), "fact_id"])
    of_fact = wordings(subject.prompts, config.task, variant=0)
    return {fact: of[0] for fact, of in of_fact.items() if fact in concerned}


def _wanted(facts: pd.DataFrame, kept: Collection[str], config: KnowledgeNeuronsConfig) -> set[str]:
    of_kept = facts.loc[facts["subject"].isin(list(kept)), "fact_id"]
    pairs = restatements(facts)
    restate = pairs.loc[pairs["restated"].isin(of_kept), "fact"]
    wanted = facts[~facts["fact_id"].isin([*of_kept, *restate])]
    if config.arms is not None:
        wanted = wanted[wanted["arm"].isin(config.arms)]
    if config.facts is not None:
        wanted = wanted[wanted["fact_id"].isin(config.facts)]
    return set(wanted["fact_id"])


def answered_right(prompts: Mapping[str, Wording], predict: Predict) -> set[str]:
    """Facts whose prompt is followed by all tokens of the answer."""
    asked = [(prompt.ids, prompt.answer) for prompt in prompts.values()]
    share = agreements(asked, np.full(len(asked), UNTOUCHED), predict)
    return {fact for fact, value in zip(prompts, share, strict=True) if value == 1}


def request_of(one: Planned, prompts: Mapping[str, Wording]) -> Request:
    own = prompts[one.fact]
    return Request(Goal(own.ids, own.subject, prompts[one.donor].answer), own.answer)


def _table(name: str, frames: Sequence[pd.DataFrame], seed: int) -> pd.DataFrame:
    columns = table_schema(name).names
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat(frames, ignore_index=True).assign(seed=seed)[columns]
