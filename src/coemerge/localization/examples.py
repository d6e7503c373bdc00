"""Which prompts each mask trains on: its own, and the controls that it must leave alone.

Everything drawn here depends on the seed and the mask's (fact, task) alone, so that a mask is the
same whichever others are trained beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coemerge.localization.config import MaskConfig
from coemerge.localization.prompts import EVAL, TRAIN, Cell, Prompts, stable_seed


class Examples:
    """Train and evaluation prompts of target facts and of their controls.

    ``facts``, ``tasks``: what masks are trained for; a fact is localized in those tasks for which
    it has prompts of both splits. ``pool``: the other facts that serve as controls, None for all in
    the table; of each relation ``config.control_facts`` at most, drawn by seed. Raises ValueError,
    naming them, for facts with prompts in fewer than two tasks, and for controls that are lacking.
    """

    def __init__(
        self,
        prompts: Prompts,
        facts: Sequence[str],
        tasks: Sequence[str],
        config: MaskConfig,
        pool: Sequence[str] | None = None,
    ) -> None:
        self.prompts = prompts
        self.facts, self.tasks, self.config = list(facts), list(tasks), config
        self._pool = sorted(prompts.relation_of) if pool is None else list(pool)
        for fact in facts:
            if len(self.tasks_of(fact)) < 2:
                raise ValueError(
                    f"fact {fact}: prompts in {self.tasks_of(fact)} alone of {self.tasks}; other "
                    "tasks are controls, so it takes two or more"
                )
        for fact, task in self.cells:
            if not self.other_facts(fact, task):
                raise ValueError(
                    f"fact {fact}: no other fact of relation {prompts.relation_of[fact]!r} as "
                    f"control in {task}"
                )

    @property
    def cells(self) -> list[Cell]:
        return [(fact, task) for fact in self.facts for task in self.tasks_of(fact)]

    def tasks_of(self, fact: str) -> list[str]:
        """Those in which there are prompts to train on and prompts to evaluate."""
        return [task for task in self.tasks if self._is_asked(fact, task)]

    def _is_asked(self, fact: str, task: str) -> bool:
        return all((fact, task, split) in self.prompts.cells for split in (TRAIN, EVAL))

    def train(self, fact: str, task: str) -> np.ndarray:
        """Indices of prompts with seen templates."""
        return self.prompts.cells[fact, task, TRAIN]

    def eval(self, fact: str, task: str) -> np.ndarray:
        """Indices of prompts with held-out templates; disjoint from ``train`` (T-M5)."""
        return self.prompts.cells[fact, task, EVAL]

    def other_facts(self, fact: str, task: str) -> list[str]:
        """Of the same relation and asked in the task, a fixed random part of the pool."""
        relation = self.prompts.relation_of[fact]
        members = [
            f
            for f in self._pool
            if self.prompts.relation_of.get(f) == relation and self._is_asked(f, task)
        ]
        order = np.random.default_rng(stable_seed(self.config.seed, "pool", relation))
        shuffled = [members[i] for i in order.permutation(len(members))]
        return [f for f in shuffled if f != fact][: self.config.control_facts]

    def task_order(self, fact: str) -> list[str]:
        """The random order in which the tasks of a fact get their masks."""
        order = np.random.default_rng(stable_seed(self.config.seed, "order", fact))
        tasks = self.tasks_of(fact)
        return [tasks[i] for i in order.permutation(len(tasks))]

    def schedule(self, cell: Cell) -> "Schedule":
        """The prompts of every step of one mask."""
        fact, task = cell
        config = self.config
        rng = np.random.default_rng(stable_seed(config.seed, "schedule", *cell))
        others = [self.train(f, task) for f in self.other_facts(fact, task)]
        tasks = [self.train(fact, t) for t in self.tasks_of(fact) if t != task]
        own = self.train(fact, task)
        return Schedule(
            nec=_in_turn([own], config.rows_nec, config.steps, rng),
            suf=_in_turn([own], config.rows_suf, config.steps, rng),
            facts=_in_turn(
                at_most(others, config.control_prompts, rng), config.rows_facts, config.steps, rng
            ),
            tasks=_in_turn(
                at_most(tasks, config.control_prompts, rng), config.rows_tasks, config.steps, rng
            ),
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Indices of prompts, [steps, rows] per kind of row."""

    nec: np.ndarray
    suf: np.ndarray
    facts: np.ndarray
    tasks: np.ndarray


def at_most(groups: Sequence[np.ndarray], n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A random part of each group, ``n`` in all where groups have that many."""
    share = max(1, n // len(groups))
    return [rng.permutation(group)[:share] for group in groups]


def _in_turn(
    groups: Sequence[np.ndarray], per_step: int, steps: int, rng: np.random.Generator
) -> np.ndarray:
    """Groups take turns, and so do the members of each, in an order drawn anew each time round."""
    n = per_step * steps
    turns = np.concatenate([rng.permutation(len(groups)) for _ in range(-(-n // len(groups)))])[:n]
    rows = np.empty(n, dtype=np.int64)
    for index, group in enumerate(groups):
        at = np.flatnonzero(turns == index)
        rounds = -(-len(at) // len(group))
        rows[at] = np.concatenate([rng.permutation(group) for _ in range(rounds)] or [at])[
            : len(at)
        ]
    return rows.reshape(steps, per_step)
