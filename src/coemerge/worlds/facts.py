"""What is a fact? Relations, facts, and the world that holds them. Knows nothing of prompts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of statement about subjects of a type (``domain``) and objects of a ``range``.

    ``inverse_of`` and ``synonym_of`` name the relation that this one restates; ``bridge`` names the
    relation that leads from this relation's object one step further (two-hop questions).
    An auxiliary relation supports a study and does not count among the main ones.
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

    @property
    def root(self) -> str:
        """The relation whose exposure decides over this one's: itself, unless it restates."""
        return self.inverse_of or self.synonym_of or self.relation_id


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


@dataclass(frozen=True)
class World:
    """Relations, facts (possibly computed on access, see ``synthetic``) and answer sets.

    ``positions[relation_id]`` is the range of a relation's facts in ``facts``.
    ``candidates[relation_id]`` are the distinct objects of a relation; its length C gives chance
    1/C of the generative tasks.
    """

    world_id: str
    relations: Mapping[str, Relation]
    facts: Sequence[Fact]
    positions: Mapping[str, range]
    candidates: Mapping[str, tuple[str, ...]]

    def main_relations(self) -> list[str]:
        return [r.relation_id for r in self.relations.values() if not r.auxiliary]

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
    objects: dict[tuple[str, str, str], str] = {}
    for fact in world.facts:
        where = f"{fact.relation_id}({fact.subject!r})"
        if fact.object == fact.subject:
            problems.append(f"{where}: the object equals the subject")
        if fact.object not in world.candidates[fact.relation_id]:
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
