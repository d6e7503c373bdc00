"""Masks that ought to do nothing: random ones of equal size, and those of other facts."""

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


def mismatched_masks(masks: TrainedMasks) -> TrainedMasks:
    """Each (fact, task) with the mask of the next fact, in their order, for the same task.

    Raises ValueError where a task has masks of one fact only.
    """
    source = np.arange(len(masks))
    for task in set(masks.task):
        members = np.flatnonzero(masks.task == task)
        if len(members) < 2:
            raise ValueError(f"task {task!r} has a single mask: no other fact's to compare with")
        source[members] = np.roll(members, -1)
    return _with_components(masks, masks.heads[source], masks.neurons[source])


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
