"""Prompts that neurons are looked for in, and others that they are tried on.

What must not be on both sides is a unit: a text (of facts in several wordings, a fact). Draws are
by hash, so that they depend on names alone, not on what else there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coemerge.localization.prompts import stable_seed
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.subject import FACTS, Pool, Prompt

_HELD_OUT = "held_out"  # so begin the splits that training did not show


@dataclass(frozen=True)
class Sides:
    """Places in a pool, the ones to take first in front. ``search``: answered right, shown by
    training before held out; ``test``: right or not, held out before shown. What is held out are
    words and frames of syntax, wordings of facts."""

    search: np.ndarray
    test: np.ndarray

    def enough(self, least: int) -> bool:
        return min(len(self.search), len(self.test)) >= least


def class_sides(pool: Pool, config: KnowledgeNeuronsConfig) -> Sides:
    """At most ``n_prompts`` on each side; of facts whole facts, units in turn."""
    places = np.arange(len(pool.prompts))
    if pool.kind != FACTS:
        return _sides(pool, places, config.n_prompts, config.min_prompts, config.seed)
    held_out = _held_out(pool.prompts)
    units = _Units([p.item for p in pool.prompts], pool.prompts, held_out, config.seed)
    in_front = units.value < 0.5
    if in_front.all() or not in_front.any():  # few facts, of whom chance put all on one side
        in_front = units.value < np.median(units.value)
    return _drawn(units, in_front, held_out, places, pool.right, config.n_prompts)


def item_sides(pool: Pool, places: np.ndarray, config: KnowledgeNeuronsConfig) -> Sides:
    """Of the prompts about one item, at most ``item_prompts`` on each side."""
    return _sides(pool, places, config.item_prompts, least_of_item(config), config.seed)


def least_of_item(config: KnowledgeNeuronsConfig) -> int:
    """Prompts on each side that an item needs."""
    return min(config.item_prompts, config.min_prompts)


def chance(seed: int, *names: str) -> float:
    """A number from 0 to below 1 that a name has in every process."""
    return stable_seed(0, str(seed), *names)[1] / 2**64


class _Units:
    """U units of N prompts. ``of`` [N]: the unit of each; ``value`` [U]: its lot; ``turn`` [N]: the
    how manieth a prompt is, by lot, of those of its unit that are held out alike."""

    def __init__(
        self, names: Sequence[str], prompts: Sequence[Prompt], held_out: np.ndarray, seed: int
    ) -> None:
        unique, self.of = np.unique(np.array(names, dtype=object), return_inverse=True)
        self.value = np.array([chance(seed, "unit", name) for name in unique])
        lots = np.array([chance(seed, "prompt", prompt.name) for prompt in prompts])
        part = 2 * self.of + held_out
        order = np.lexsort((lots, part))
        starts = np.searchsorted(part[order], np.arange(2 * len(unique)))
        self.turn = np.empty(len(names), int)
        self.turn[order] = np.arange(len(names)) - starts[part[order]]


def _held_out(prompts: Sequence[Prompt]) -> np.ndarray:
    return np.array([prompt.split.startswith(_HELD_OUT) for prompt in prompts], bool)


def _sides(pool: Pool, places: np.ndarray, n: int, least: int, seed: int) -> Sides:
    """Texts that training showed are searched first, and no more than are needed."""
    prompts, right = [pool.prompts[i] for i in places], pool.right[places]
    held_out = _held_out(prompts)
    units = _Units([repr(prompt.ids) for prompt in prompts], prompts, held_out, seed)
    unseen = np.ones(len(units.value), bool)
    np.logical_and.at(unseen, units.of, held_out)
    order = np.lexsort((units.value, unseen))
    n_right = np.cumsum(np.bincount(units.of, right, len(units.value))[order])
    needed = min(n, max(n_right[-1:].sum() / 2, least))
    in_front = np.zeros(len(units.value), bool)
    in_front[order[: np.searchsorted(n_right, needed) + 1]] = True
    return _drawn(units, in_front, held_out, places, right, n)


def _drawn(
    units: _Units,
    in_front: np.ndarray,
    held_out: np.ndarray,
    places: np.ndarray,
    right: np.ndarray,
    n: int,
) -> Sides:
    lot, searched = units.value[units.of], in_front[units.of]
    first = np.lexsort((lot, units.turn, held_out))
    last = np.lexsort((-lot, units.turn, ~held_out))
    search, test = first[(searched & right)[first]], last[~searched[last]]
    return Sides(places[search[:n]], places[test[:n]])
