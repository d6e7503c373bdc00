"""Cases made of a data set's own prompts: which facts are edited, to what, and how they are asked.

A new object is another one of the relation. The edited wording is the first that training showed;
paraphrases are the others, those held out from training first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import nn

from coemerge.editing.counterfact_scores import CounterfactTrial
from coemerge.editing.requests import Goal, Ids, Request
from coemerge.localization.prompts import stable_seed
from coemerge.prompts.pairs import Pairing, with_object
from coemerge.prompts.tasks import NAMING
from coemerge.scoring.forward import answers_right
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
from coemerge.studies.shared.wordings import Wording, wordings


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
        self._facts = {str(row["fact_id"]): row for row in facts.to_dict("records")}
        self._entity = wordings(prompts, config.task, variant=0)
        unrelated = wordings(prompts, NAMING, variant=1)
        self._none = next((list(of[0].answer) for of in unrelated.values()), [])
        named = wordings(prompts, NAMING, variant=0) if self._none else {}
        pairs = {fact: of for fact, of in named.items() if fact in self._facts}
        self._pairs = {fact: of for fact, of in pairs.items() if self._is_clear(fact, of)}
        self._unclear = pairs.keys() - self._pairs
        self._alike = _groups(self._facts, "relation", "object")
        self._of_relation = _groups(self._facts, "relation")
        self._of_subject = _groups(self._facts, "subject")
        self._new, self._third = self._other_objects()
        self._right = {
            side: self._answered({fact: of[0] for fact, of in asked.items()})
            for side, asked in ((ENTITY, self._entity), (RELATION, self._pairs))
        }

    def _answered(self, asked: Mapping[str, Wording]) -> set[str]:
        """Facts whose prompt gets the right answer."""
        prompts = list(asked.values())
        right = answers_right(self._model, [p.ids for p in prompts], [p.answer for p in prompts])
        return {fact for fact, is_right in zip(asked, right, strict=True) if is_right}

    def _other_objects(self) -> tuple[dict[str, str], dict[str, str]]:
        """By fact, the object it is given and a third one, where there are: of its relation, joined
        with its subject by no fact, all starting differently."""
        new: dict[str, str] = {}
        third: dict[str, str] = {}
        for facts in self._of_relation.values():
            asked = [fact for fact in facts if fact in self._entity]
            starts = {
                self._facts[fact]["object"]: self._entity[fact][0].answer[0] for fact in asked
            }
            for fact in asked:
                own = self._of_subject[(self._facts[fact]["subject"],)]
                taken = {starts.get(self._facts[other]["object"]) for other in own}
                for name, chosen in (("new", new), ("third", third)):
                    pool = [obj for obj in sorted(starts) if starts[obj] not in taken]
                    if pool:
                        chosen[fact] = str(self._rng(fact, name).choice(pool))
                        taken.add(starts[chosen[fact]])
        return new, third

    def reasons(self, facts: pd.DataFrame) -> pd.Series:
        """Of each fact: studied, or why not."""
        sides = {ENTITY: facts["entity"].isna() | (facts["entity"] > 0)}
        sides[RELATION] = facts["relation_side"] > 0
        unrelated = self._unrelated_before(facts["fact_id"])
        known = np.ones(len(facts), bool)
        if self._config.only_known:
            for side, shown in sides.items():
                known &= ~shown.to_numpy() | facts["fact_id"].isin(self._right[side]).to_numpy()
            known &= ~sides[RELATION].to_numpy() | facts["fact_id"].isin(unrelated).to_numpy()
        reason = np.select(
            [
                ~facts["fact_id"].isin(self._entity),
                ~facts["fact_id"].isin(self._new),
                facts["fact_id"].isin(self._unclear),
                ~known,
            ],
            [
                f"not asked in {self._config.task}",
                "without another object",
                "object not named just once beside the subject",
                "not known",
            ],
            STUDIED,
        )
        return pd.Series(reason, facts.index)

    def _is_clear(self, fact: str, prompts: Sequence[Wording]) -> bool:
        """Whether another object can stand in the place of the fact's own, in every wording."""
        named = self._facts[fact]
        try:
            for prompt in prompts:
                with_object(prompt.text, named["subject"], named["object"], named["object"])
        except ValueError:
            return False
        return True

    def _unrelated_before(self, facts: Iterable[str]) -> set[str]:
        """Facts whose subject is said to be unrelated with its new object."""
        asked = [fact for fact in facts if fact in self._new and fact in self._pairs]
        pairs = self._paired([(fact, self._pairs[fact][0], self._new[fact]) for fact in asked])
        return self._answered(
            {f: replace(p, answer=self._none) for f, p in zip(asked, pairs, strict=True)}
        )

    def case(self, row: Mapping[str, str]) -> Case:
        fact = row["fact_id"]
        requests, trials = {}, {}
        requests[ENTITY], trials[ENTITY] = self._entity_side(fact)
        third = self._third.get(fact)
        if third:
            ids = self._answer_ids(fact, third)
            trials[ENTITY_THIRD] = replace(trials[ENTITY], new=ids, neighbours=())
        if fact in self._pairs:
            requests[RELATION], trials[RELATION], trials[REMOVAL] = self._relation_side(fact)
            if third:
                given, *reworded = self._all_paired(fact, third)
                trials[RELATION_THIRD] = replace(
                    trials[RELATION],
                    rewrite=given.ids,
                    paraphrases=self._some(reworded),
                    neighbours=(),
                )
        return Case(fact, row["relation"], row["arm"], requests, trials, self._same_subject(fact))

    def _entity_side(self, fact: str) -> tuple[Request, CounterfactTrial]:
        first, *others = self._entity[fact]
        new = self._answer_ids(fact, self._new[fact])
        request = Request(Goal(first.ids, first.subject, new), first.answer)
        near = self._drawn(fact, self._alike[self._key(fact)], ENTITY)
        neighbours = [self._entity[other][0].ids for other in near]
        return request, CounterfactTrial.of(request, self._some(others), neighbours)

    def _relation_side(self, fact: str) -> tuple[Request, CounterfactTrial, CounterfactTrial]:
        first, *others = self._pairs[fact]
        new, name = self._new[fact], first.answer
        given, *reworded = self._all_paired(fact, new)
        request = Request(
            goal=Goal(given.ids, given.subject, name),
            target_true=self._none,
            also=Goal(first.ids, first.subject, self._none),
        )
        relation = self._facts[fact]["relation"]
        without = [f for f in self._of_relation[(relation,)] if self._key(f) != (relation, new)]
        strangers = [(s, self._pairs[s][0], new) for s in self._drawn(fact, without, RELATION)]
        near = [prompt.ids for prompt in self._paired(strangers)]
        added = CounterfactTrial.of(request, self._some(reworded), near)
        alike = self._drawn(fact, self._alike[self._key(fact)], RELATION)
        kept = [self._pairs[other][0].ids for other in alike]
        removed = CounterfactTrial(first.ids, self._some(others), kept, true=name, new=self._none)
        return request, added, removed

    def _same_subject(self, fact: str) -> list[tuple[Ids, int]]:
        """The subject's other facts, answered right if that is asked for."""
        own = self._of_subject[(self._facts[fact]["subject"],)]
        others = [self._entity[other][0] for other in self._usable(fact, own, ENTITY)]
        return [(prompt.ids, prompt.answer[0]) for prompt in others]

    def _all_paired(self, fact: str, obj: str) -> list[Wording]:
        """All wordings of the pair with another object."""
        return self._paired([(fact, prompt, obj) for prompt in self._pairs[fact]])

    def _paired(self, wanted: Sequence[tuple[str, Wording, str]]) -> list[Wording]:
        """Prompts of facts with another object in each."""
        swaps = [
            (prompt.text, self._facts[fact]["subject"], self._facts[fact]["object"], obj)
            for fact, prompt, obj in wanted
        ]
        made = self._pairing.many(swaps)
        return [
            replace(prompt, ids=ids, subject=span)
            for (_, prompt, _), (ids, span) in zip(wanted, made, strict=True)
        ]

    def _answer_ids(self, fact: str, obj: str) -> list[int]:
        """As other facts are answered."""
        alike = self._alike[(self._facts[fact]["relation"], obj)]
        return next(self._entity[other][0].answer for other in alike if other in self._entity)

    def _some(self, prompts: Sequence[Wording]) -> list[list[int]]:
        return [prompt.ids for prompt in prompts[: self._config.paraphrases]]

    def _key(self, fact: str) -> tuple[str, str]:
        return self._facts[fact]["relation"], self._facts[fact]["object"]

    def _drawn(self, fact: str, pool: Sequence[str], side: str) -> list[str]:
        """Neighbours, at most as many as asked for."""
        usable = self._usable(fact, pool, side)
        order = self._rng(fact, "neighbours").permutation(len(usable))[: self._config.neighbours]
        return [usable[i] for i in order]

    def _usable(self, fact: str, pool: Sequence[str], side: str) -> list[str]:
        """Others than the fact that are asked on the side, and known if that is asked for."""
        asked = self._entity if side == ENTITY else self._pairs
        known = self._right[side] if self._config.only_known else asked
        return [other for other in pool if other != fact and other in asked and other in known]

    def _rng(self, fact: str, purpose: str) -> np.random.Generator:
        """A fact's draws depend on no other fact."""
        return np.random.default_rng(stable_seed(self._config.seed, fact, purpose))


def _groups(facts: Mapping[str, Mapping], *keys: str) -> dict[tuple[str, ...], list[str]]:
    """Facts that have these in common."""
    found: dict[tuple[str, ...], list[str]] = {}
    for fact, row in facts.items():
        found.setdefault(tuple(row[key] for key in keys), []).append(fact)
    return found
