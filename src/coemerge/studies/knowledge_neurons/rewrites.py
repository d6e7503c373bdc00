"""What edits are asked for, of syntax and of facts alike (methods 6.5).

A word that decides is to go on with the form that does not agree; a fact gets another object. The
subject of an edit is the word that decides, or the fact's subject.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coemerge.editing.counterfact_scores import CounterfactTrial
from coemerge.editing.requests import Goal, Request, edited_at
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.sides import chance
from coemerge.studies.knowledge_neurons.subject import FACTS, SYNTAX, Pool, Prompt
from coemerge.studies.knowledge_neurons.turns import grouped, in_turns

Answer = tuple[int, ...]
_HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One edit with what it is judged by. ``item``: the fact, or the words that decide and
    follow."""

    kind: str
    topic: str
    item: str
    about: str
    request: Request
    trial: CounterfactTrial

    def edited_at(self, token: str) -> "Rewrite":
        """At the subject's ``first`` or ``last`` token, or at the prompt's ``end``."""
        return replace(self, request=edited_at(self.request, token))


def make_rewrites(pools: Sequence[Pool], config: KnowledgeNeuronsConfig) -> list[Rewrite]:
    """Up to ``config.edits`` of each topic, of its classes and of words that decide (subjects) in
    turn, by lot. Left out: what is answered right in no prompt whose subject is known, and facts
    for which there is no other object."""
    objects = _objects(pools)
    rewrites: list[Rewrite] = []
    for of_topic in grouped(pools, lambda pool: (pool.kind, pool.topic)):
        items = in_turns(_items(pool, config) for pool in of_topic)
        made = (_rewrite(item, objects, config) for item in items)
        rewrites += [one for one, _ in zip(filter(None, made), range(config.edits), strict=False)]
    return rewrites


@dataclass(frozen=True)
class _Item:
    """Prompts about one item of a pool: ``edited`` one, and ``others``."""

    pool: Pool
    edited: Prompt
    others: list[Prompt]


def _items(pool: Pool, config: KnowledgeNeuronsConfig) -> list[_Item]:
    """By lot, the words that decide in turn."""
    right = {p.name for p, is_right in zip(pool.prompts, pool.right, strict=True) if is_right}
    items = []
    for prompts in grouped(pool.prompts, lambda prompt: (prompt.item, prompt.about)):
        shown = sorted(prompts, key=lambda p: (p.split.startswith(_HELD_OUT), p.wording))
        able = [p for p in shown if p.name in right and p.span is not None]
        if able:
            items.append(_Item(pool, able[0], [p for p in shown if p.ids != able[0].ids]))
    items.sort(key=lambda item: chance(config.seed, "edited", item.edited.about, item.edited.item))
    return in_turns(grouped(items, lambda item: item.edited.about))


def _objects(pools: Sequence[Pool]) -> dict[str, set[int]]:
    """Of each subject of a fact, the first tokens of all that is true of it, in any relation."""
    true: dict[str, set[int]] = {}
    for pool in pools:
        for prompt in pool.prompts if pool.kind == FACTS else ():
            true.setdefault(prompt.about, set()).add(prompt.answer[0])
    return true


def _rewrite(
    item: _Item, true: Mapping[str, set[int]], config: KnowledgeNeuronsConfig
) -> Rewrite | None:
    prompt = item.edited
    new = _new_answer(item, true, config)
    if new is None or prompt.span is None:
        return None
    request = Request(Goal(prompt.ids, prompt.span, new), target_true=prompt.answer)
    # what training did not show comes first
    others = sorted(item.others, key=lambda p: not p.split.startswith(_HELD_OUT))
    paraphrases = list(dict.fromkeys(p.ids for p in others))[: config.paraphrases]
    neighbours = _neighbours(item, config)
    return Rewrite(
        kind=item.pool.kind,
        topic=item.pool.topic,
        item=prompt.item if item.pool.kind == FACTS else f"{prompt.about} {prompt.item}",
        about=prompt.about,
        request=request,
        trial=CounterfactTrial.of(request, paraphrases, neighbours),
    )


def _new_answer(
    item: _Item, true: Mapping[str, set[int]], config: KnowledgeNeuronsConfig
) -> Answer | None:
    """The form that does not agree, or by lot another object of the relation, with another first
    token than all that is true of the subject."""
    prompt = item.edited
    if item.pool.kind == SYNTAX:
        return None if prompt.foil is None else (prompt.foil,)
    answers = dict.fromkeys(other.answer for other in item.pool.prompts)
    free = [answer for answer in answers if answer[0] not in true[prompt.about]]
    return min(free, key=lambda a: chance(config.seed, "new", prompt.item, repr(a)), default=None)


def _neighbours(item: _Item, config: KnowledgeNeuronsConfig) -> list[Answer]:
    """Prompts answered right about other words (subjects) with the same answer, each in turn."""
    prompt, pool = item.edited, item.pool
    there = [
        other
        for other, is_right in zip(pool.prompts, pool.right, strict=True)
        if is_right and other.answer == prompt.answer and other.about != prompt.about
    ]
    there.sort(key=lambda other: chance(config.seed, "neighbour", prompt.name, other.name))
    return [p.ids for p in in_turns(grouped(there, lambda p: p.about))[: config.neighbours]]
