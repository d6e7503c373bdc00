"""Masks that ought to do nothing: random ones of equal size, and those of other facts."""

from collections.abc import Mapping

import numpy as np

from coemerge.localization.prompts import stable_seed
from coemerge.localization.trained import TrainedMasks


def random_masks(masks: TrainedMasks, draw: int, seed: int = 0) -> TrainedMasks:
    """Each mask with as many heads and neurons in each layer, drawn at random; a draw of a mask is
    the same whichever others are there."""
    heads, neurons = np.zeros_like(masks.heads), np.zeros_like(masks.neurons)
    for j, cell in enumerate(masks.cells):
        rng = np.random.default_rng(stable_seed(seed, "random mask", str(draw), *cell))
        for drawn, like in ((heads[j], masks.heads[j]), (neurons[j], masks.neurons[j])):
            for layer, n in enumerate(like.sum(1)):
                drawn[layer, rng.permutation(like.shape[1])[:n]] = True
    return _with_components(masks, heads, neurons)


def mismatched_masks(
    masks: TrainedMasks, relation_of: Mapping[str, str]
) -> tuple[TrainedMasks, np.ndarray]:
    """Each (fact, task) with the mask of the next fact of the same relation for the same task, of
    another relation where there is none; and which masks have such a partner, bool [J]."""
    source = np.arange(len(masks))
    relations = np.array([relation_of[fact] for fact in masks.fact_id], dtype=object)
    for task in set(masks.task):
        of_task = np.flatnonzero(masks.task == task)
        source[of_task] = np.roll(of_task, -1)
        for relation in set(relations[of_task]):
            members = of_task[relations[of_task] == relation]
            if len(members) > 1:
                source[members] = np.roll(members, -1)
    mismatched = _with_components(masks, masks.heads[source], masks.neurons[source])
    return mismatched, source != np.arange(len(masks))


def _with_components(masks: TrainedMasks, heads: np.ndarray, neurons: np.ndarray) -> TrainedMasks:
    return TrainedMasks(
        fact_id=masks.fact_id,
        task=masks.task,
        heads=heads,
        neurons=neurons,
        order_index=masks.order_index,
        losses=np.full_like(masks.losses, np.nan),
        n_steps=np.zeros_like(masks.n_steps),
        wall_s=np.zeros_like(masks.wall_s),
    )
