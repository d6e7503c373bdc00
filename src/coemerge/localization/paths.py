"""Credit of each neuron for a probability, given the probability as a function (methods 2.9).

Axes: B prompts, C points of each, m neurons of a layer.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from coemerge.localization.attribution_config import AttributionConfig

Probability = Callable[[Tensor], Tensor]  # [B,C,m] -> [B,C], every point by itself


def path_integral(
    probability: Probability,
    activation: Tensor,
    config: AttributionConfig,
    points_at_once: int | None = None,
) -> Tensor:
    """``a_i * sum_k w_k dP(alpha_k a) / du_i``, [B,m]: the method ``joint``.

    ``activation``: a, [B,m]. Sums over i to P(a) - P(0), up to the error of the quadrature.
    """
    return activation * mean_gradient(probability, activation, config, points_at_once)


def mean_gradient(
    probability: Probability,
    activation: Tensor,
    config: AttributionConfig,
    points_at_once: int | None = None,
) -> Tensor:
    """``sum_k w_k dP(alpha_k a) / du``, [B,m]."""
    places, weights = (x.to(activation) for x in quadrature(config))
    at_once = points_at_once or len(places)
    total = torch.zeros_like(activation)
    for place, weight in zip(places.split(at_once), weights.split(at_once), strict=True):
        points = (place[:, None] * activation[:, None]).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(probability(points).sum(), points)
        total += torch.einsum("c,bcm->bm", weight, gradient)
    return total


def quadrature(config: AttributionConfig) -> tuple[Tensor, Tensor]:
    """Points in [0,1] and their weights, float64 [steps] each; see ``AttributionConfig``."""
    n = config.steps
    if config.grid == "gauss":
        roots, weights = np.polynomial.legendre.leggauss(n)  # on [-1,1], weights sum to 2
        return torch.from_numpy((roots + 1) / 2), torch.from_numpy(weights / 2)
    places = {
        "midpoint": (torch.arange(n, dtype=torch.float64) + 0.5) / n,
        "right": torch.arange(1, n + 1, dtype=torch.float64) / n,
        "ends": torch.linspace(0, 1, n, dtype=torch.float64),
    }
    return places[config.grid], torch.full((n,), 1 / n, dtype=torch.float64)


@torch.no_grad()
def ablation_loss(
    probability: Probability, activation: Tensor, points_at_once: int | None = None
) -> Tensor:
    """``P(a) - P(a with a_i = 0)``, [B,m]: the method ``single``; needs no gradients."""
    neurons = torch.arange(activation.shape[1], device=activation.device)
    untouched = probability(activation[:, None])
    losses = []
    for some in neurons.split(points_at_once or len(neurons)):
        is_kept = neurons != some[:, None]
        losses.append(untouched - probability(activation[:, None] * is_kept))
    return torch.cat(losses, 1)
