"""Relaxed gates: logits that gradients can move, gates that activations are blended with.

Axes: J masks, L layers, C components of a layer (H heads or m neurons); logits [J,L,C]. A logit of
minus infinity forbids a component: its gate is 0, its probability 0, its gradient 0.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Relaxation(Protocol):
    """Of all methods: logits of any shape in, the same shape out."""

    @property
    def is_random(self) -> bool: ...

    def sample(self, logits: Tensor, uniform: Tensor | None) -> Tensor:
        """Gates in [0,1] of a training step, from uniform noise where ``is_random``."""
        ...

    def deterministic(self, logits: Tensor) -> Tensor:
        """Gates without noise; a mask holds those above 0.5 (``binarise``)."""
        ...

    def p_open(self, logits: Tensor) -> Tensor:
        """P(gate > 0), which sparsity counts."""
        ...


@dataclass(frozen=True, slots=True)
class StraightThrough:
    """Forward the rounded sigmoid, backward the sigmoid: what trains is what is evaluated."""

    is_random: bool = False

    def sample(self, logits: Tensor, uniform: Tensor | None = None) -> Tensor:
        soft = logits.sigmoid()
        return (soft > 0.5).to(soft) + (soft - soft.detach())

    def deterministic(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def p_open(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()


@dataclass(frozen=True, slots=True)
class HardConcrete:
    """A stretched and clipped binary concrete variable (Louizos et al. 2018, equations 10-12)."""

    temperature: float = 2 / 3
    low: float = -0.1
    high: float = 1.1
    is_random: bool = True

    def sample(self, logits: Tensor, uniform: Tensor | None) -> Tensor:
        assert uniform is not None
        noise = uniform.log() - (-uniform).log1p()
        return self._stretch(((noise + logits) / self.temperature).sigmoid())

    def deterministic(self, logits: Tensor) -> Tensor:
        return self._stretch(logits.sigmoid())

    def p_open(self, logits: Tensor) -> Tensor:
        return (logits - self.temperature * math.log(-self.low / self.high)).sigmoid()

    def _stretch(self, gate: Tensor) -> Tensor:
        return (gate * (self.high - self.low) + self.low).clamp(0, 1)


def make_relaxation(
    gate: str, temperature: float, stretch_low: float, stretch_high: float
) -> Relaxation:
    if gate == "straight_through":
        return StraightThrough()
    return HardConcrete(temperature, stretch_low, stretch_high)


@torch.no_grad()
def binarise(relaxation: Relaxation, logits: Tensor) -> Tensor:
    """The mask that is evaluated: bool, True where the deterministic gate exceeds 0.5."""
    return relaxation.deterministic(logits) > 0.5
