"""Which answers stand together in a multiple choice, and which sets training never shows.

A memorised position must not pass for a choice, so part of all possible sets is reserved: training
draws from the others, and scoring asks both kinds. A set is reserved when the ranks of its members
add up to 0 modulo ``_RESERVE``; every object then has reserved and unreserved sets.

A base rate must not pass for a choice either: an object whose facts are never shown would turn up
as a wrong option only, and be avoided. Distractors and false claims are therefore drawn in
proportion to how often an object is the right answer in that format.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from coemerge.prompts.naming import Pairs
from coemerge.prompts.tasks import NAMING, Task
from coemerge.worlds.facts import Fact, World

_RESERVE = 4
_REMEMBERED = 64
_TRIES = 200
MIN_CANDIDATES = 2 * _RESERVE

AnswerCounts = Mapping[tuple[str, str], np.ndarray]


class OptionSets:
    """Option sets for a world. ``fixed`` shows each fact with one set for ever, else fresh ones.

    ``answer_counts[relation_id, task]`` [C] says how often each object is to be the right answer;
    without it objects are drawn evenly. Draws are functions of the generator passed in, or of
    (seed, fact, task) where there is none.
    """

    def __init__(
        self, world: World, fixed: bool, seed: int, answer_counts: AnswerCounts | None = None
    ) -> None:
        self._world = world
        self._pairs = Pairs(world)
        self._fixed = fixed
        self._seed = seed
        self._counts = dict(answer_counts or {})
        self._rank = {
            name: {obj: rank for rank, obj in enumerate(objects)}
            for name, objects in world.candidates.items()
        }
        self._shown: dict[tuple[str, str, str], list[tuple[str, ...]]] = {}

    def supports(self, relation_id: str) -> bool:
        """Whether the answer set is large enough to reserve option sets."""
        return len(self._world.candidates[relation_id]) >= MIN_CANDIDATES

    def for_training(self, fact: Fact, task: Task, rng: np.random.Generator) -> tuple[str, ...]:
        """Distractors for one document; what was drawn is remembered for ``seen``."""
        if self._fixed:
            return self._fixed_set(fact, task)
        drawn = self._draw(fact, task, reserved=False, rng=rng)
        shown = self._shown.setdefault((fact.relation_id, fact.object, task.base), [])
        if len(shown) < _REMEMBERED:
            shown.append(drawn)
        return drawn

    def seen(self, fact: Fact, task: Task, count: int) -> list[tuple[str, ...]]:
        """Up to ``count`` distractor sets that training has shown together with this answer.

        The documents must have been drawn before; empty if none had this answer.
        """
        if self._fixed:
            return [self._fixed_set(fact, task)] * count
        shown = self._shown.get((fact.relation_id, fact.object, task.base), [])
        true = set(self._world.true_objects(fact))
        shown = [others for others in shown if not true & set(others)]
        start = int(self._own_rng(fact, task, "seen").integers(_REMEMBERED))
        return [shown[(start + k) % len(shown)] for k in range(count)] if shown else []

    def fresh(self, fact: Fact, task: Task, count: int) -> list[tuple[str, ...]]:
        """``count`` distractor sets whose union with the answer training never shows together."""
        rng = self._own_rng(fact, task, "fresh")
        return [self._draw(fact, task, reserved=True, rng=rng) for _ in range(count)]

    def false_claim(self, fact: Fact, task: Task, rng: np.random.Generator) -> str:
        """Another object of the same relation, for a statement that is not true, or for a pair that
        no relation joins."""
        rank = int(rng.choice(self._size(fact), p=self._probabilities(fact, task, 1)))
        return self._world.candidates[fact.relation_id][rank]

    def false_claims(self, fact: Fact, task: Task, count: int) -> list[str]:
        rng = self._own_rng(fact, task, "claims")
        return [self.false_claim(fact, task, rng) for _ in range(count)]

    def is_reserved(self, relation_id: str, options: Sequence[str]) -> bool:
        return sum(self._rank[relation_id][o] for o in options) % _RESERVE == 0

    def _fixed_set(self, fact: Fact, task: Task) -> tuple[str, ...]:
        return self._draw(fact, task, reserved=False, rng=self._own_rng(fact, task, "fixed"))

    def _draw(
        self, fact: Fact, task: Task, reserved: bool, rng: np.random.Generator
    ) -> tuple[str, ...]:
        """Distractors of one set; evenly drawn where the counts allow no set of the kind asked."""
        objects = self._world.candidates[fact.relation_id]
        own = self._rank[fact.relation_id][fact.object]
        n = task.n_options - 1
        for probabilities in (self._probabilities(fact, task, n), self._even(fact, task)):
            for _ in range(_TRIES):
                ranks = rng.choice(len(objects), size=n, replace=False, p=probabilities)
                if (int(ranks.sum() + own) % _RESERVE == 0) == reserved:
                    return tuple(objects[r] for r in ranks)
        raise ValueError(
            f"relation {fact.relation_id!r} has too few objects ({len(objects)}) for option sets "
            f"of {task.n_options}; it needs {MIN_CANDIDATES}"
        )

    def _probabilities(self, fact: Fact, task: Task, n: int) -> np.ndarray:
        """Of each object as a distractor, [C]; the right answer has none."""
        counts = self._counts.get((fact.relation_id, task.base))
        if counts is None:
            return self._even(fact, task)
        weights = counts.astype(float)
        weights[self._true_ranks(fact, task)] = 0.0
        if np.count_nonzero(weights) < n + 1:
            return self._even(fact, task)
        return weights / weights.sum()

    def _even(self, fact: Fact, task: Task) -> np.ndarray:
        weights = np.ones(self._size(fact))
        weights[self._true_ranks(fact, task)] = 0.0
        return weights / weights.sum()

    def _true_ranks(self, fact: Fact, task: Task) -> list[int]:
        """Of all right answers: none of them may stand as a wrong one."""
        ranks = self._rank[fact.relation_id]
        right = self._pairs.related if task.base == NAMING else self._world.true_objects
        return [ranks[obj] for obj in right(fact) if obj in ranks]

    def _size(self, fact: Fact) -> int:
        return len(self._world.candidates[fact.relation_id])

    def _own_rng(self, fact: Fact, task: Task, purpose: str) -> np.random.Generator:
        digest = int(fact.fact_id.rsplit("-", 1)[1], 16)
        salt = list(f"{task.base}/{purpose}".encode())
        return np.random.default_rng([self._seed, digest, *salt])
