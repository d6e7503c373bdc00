"""How much the encodings of one fact for different tasks share (methods 3.6).

The published measure comes without its formula; here are two readings of it. Axes: F facts, K
tasks, C components of a mask (heads and neurons, flattened).
"""

import numpy as np


def drop_entanglement(drops: np.ndarray) -> np.ndarray:
    """Collateral damage per unit of intended damage, one value per task, [K].

    ``drops`` [F,K,K]: relative drop of task k' under the mask of task k, at [f, k, k'].
    ``Ent_drop(k) = mean_f [ mean_{k' != k} max(0, D[f,k,k']) / D[f,k,k] ]``: gains count as no
    damage. Facts whose mask does no intended damage (D[f,k,k] <= 0 or NaN) are left out, undefined
    drops of other tasks too; NaN where nothing is left.

    Raises ValueError for other shapes and for a single task.
    """
    drops = np.asarray(drops, float)
    if drops.ndim != 3 or drops.shape[1] != drops.shape[2] or drops.shape[1] < 2:
        raise ValueError(
            f"drops of shape {list(drops.shape)}: needs [F,K,K] with two tasks or more"
        )
    intended = np.diagonal(drops, axis1=1, axis2=2)
    collateral = np.clip(drops, 0, None)
    collateral[:, np.eye(drops.shape[1], dtype=bool)] = np.nan
    shares = _nanmean(collateral, axis=2) / np.where(intended > 0, intended, np.nan)
    return _nanmean(shares, axis=0)


def overlap_entanglement(masks: np.ndarray) -> np.ndarray:
    """Mean Jaccard overlap of each task's mask with those of the other tasks, [K].

    ``masks`` bool [F,K,C], trained without exclusivity.
    ``Ent_ovl(k) = mean_f mean_{k' != k} J(mask[f,k], mask[f,k'])``, pairs of two empty masks left
    out; NaN where nothing is left. Raises ValueError for other shapes and for a single task.
    """
    masks = np.asarray(masks, bool)
    if masks.ndim != 3 or masks.shape[1] < 2:
        raise ValueError(
            f"masks of shape {list(masks.shape)}: needs [F,K,C] with two tasks or more"
        )
    overlaps = np.stack([jaccard_matrix(of_fact) for of_fact in masks])
    overlaps[:, np.eye(masks.shape[1], dtype=bool)] = np.nan
    return _nanmean(_nanmean(overlaps, axis=2), axis=0)


def jaccard_matrix(masks: np.ndarray) -> np.ndarray:
    """|a & b| / |a | b| of all pairs of masks, bool [K,C] -> [K,K]; NaN for two empty ones."""
    as_counts = np.asarray(masks, float)
    both = as_counts @ as_counts.T
    sizes = as_counts.sum(1)
    either = sizes[:, None] + sizes[None] - both
    return np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is defined; NaN, without a warning, where nothing is."""
    known = ~np.isnan(values)
    n = known.sum(axis)
    total = np.where(known, values, 0).sum(axis)
    return np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
