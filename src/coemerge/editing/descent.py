"""Adam on many independent problems at once, each stopping by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# The problems' values [E,...] and which of them still count -> their losses [E].
Losses = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Descent:
    """``values`` [E,...] and the ``loss`` [E] that they have; ``n_steps`` [E] that led there;
    ``diverged`` [E]: the loss ceased to be finite, and values mean nothing."""

    values: Tensor
    loss: Tensor
    n_steps: Tensor
    diverged: Tensor

    @classmethod
    def joined(cls, parts: Sequence["Descent"], order: Sequence[int]) -> "Descent":
        """Of problems solved in parts; ``order``: which problem each entry belongs to."""
        place = torch.tensor(order).argsort().to(parts[0].values.device)
        each = ((p.values, p.loss, p.n_steps, p.diverged) for p in parts)
        return cls(*(torch.cat(tensors)[place] for tensors in zip(*each, strict=True)))


def descend(
    losses: Losses,
    start: Tensor,
    lr: float,
    n_steps: int,
    stop_loss: float,
    project: Callable[[Tensor], Tensor],
) -> Descent:
    """Up to ``n_steps`` steps of Adam from ``start`` [E,...], each followed by ``project``.

    A problem is done when its loss is below ``stop_loss`` or not finite. Problems do not see each
    other: a loss may depend on its own entry of the values only.
    """
    values = start.clone().requires_grad_()
    adam = torch.optim.Adam([values], lr=lr)
    counts = torch.ones(len(start), dtype=torch.bool, device=start.device)
    diverged, taken = torch.zeros_like(counts), torch.zeros_like(counts, dtype=torch.long)
    loss = torch.full_like(counts, torch.nan, dtype=torch.float32)
    for step in range(n_steps + 1):
        own = losses(values, counts)
        loss = torch.where(counts, own.detach(), loss)
        diverged = diverged | counts & ~own.isfinite()
        counts = counts & own.isfinite() & (own >= stop_loss)
        if step == n_steps or not counts.any():
            break
        (gradient,) = torch.autograd.grad(torch.where(counts, own, 0.0).sum(), values)
        stepping = counts.view(-1, *[1] * (values.ndim - 1))
        values.grad = gradient.masked_fill(~stepping, 0)
        before = values.detach().clone()
        adam.step()
        with torch.no_grad():
            values.copy_(torch.where(stepping, project(values), before))
        taken += counts
    return Descent(values.detach(), loss, taken, diverged)
