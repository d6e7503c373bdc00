"""What accuracies say about a mask, pure functions of numbers or arrays (methods 3.5)."""

import numpy as np
from numpy.typing import ArrayLike

from coemerge.statistics.thresholds import NECESSARY, SPARED, SUFFICIENT


def relative_drop(base: ArrayLike, ablated: ArrayLike) -> np.ndarray:
    """``(base - ablated) / base``: the share of the right answers that is lost; NaN at base 0."""
    base, ablated = np.asarray(base, float), np.asarray(ablated, float)
    return _ratio(base - ablated, base)


def recovery(base: ArrayLike, corrupted: ArrayLike, patched: ArrayLike) -> np.ndarray:
    """``(patched - corrupted) / (base - corrupted)``: the share of what corruption costs that
    patching brings back; may exceed 1. NaN where corruption costs nothing, or helps."""
    base, corrupted = np.asarray(base, float), np.asarray(corrupted, float)
    return _ratio(np.asarray(patched, float) - corrupted, base - corrupted)


def is_valid(target_drop: float, other_drops: ArrayLike, recovered: float) -> bool:
    """Whether a mask may be called a localization: necessary, specific, sufficient.

    ``other_drops``: on the other tasks of the fact and on other facts; undefined ones (NaN, base
    accuracy 0) say nothing. A NaN ``target_drop`` or ``recovered`` is not valid.
    """
    others = np.asarray(other_drops, float)
    spared = bool((others[~np.isnan(others)] <= SPARED).all())
    return target_drop >= NECESSARY and spared and recovered >= SUFFICIENT


def density_per_layer(mask: np.ndarray) -> np.ndarray:
    """Share of the components of each layer in the mask, [..., L, C] -> [..., L]."""
    return mask.mean(-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
