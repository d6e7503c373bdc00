"""A fictional world of any size from a seed: every fact is a pure function of (config, position).

Facts are computed on access, so a world of a million facts costs no more memory than its words.
The assignment of objects is balanced: each run of C subjects gets each of the C objects once, so
that guessing the most frequent answer is worth no more than chance 1/C.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np

from coemerge.worlds.facts import Fact, FactColumns, Relation, World, check_world, fact_id
from coemerge.worlds.names import invent_words, read_lexicon

_MAX_NAME_POOL = 512
_STRICT_CHECK_LIMIT = 100_000  # above, construction alone guarantees what check_world checks


@dataclass
class EntityTypeConfig:
    """How entities of a type are named: ``words`` invented words each, or a word list first."""

    size: int = 1
    words: int = 1
    suffixes: list[str] = field(default_factory=lambda: [""])
    lexicon: str | None = None


@dataclass
class RelationConfig:
    """A relation between two entity types; the links are explained in ``facts.Relation``."""

    domain: str = ""
    range: str = ""
    bijective: bool = False
    inverse_of: str | None = None
    synonym_of: str | None = None
    bridge: str | None = None
    auxiliary: bool = False


@dataclass
class SyntheticWorldConfig:
    seed: int = 0
    lexicon_path: str = ""
    types: dict[str, EntityTypeConfig] = field(default_factory=dict)
    relations: dict[str, RelationConfig] = field(default_factory=dict)
    use: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raises ValueError listing every faulty key; needs no more than the configuration."""
        _check_config(self)

    def inputs(self) -> list[Path]:
        return []

    def build(self, single_token: Callable[[str], bool] | None = None) -> World:
        return build_synthetic_world(self)


def build_synthetic_world(config: SyntheticWorldConfig) -> World:
    """Raises ValueError (key and remedy) when sizes or links of the configuration do not fit."""
    config.check()
    entities = _entities(config)
    relations = {
        name: Relation(
            relation_id=name,
            domain=spec.domain,
            range=spec.range,
            bijective=spec.bijective or spec.inverse_of is not None,
            inverse_of=spec.inverse_of,
            synonym_of=spec.synonym_of,
            bridge=spec.bridge if spec.bridge in config.use else None,
            auxiliary=spec.auxiliary,
        )
        for name, spec in config.relations.items()
        if name in config.use
    }
    facts = SyntheticFacts(config.seed, relations, entities)
    candidates = {name: tuple(entities[r.range]) for name, r in relations.items()}
    world = World(f"synthetic-{config.seed}", relations, facts, facts.positions, candidates)
    if len(facts) <= _STRICT_CHECK_LIMIT:
        check_world(world)
    return world


class SyntheticFacts(FactColumns):
    """The facts, relation after relation, each computed when it is asked for."""

    def __init__(
        self, seed: int, relations: dict[str, Relation], entities: dict[str, Sequence[str]]
    ) -> None:
        self._seed = seed
        self._relations = list(relations.values())
        self._by_id = relations
        self._entities = entities
        sizes = [len(entities[r.domain]) for r in self._relations]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.positions = {
            name: range(int(start), int(start) + size)
            for name, start, size in zip(relations, self._starts[:-1], sizes, strict=True)
        }

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> Fact: ...
    @overload
    def __getitem__(self, index: slice) -> list[Fact]: ...
    def __getitem__(self, index: int | slice) -> Fact | list[Fact]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        relation = self._relations[which]
        row = index - int(self._starts[which])
        subject, obj = self._pair(relation, row)
        original = self._original(relation, row)
        return Fact(
            fact_id(relation.relation_id, subject, obj),
            relation.relation_id,
            subject,
            obj,
            inverse_of=original if relation.inverse_of else None,
            synonym_of=original if relation.synonym_of else None,
        )

    def object_ranks(self, relation_id: str) -> np.ndarray:
        relation = self._by_id[relation_id]
        n_objects = len(self._entities[relation.range])
        if relation.inverse_of:
            return _inverse_permutation(self._seed, relation.inverse_of, n_objects)
        size = len(self.positions[relation_id])
        blocks = range(-(-size // n_objects))
        shuffled = [_shuffled_block(self._seed, relation.root, k, n_objects) for k in blocks]
        return np.concatenate(shuffled)[:size]

    def root_positions(self, relation_id: str) -> np.ndarray:
        relation = self._by_id[relation_id]
        start = self.positions[relation.root].start
        if relation.inverse_of:
            return start + self.object_ranks(relation_id)
        return start + np.arange(len(self.positions[relation_id]))

    def _pair(self, relation: Relation, row: int) -> tuple[str, str]:
        domain, objects = self._entities[relation.domain], self._entities[relation.range]
        return domain[row], objects[self._object_row(relation, row)]

    def _object_row(self, relation: Relation, row: int) -> int:
        n_objects = len(self._entities[relation.range])
        if relation.inverse_of:
            return int(_inverse_permutation(self._seed, relation.inverse_of, n_objects)[row])
        block, offset = divmod(row, n_objects)
        return int(_shuffled_block(self._seed, relation.root, block, n_objects)[offset])

    def _original(self, relation: Relation, row: int) -> str | None:
        if relation.root == relation.relation_id:
            return None
        root = self._by_id[relation.root]
        root_row = self._object_row(relation, row) if relation.inverse_of else row
        return fact_id(root.relation_id, *self._pair(root, root_row))


@lru_cache(maxsize=16)
def _inverse_permutation(seed: int, relation_id: str, n_objects: int) -> np.ndarray:
    """Of a bijective relation: for each object the row of its subject."""
    return np.argsort(_shuffled_block(seed, relation_id, 0, n_objects))


@lru_cache(maxsize=4096)
def _shuffled_block(seed: int, relation_id: str, block: int, n_objects: int) -> np.ndarray:
    key = np.frombuffer(relation_id.encode(), dtype=np.uint8).tolist()
    return np.random.default_rng([seed, block, *key]).permutation(n_objects)


class _FullNames(Sequence[str]):
    """``size`` distinct names of two words out of two pools of at most 512 words."""

    def __init__(self, size: int, rng: np.random.Generator, taken: set[str]) -> None:
        pool = min(size, _MAX_NAME_POOL)
        words = invent_words(2 * pool, rng, taken=taken)
        taken.update(words)
        self._size, self._first, self._last = size, words[:pool], words[pool:]

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._size))]
        if not 0 <= index < self._size:
            raise IndexError(index)
        lap, place = divmod(index, len(self._first))
        return f"{self._first[place]} {self._last[(place + lap) % len(self._last)]}"


def _entities(config: SyntheticWorldConfig) -> dict[str, Sequence[str]]:
    lexicon = read_lexicon(Path(config.lexicon_path))
    taken = {word for words in lexicon.values() for word in words}
    entities: dict[str, Sequence[str]] = {}
    for name, spec in config.types.items():
        if spec.lexicon and spec.lexicon not in lexicon:
            raise ValueError(
                f"world.types.{name}.lexicon: {config.lexicon_path} has no {spec.lexicon!r}, "
                f"only {', '.join(lexicon)}"
            )
    for position, (name, spec) in enumerate(config.types.items()):
        rng = np.random.default_rng([config.seed, position])
        if spec.words == 2:
            entities[name] = _FullNames(spec.size, rng, taken)
            continue
        known = (lexicon[spec.lexicon] if spec.lexicon else [])[: spec.size]
        invented = invent_words(spec.size - len(known), rng, spec.suffixes, taken)
        taken.update(invented)
        entities[name] = known + invented
    return entities


def _check_config(config: SyntheticWorldConfig) -> None:
    problems = []
    if config.seed < 0:
        problems.append(f"world.seed: must not be negative, got {config.seed}")
    if not config.use or len(set(config.use)) < len(config.use):
        problems.append(f"world.use: needs relations, each once, got {config.use}")
    if not Path(config.lexicon_path).is_file():
        problems.append(f"world.lexicon_path: {config.lexicon_path}: no such file")
    for name, kind in config.types.items():
        if kind.size < 1 or kind.words not in (1, 2):
            problems.append(f"world.types.{name}: needs size >= 1 and words 1 or 2")
        if kind.words == 2 and kind.size > _MAX_NAME_POOL**2:
            problems.append(f"world.types.{name}.size: at most {_MAX_NAME_POOL**2} two-word names")
    for name in dict.fromkeys(config.use):
        if name not in config.relations:
            problems.append(f"world.use: unknown {name!r}; known: {list(config.relations)}")
            continue
        spec = config.relations[name]
        missing = [t for t in (spec.domain, spec.range) if t not in config.types]
        if missing:
            problems.append(f"world.relations.{name}: unknown entity type {missing[0]!r}")
            continue
        problems += _link_problems(name, spec, config)
        sizes = (config.types[spec.domain].size, config.types[spec.range].size)
        if spec.bijective and sizes[0] != sizes[1]:
            problems.append(
                f"world.relations.{name}: a bijective relation needs equal sizes of "
                f"{spec.domain!r} and {spec.range!r}, got {sizes[0]} and {sizes[1]}"
            )
    if problems:
        raise ValueError("; ".join(problems))


def _link_problems(name: str, spec: RelationConfig, config: SyntheticWorldConfig) -> list[str]:
    """Of the relations that this one restates or leads to."""
    where, problems = f"world.relations.{name}", []
    root = spec.inverse_of or spec.synonym_of
    if root is not None and root not in config.use:
        problems.append(f"world.use: {name!r} restates {root!r}; add it to world.use")
    elif root is not None and root in config.relations:
        original = config.relations[root]
        if original.inverse_of or original.synonym_of:
            problems.append(f"{where}: {root!r} restates a relation itself; name that one")
        if spec.inverse_of and not original.bijective:
            problems.append(f"{where}.inverse_of: {root!r} is not bijective")
        if spec.inverse_of and (spec.domain, spec.range) != (original.range, original.domain):
            problems.append(f"{where}.inverse_of: must lead from {root!r}'s range to its domain")
        if spec.synonym_of and spec.domain != original.domain:
            problems.append(f"{where}.synonym_of: needs the domain of {root!r}")
        if spec.synonym_of and spec.range in config.types and original.range in config.types:
            sizes = [config.types[t].size for t in (spec.range, original.range)]
            if sizes[0] != sizes[1]:
                problems.append(
                    f"{where}.synonym_of: objects correspond one to one, but there are "
                    f"{sizes[0]} {spec.range!r} and {sizes[1]} {original.range!r}"
                )
    if spec.bridge in config.use and spec.bridge in config.relations:
        start = config.relations[spec.bridge].domain
        if start != spec.range:
            problems.append(f"{where}.bridge: {spec.bridge!r} starts from {start!r}")
    return problems
