"""What is a fact? Relations, facts, and the world that holds them. Knows nothing of prompts."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, overload

import numpy as np

from coemerge.worlds.edit_cases import EditCase


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of statement about subjects of a type (``domain``) and objects of a ``range``.

    ``inverse_of`` and ``synonym_of`` name the relation that this one restates; ``bridge`` names the
    relation that leads from this relation's object one step further (two-hop questions).
    An auxiliary relation supports a study and does not count among the main ones. ``label`` is the
    name for people; ``formats`` restricts the task formats to those that make sense (None: all).
    """

    relation_id: str
    domain: str
    range: str
    functional: bool = True
    bijective: bool = False
    symmetric: bool = False
    inverse_of: str | None = None
    synonym_of: str | None = None
    bridge: str | None = None
    auxiliary: bool = False
    label: str = ""
    formats: tuple[str, ...] | None = None

    @property
    def root(self) -> str:
        """The relation whose exposure decides over this one's: itself, unless it restates."""
        return self.inverse_of or self.synonym_of or self.relation_id


@dataclass(frozen=True, slots=True)
class Wordings:
    """A data set's own phrasings: ``statements`` hold [X] and [Y], ``questions`` hold [X]."""

    statements: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """One triple. ``inverse_of`` / ``synonym_of`` hold the id of the fact that it restates."""

    fact_id: str
    relation_id: str
    subject: str
    object: str
    inverse_of: str | None = None
    synonym_of: str | None = None

    @property
    def root_id(self) -> str:
        return self.inverse_of or self.synonym_of or self.fact_id


def fact_id(relation_id: str, subject: str, obj: str) -> str:
    """Content-derived id: equal triples have equal ids in every experiment and run."""
    digest = hashlib.sha256("\x1f".join((relation_id, subject, obj)).encode()).hexdigest()
    return f"{relation_id}-{digest[:12]}"


class FactColumns(Sequence[Fact]):
    """Facts that also answer for a whole relation at once, so that a million stay cheap."""

    @abstractmethod
    def object_ranks(self, relation_id: str) -> np.ndarray:
        """Place of each fact's object in the relation's answer set, int [n_facts]."""

    @abstractmethod
    def root_positions(self, relation_id: str) -> np.ndarray:
        """Position of the fact that each fact restates (or of itself), int [n_facts]."""


class ListedFacts(FactColumns):
    """Facts held in a list; columns are computed from them."""

    def __init__(
        self,
        facts: Sequence[Fact],
        positions: Mapping[str, range],
        candidates: Mapping[str, Sequence[str]],
    ) -> None:
        self._facts, self._positions, self._candidates = facts, positions, candidates

    def __len__(self) -> int:
        return len(self._facts)

    @overload
    def __getitem__(self, index: int) -> Fact: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fact]: ...
    def __getitem__(self, index: int | slice) -> Fact | Sequence[Fact]:
        return self._facts[index]

    def object_ranks(self, relation_id: str) -> np.ndarray:
        rank = {obj: k for k, obj in enumerate(self._candidates[relation_id])}
        return np.array([rank[self[i].object] for i in self._positions[relation_id]], dtype=int)

    def root_positions(self, relation_id: str) -> np.ndarray:
        return np.array([self._place[self[i].root_id] for i in self._positions[relation_id]], int)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {fact.fact_id: place for place, fact in enumerate(self._facts)}


@dataclass(frozen=True)
class World:
    """Relations, facts (possibly computed on access, see ``synthetic``) and answer sets.

    ``positions[relation_id]`` is the range of a relation's facts in ``facts``.
    ``candidates[relation_id]`` are the distinct objects of a relation; its length C gives chance
    1/C of the generative tasks. ``wordings`` are a data set's own phrasings, where it has some.
    ``notes`` counts what was dropped or flagged; a ``strict`` world was refused instead.
    ``edit_cases[fact_id]`` are a data set's requests to change a fact, in the set's order.
    """

    world_id: str
    relations: Mapping[str, Relation]
    facts: Sequence[Fact]
    positions: Mapping[str, range]
    candidates: Mapping[str, tuple[str, ...]]
    wordings: Mapping[str, Wordings] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    strict: bool = True
    edit_cases: Mapping[str, Sequence[EditCase]] = field(default_factory=dict)

    def main_relations(self) -> list[str]:
        return [r.relation_id for r in self.relations.values() if not r.auxiliary]

    @cached_property
    def columns(self) -> FactColumns:
        if isinstance(self.facts, FactColumns):
            return self.facts
        return ListedFacts(self.facts, self.positions, self.candidates)

    @cached_property
    def _bridges(self) -> dict[str, dict[str, str]]:
        """For each bridge relation: subject -> object."""
        names = {r.bridge for r in self.relations.values() if r.bridge}
        return {
            name: {f.subject: f.object for f in (self.facts[i] for i in self.positions[name])}
            for name in names
        }

    def bridge_answer(self, fact: Fact) -> str | None:
        """The object one hop beyond ``fact``, or None where its relation has no bridge."""
        bridge = self.relations[fact.relation_id].bridge
        return None if bridge is None else self._bridges[bridge][fact.object]

    @cached_property
    def _true_objects(self) -> dict[str, dict[str, list[str]]]:
        """For each relation that is not functional: subject -> objects."""
        several: dict[str, dict[str, list[str]]] = {}
        for name, relation in self.relations.items():
            if not relation.functional:
                objects = several.setdefault(name, {})
                for position in self.positions[name]:
                    fact = self.facts[position]
                    objects.setdefault(fact.subject, []).append(fact.object)
        return several

    def true_objects(self, fact: Fact) -> Sequence[str]:
        """All right answers for the subject of ``fact``, its own included."""
        if fact.relation_id not in self._true_objects:
            return (fact.object,)
        return self._true_objects[fact.relation_id].get(fact.subject, [fact.object])


class WorldConfig(Protocol):
    """Settings from which a world is made; a dataclass."""

    def check(self) -> None:
        """First line of defence, before anything heavy is imported. Raises ValueError."""

    def inputs(self) -> list[Path]:
        """Files that decide over the world besides those that the settings name."""

    def build(self, single_token: Callable[[str], bool] | None = None) -> World:
        """``single_token`` tells how a given tokenizer splits, where one is given."""


def check_world(world: World) -> None:
    """Strict check for synthetic and curated worlds.

    Raises ValueError that lists every problem: duplicate triples, two objects of one subject under
    a functional relation, an object equal to its subject, an object missing from its answer set,
    or an unknown linked relation.
    """
    problems = []
    for relation in world.relations.values():
        for link in (relation.inverse_of, relation.synonym_of, relation.bridge):
            if link is not None and link not in world.relations:
                problems.append(f"relation {relation.relation_id!r} refers to unknown {link!r}")
    allowed = {name: frozenset(objects) for name, objects in world.candidates.items()}
    objects: dict[tuple[str, str, str], str] = {}
    for fact in world.facts:
        where = f"{fact.relation_id}({fact.subject!r})"
        if fact.object == fact.subject:
            problems.append(f"{where}: the object equals the subject")
        if fact.object not in allowed[fact.relation_id]:
            problems.append(f"{where}: {fact.object!r} is not in the answer set")
        functional = world.relations[fact.relation_id].functional
        key = (fact.relation_id, fact.subject, "" if functional else fact.object)
        if key in objects:
            known = objects[key]
            kind = "a duplicate" if known == fact.object else f"contradicts {known!r}"
            problems.append(f"{where}: {fact.object!r} is {kind}")
        objects[key] = fact.object
    if problems:
        raise ValueError("invalid world: " + "; ".join(problems[:20]))
