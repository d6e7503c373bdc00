"""From attributions to sets of neurons (methods 2.9 and 5.5).

Axes: n or k queries, L layers, m neurons of a layer. Sets are bool; an empty set is a possible
answer, and stays visible as such.
"""

import torch
from torch import Tensor


def coarse_sets(attribution: Tensor, tau: float = 0.2) -> Tensor:
    """Neurons above ``tau`` times the largest attribution of their query, [...,L,m].

    Strictly above; none where no attribution is positive. Every query has the same ``tau``.
    """
    _check_share("tau", tau)
    largest = attribution.amax((-2, -1), keepdim=True)
    return (attribution > tau * largest) & (largest > 0)


def top_sets(attribution: Tensor, n: int) -> Tensor:
    """The ``n`` neurons of each query with the largest attribution, [...,L,m]; the first of equals.

    Raises ValueError if there are fewer than ``n`` neurons.
    """
    flat = attribution.flatten(-2)
    if not 0 <= n <= flat.shape[-1]:
        raise ValueError(f"n: {n} of {flat.shape[-1]} neurons cannot be chosen")
    order = flat.argsort(dim=-1, descending=True, stable=True)[..., :n]
    chosen = torch.zeros_like(flat, dtype=torch.bool).scatter(-1, order, True)
    return chosen.view_as(attribution)


def random_sets(sets: Tensor, seed: int | torch.Generator) -> Tensor:
    """As many neurons in every layer of every set, any ones: bool, shaped as ``sets`` [...,L,m]. A
    generator as ``seed`` goes on where it stands: sets in blocks get what all at once would."""
    generator = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    rank = torch.rand(sets.shape, generator=generator).argsort(-1).argsort(-1)
    return rank < sets.sum(-1, keepdim=True)


def refined_set(coarse: Tensor, share: float) -> Tensor:
    """Neurons in strictly more than ``share`` of the coarse sets [n,L,m], as [L,m]."""
    _check_sets(coarse)
    _check_share("share", share)
    # 0.7 of 10 sets is 7 of them, though 0.7 * 10 in binary need not be
    return coarse.sum(0) > round(share * len(coarse), 9)


def adaptive_refined_set(
    coarse: Tensor,
    share: float = 0.7,
    step: float = 0.05,
    n_steps: int = 20,
    least: int = 2,
    most: int = 5,
) -> tuple[Tensor, float]:
    """The refined set [L,m] of ``least`` to ``most`` neurons, and the share that gave it.

    Starts at ``share`` and goes down by ``step`` while there are too few, up while there are too
    many, within [0, 1]. Where no share on the way gives so many, the set of the last of
    ``n_steps`` is returned as it is: larger, smaller or empty.
    """
    _check_sets(coarse)
    _check_share("share", share)
    if not step > 0:
        raise ValueError(f"step: must be positive, got {step}")
    if not 0 <= least <= most:
        raise ValueError(f"least, most: need 0 <= least <= most, got {least} and {most}")
    found = refined_set(coarse, share)
    for _ in range(n_steps):
        n = int(found.sum())
        if least <= n <= most:
            break
        change = step if n > most else -step
        share = min(1.0, max(0.0, round(share + change, 9)))  # 0.75, not 0.7499999
        found = refined_set(coarse, share)
    return found, share


def consistency_aware_scores(attribution: Tensor, beta: float) -> Tensor:
    """Mean over queries [k,L,m] minus ``beta`` population standard deviations, [L,m]."""
    if attribution.ndim != 3 or not len(attribution):
        raise ValueError(
            f"attribution: need [k, L, m] with k of at least 1, got {list(attribution.shape)}"
        )
    if not beta >= 0:
        raise ValueError(f"beta: must not be negative, got {beta}")
    return attribution.mean(0) - beta * attribution.std(0, correction=0)


def consistency_aware_set(attribution: Tensor, beta: float, tau: float = 0.3) -> Tensor:
    """Neurons that all queries [k,L,m] agree on: scores above ``tau`` times the largest, [L,m]."""
    return coarse_sets(consistency_aware_scores(attribution, beta), tau)


def _check_sets(coarse: Tensor) -> None:
    if coarse.ndim != 3 or coarse.dtype != torch.bool or not len(coarse):
        raise ValueError(
            "coarse: need bool [n, L, m] of at least one query, got "
            f"{coarse.dtype} {list(coarse.shape)}"
        )


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: must be in [0, 1], got {value}")
