"""Cases made of a data set's own prompts: which facts are edited, to what, and how they are asked.

A new object is another one of the relation. The edited wording is the first that training showed;
paraphrases are the others, those held out from training first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from torch import nn

from coemerge.editing.counterfact_scores import CounterfactTrial
from coemerge.editing.requests import Goal, Ids, Request
from coemerge.localization.prompts import stable_seed
from coemerge.prompts.pairs import Pairing
from coemerge.prompts.tasks import NAMING
from coemerge.scoring.forward import Question, score_prompts
from coemerge.studies.entity_relation.cases import (
    ENTITY,
    ENTITY_THIRD,
    RELATION,
    RELATION_THIRD,
    REMOVAL,
    STUDIED,
    Case,
    Cases,
)
from coemerge.studies.entity_relation.choosing import choose
from coemerge.studies.entity_relation.config import EntityRelationConfig


@dataclass(frozen=True, slots=True)
class _Prompt:
    ids: list[int]
    subject: tuple[int, int]
    answer: list[int]
    text: str
    template_id: int


_Asked = Mapping[str, list[_Prompt]]  # by fact; the edited wording first
_COLUMNS = ["fact_id", "template_id", "split", "text", "ids", "answer_ids", "subject_start",
            "subject_stop"]  # fmt: skip


def cases_from_prompts(
    model: nn.Module,
    prompts: pa.Table,
    pairing: Pairing,
    facts: pd.DataFrame,
    config: EntityRelationConfig,
) -> Cases:
    """Facts that the model answers right (see ``config.only_known``), each with its counterfactual;
    chosen as by ``choosing.choose``.

    ``prompts``: ``tables.records.PromptRecord``. ``facts``: all of the world, columns fact_id,
    relation, arm, subject, object, and how many documents showed each on its ``entity`` and
    ``relation_side``, NaN where nobody knows.
    """
    return choose(facts, _Maker(model, prompts, pairing, facts, config), config)


class _Maker:
    """Makes cases of one model's facts."""

    def __init__(
        self,
        model: nn.Module,
        prompts: pa.Table,
        pairing: Pairing,
        facts: pd.DataFrame,
        config: EntityRelationConfig,
    ) -> None:
        self._model, self._pairing, self._config = model, pairing, config
        self._facts = facts.set_index("fact_id")
        self._entity = _prompts(prompts, config.task, variant=0)
        self._pairs = _prompts(prompts, NAMING, variant=0)
        unrelated = _prompts(prompts, NAMING, variant=1)
        self._none = next((list(of[0].answer) for of in unrelated.values()), [])
        self._new, self._third = self._other_objects()
        self._right = {side: self._answered(asked) for side, asked in self._by_side().items()}

    def _by_side(self) -> dict[str, _Asked]:
        return {ENTITY: self._entity, RELATION: self._pairs}

    def _answered(self, asked: _Asked) -> set[str]:
        """Facts whose edited wording gets the right answer."""
        firsts = [of_fact[0] for of_fact in asked.values()]
        right = _is_right(self._model, [(p.ids, p.answer) for p in firsts])
        return {fact for fact, is_right in zip(asked, right, strict=True) if is_right}

    def _other_objects(self) -> tuple[dict[str, str], dict[str, str]]:
        """By fact, the object it is given and a third one, where there are: of its relation, all
        three starting differently."""
        new: dict[str, str] = {}
        third: dict[str, str] = {}
        for _, group in self._facts.groupby("relation", sort=False):
            asked = group[group.index.isin(self._entity)]
            starts = {obj: self._entity[fact][0].answer[0] for fact, obj in asked["object"].items()}
            for fact, old in asked["object"].items():
                taken = {starts[old]}
                for chosen in (new, third):
                    pool = [obj for obj in sorted(starts) if starts[obj] not in taken]
                    if pool:
                        chosen[str(fact)] = str(self._rng(str(fact), str(len(taken))).choice(pool))
                        taken.add(starts[chosen[str(fact)]])
        return new, third

    def reasons(self, facts: pd.DataFrame) -> pd.Series:
        """Of each fact: studied, or why not."""
        sides = {ENTITY: facts["entity"].isna() | (facts["entity"] > 0)}
        sides[RELATION] = facts["relation_side"] > 0
        known = np.ones(len(facts), bool)
        if self._config.only_known:
            for side, shown in sides.items():
                known &= ~shown.to_numpy() | facts["fact_id"].isin(self._right[side]).to_numpy()
            known &= ~sides[RELATION].to_numpy() | self._none_before(facts["fact_id"])
        reason = np.select(
            [~facts["fact_id"].isin(self._entity), ~facts["fact_id"].isin(self._new), ~known],
            [f"not asked in {self._config.task}", "without another object", "not known"],
            STUDIED,
        )
        return pd.Series(reason, facts.index)

    def _none_before(self, facts: pd.Series) -> np.ndarray:
        """Whether the subject with its new object is said to be unrelated, where that is asked."""
        asked = [fact for fact in facts if fact in self._new and fact in self._pairs]
        rows = [self._pair(fact, self._pairs[fact][0], self._new[fact]).ids for fact in asked]
        right = _is_right(self._model, [(ids, self._none) for ids in rows])
        return facts.isin([f for f, is_right in zip(asked, right, strict=True) if is_right])

    def case(self, row: Mapping[str, str]) -> Case:
        fact = row["fact_id"]
        requests, trials = {}, {}
        requests[ENTITY], trials[ENTITY] = self._entity_side(fact)
        if third := self._third.get(fact):
            ids = self._answer_ids(fact, third)
            trials[ENTITY_THIRD] = replace(trials[ENTITY], true=ids, neighbours=())
        if fact in self._pairs:
            requests[RELATION], trials[RELATION], trials[REMOVAL] = self._relation_side(fact)
            if third:
                trials[RELATION_THIRD] = self._third_pairs(fact, third)
        return Case(fact, row["relation"], row["arm"], requests, trials)

    def _entity_side(self, fact: str) -> tuple[Request, CounterfactTrial]:
        first, *others = self._entity[fact]
        new = self._answer_ids(fact, self._new[fact])
        request = Request(Goal(first.ids, first.subject, new), first.answer)
        near = [self._entity[other][0].ids for other in self._same_object(fact, ENTITY)]
        return request, CounterfactTrial.of(request, self._some(others), near)

    def _relation_side(self, fact: str) -> tuple[Request, CounterfactTrial, CounterfactTrial]:
        first, *others = self._pairs[fact]
        new, name = self._new[fact], first.answer
        given, *reworded = [self._pair(fact, prompt, new) for prompt in self._pairs[fact]]
        request = Request(
            goal=Goal(given.ids, given.subject, name),
            target_true=self._none,
            also=Goal(first.ids, first.subject, self._none),
        )
        near = [self._pair(s, self._pairs[s][0], new).ids for s in self._without(fact, new)]
        added = CounterfactTrial.of(request, self._some(reworded), near)
        kept = [self._pairs[other][0].ids for other in self._same_object(fact, RELATION)]
        removed = CounterfactTrial(first.ids, self._some(others), kept, true=name, new=self._none)
        return request, added, removed

    def _third_pairs(self, fact: str, third: str) -> CounterfactTrial:
        first, *others = [self._pair(fact, prompt, third) for prompt in self._pairs[fact]]
        return CounterfactTrial(
            first.ids, self._some(others), (), true=self._none, new=first.answer
        )

    def _pair(self, fact: str, prompt: _Prompt, obj: str) -> _Prompt:
        """The prompt with another object."""
        known = self._facts.loc[fact]
        ids, span = self._pairing.ids(prompt.text, known["subject"], known["object"], obj)
        return _Prompt(ids, span, prompt.answer, "", prompt.template_id)

    def _answer_ids(self, fact: str, obj: str) -> list[int]:
        """As other facts are answered."""
        relation = self._facts["relation"][fact]
        alike = self._facts[
            (self._facts["relation"] == relation) & (self._facts["object"] == obj)
        ].index
        return next(self._entity[other][0].answer for other in alike if other in self._entity)

    def _some(self, prompts: Sequence[_Prompt]) -> list[list[int]]:
        return [prompt.ids for prompt in prompts[: self._config.paraphrases]]

    def _same_object(self, fact: str, side: str) -> list[str]:
        """Other facts of the relation with its object, answered right if that is asked for."""
        own = self._facts.loc[fact]
        alike = (self._facts["relation"] == own["relation"]) & (
            self._facts["object"] == own["object"]
        )
        return self._drawn(alike, fact, side)

    def _without(self, fact: str, obj: str) -> list[str]:
        """Facts of the relation that have another object than ``obj``."""
        own = self._facts.loc[fact]
        others = (self._facts["relation"] == own["relation"]) & (self._facts["object"] != obj)
        return self._drawn(others, fact, RELATION)

    def _drawn(self, alike: pd.Series, fact: str, side: str) -> list[str]:
        pool = [
            other
            for other in self._facts.index[alike]
            if other != fact
            and other in self._by_side()[side]
            and (other in self._right[side] or not self._config.only_known)
        ]
        order = self._rng(fact, "neighbours").permutation(len(pool))[: self._config.neighbours]
        return [pool[i] for i in order]

    def _rng(self, fact: str, purpose: str) -> np.random.Generator:
        """A fact's draws depend on no other fact."""
        return np.random.default_rng(stable_seed(self._config.seed, fact, purpose))


def _prompts(prompts: pa.Table, task: str, variant: int) -> dict[str, list[_Prompt]]:
    """By fact: the first wording that training showed, then those held out, then the others."""
    chosen = (pc.field("task") == task) & (pc.field("variant") == variant)
    frame = prompts.filter(chosen).select(_COLUMNS).to_pandas()
    frame = frame.drop_duplicates(["fact_id", "template_id"]).sort_values("template_id")
    found: dict[str, list[Mapping]] = {}
    for row in frame.to_dict("records"):
        found.setdefault(row["fact_id"], []).append(row)
    return {fact: [_prompt(row) for row in _in_order(rows)] for fact, rows in found.items()}


def _in_order(wordings: list[Mapping]) -> list[Mapping]:
    seen, held_out = (
        [row for row in wordings if (row["split"] == "held_out_templates") == is_held_out]
        for is_held_out in (False, True)
    )
    return [*seen[:1], *held_out, *seen[1:]]


def _prompt(row: Mapping) -> _Prompt:
    return _Prompt(
        ids=[int(token) for token in row["ids"]],
        subject=(int(row["subject_start"]), int(row["subject_stop"])),
        answer=[int(token) for token in row["answer_ids"]],
        text=row["text"],
        template_id=int(row["template_id"]),
    )


def _is_right(model: nn.Module, asked: Sequence[tuple[Ids, Ids]]) -> np.ndarray:
    """The answer's first token is the likeliest."""
    questions = [Question(list(ids), list(answer), [answer[0]]) for ids, answer in asked]
    return score_prompts(model, questions).correct.numpy() if questions else np.zeros(0, bool)
