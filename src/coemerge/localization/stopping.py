"""When a mask is done: its losses are low and its size has settled."""

import numpy as np
import torch
from torch import Tensor

from coemerge.interventions.waiting import on_device
from coemerge.localization.config import MaskConfig
from coemerge.localization.trained import LOSS_TERMS

_DECAY = 0.8  # of the moving average of losses, per step
_SETTLED = 0.03  # relative change in size since the last look


class Progress:
    """Of J masks: moving averages of their losses, which are still trained, and the masks that
    the others ended with."""

    def __init__(self, n_masks: int, config: MaskConfig) -> None:
        self._config = config
        self.active = list(range(n_masks))
        self.n_steps = np.full(n_masks, config.steps)
        self.losses = torch.zeros(n_masks, len(LOSS_TERMS))
        self.heads = torch.empty(0)
        self.neurons = torch.empty(0)
        self._last_size = torch.full((n_masks,), torch.nan)
        self._n_updates = 0

    def update(self, losses: Tensor) -> None:
        """``losses`` [J,4] of one step, in the order of ``LOSS_TERMS``."""
        if not self._n_updates:
            self.losses = torch.zeros_like(losses)
        index = on_device(self.active, losses.device)
        new = losses.detach()[index]
        kept = _DECAY if self._n_updates else 0.0
        self.losses[index] = kept * self.losses[index] + (1 - kept) * new
        self._n_updates += 1

    def look(self, step: int, heads: Tensor, neurons: Tensor) -> None:
        """Takes over the binary masks of those still trained, then lets those go that are done."""
        if not len(self.heads):
            self.heads, self.neurons = heads.clone(), neurons.clone()
        index = on_device(self.active, heads.device)
        self.heads[index], self.neurons[index] = heads[index], neurons[index]
        if not self._config.early_stop or (step + 1) % self._config.stop_every:
            return
        done = self._done()
        for j in [j for j in self.active if done[j]]:
            self.active.remove(j)
            self.n_steps[j] = step + 1

    def _done(self) -> Tensor:
        """bool [J]."""
        config = self._config
        size = (self.heads.sum((1, 2)) + self.neurons.sum((1, 2))).cpu().float()
        settled = (size - self._last_size).abs() <= _SETTLED * self._last_size
        self._last_size = size
        bounds = [config.stop_nec, config.stop_suf, config.stop_spec, config.stop_spec]
        low = (self.losses.cpu() <= torch.tensor(bounds)).all(1)
        return settled & low
