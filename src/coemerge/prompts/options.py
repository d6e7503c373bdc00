"""Which answers stand together in a multiple choice, and which sets training never shows.

A memorised position must not pass for a choice, so part of all possible sets is reserved: training
draws from the others, and scoring asks both kinds. A set is reserved when the ranks of its members
add up to 0 modulo ``_RESERVE``; every object then has reserved and unreserved sets.
"""

from collections.abc import Sequence

import numpy as np

from coemerge.worlds.facts import Fact, World

_RESERVE = 4
_REMEMBERED = 64
MIN_CANDIDATES = 2 * _RESERVE


class OptionSets:
    """Option sets for a world. ``fixed`` shows each fact with one set for ever, else fresh ones.

    ``n`` counts the options including the right one. Draws are functions of the generator passed
    in, or of (seed, fact) where there is none.
    """

    def __init__(self, world: World, fixed: bool, seed: int) -> None:
        self._world = world
        self._fixed = fixed
        self._seed = seed
        self._rank = {
            name: {obj: rank for rank, obj in enumerate(objects)}
            for name, objects in world.candidates.items()
        }
        self._shown: dict[tuple[str, str, int], list[list[str]]] = {}

    def supports(self, relation_id: str) -> bool:
        """Whether the answer set is large enough to reserve option sets."""
        return len(self._world.candidates[relation_id]) >= MIN_CANDIDATES

    def for_training(self, fact: Fact, n: int, rng: np.random.Generator) -> list[str]:
        """Distractors for one document; what was drawn is remembered for ``seen``."""
        if self._fixed:
            rng = self._own_rng(fact, n)
        drawn = self._draw(fact, n, reserved=False, rng=rng)
        shown = self._shown.setdefault((fact.relation_id, fact.object, n), [])
        if len(shown) < _REMEMBERED and not self._fixed:
            shown.append(drawn)
        return drawn

    def seen(self, fact: Fact, n: int, count: int) -> list[list[str]]:
        """Up to ``count`` distractor sets that training has shown together with this answer.

        The documents must have been drawn before; empty if none had this answer.
        """
        if self._fixed:
            return [self._draw(fact, n, reserved=False, rng=self._own_rng(fact, n))] * count
        shown = self._shown.get((fact.relation_id, fact.object, n), [])
        start = int(self._own_rng(fact, n).integers(_REMEMBERED))
        return [shown[(start + k) % len(shown)] for k in range(count)] if shown else []

    def fresh(self, fact: Fact, n: int, count: int) -> list[list[str]]:
        """``count`` distractor sets whose union with the answer training never shows together."""
        rng = self._own_rng(fact, n + 100)
        return [self._draw(fact, n, reserved=True, rng=rng) for _ in range(count)]

    def false_claim(self, fact: Fact, rng: np.random.Generator) -> str:
        """Another object of the same relation, for a statement that is not true."""
        objects = self._world.candidates[fact.relation_id]
        own = self._rank[fact.relation_id][fact.object]
        other = int(rng.integers(len(objects) - 1))
        return objects[other + (other >= own)]

    def false_claims(self, fact: Fact, count: int) -> list[str]:
        rng = self._own_rng(fact, 0)
        return [self.false_claim(fact, rng) for _ in range(count)]

    def is_reserved(self, relation_id: str, options: Sequence[str]) -> bool:
        return sum(self._rank[relation_id][o] for o in options) % _RESERVE == 0

    def _draw(self, fact: Fact, n: int, reserved: bool, rng: np.random.Generator) -> list[str]:
        objects = self._world.candidates[fact.relation_id]
        own = self._rank[fact.relation_id][fact.object]
        while True:
            ranks = rng.choice(len(objects) - 1, size=n - 1, replace=False)
            ranks = ranks + (ranks >= own)
            if (int(ranks.sum() + own) % _RESERVE == 0) == reserved:
                return [objects[r] for r in ranks]

    def _own_rng(self, fact: Fact, salt: int) -> np.random.Generator:
        digest = int(fact.fact_id.rsplit("-", 1)[1], 16)
        return np.random.default_rng([self._seed, salt, digest])
