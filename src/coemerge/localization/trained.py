"""Masks as they come out of training: binary, with what is known about their training; on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from coemerge.files import replacing
from coemerge.interventions.gates import Gates
from coemerge.localization.prompts import Cell

LOSS_TERMS = ("nec", "suf", "facts", "tasks")


@dataclass(frozen=True, eq=False)
class TrainedMasks:
    """J masks. ``heads`` bool [J,L,H], ``neurons`` bool [J,L,m]: True where a component belongs to
    the encoding of the mask's (fact, task). ``order_index``: rank of the task in the random order
    of its fact; ``losses`` [J,4]: ``LOSS_TERMS`` in nats, a moving average at the end of training;
    ``wall_s``: the mask's share of the time."""

    fact_id: np.ndarray
    task: np.ndarray
    heads: np.ndarray
    neurons: np.ndarray
    order_index: np.ndarray
    losses: np.ndarray
    n_steps: np.ndarray
    wall_s: np.ndarray

    def __len__(self) -> int:
        return len(self.fact_id)

    @property
    def cells(self) -> list[Cell]:
        return list(zip(self.fact_id.tolist(), self.task.tolist(), strict=True))

    @property
    def n_heads(self) -> np.ndarray:
        """Heads in each mask, [J]."""
        return self.heads.sum((1, 2))

    @property
    def n_neurons(self) -> np.ndarray:
        """Neurons in each mask, [J]."""
        return self.neurons.sum((1, 2))

    @property
    def units(self) -> np.ndarray:
        """bool [J, L*H + L*m], heads and neurons side by side."""
        n = len(self)
        return np.concatenate([self.heads.reshape(n, -1), self.neurons.reshape(n, -1)], axis=1)

    def index(self, cell: Cell) -> int:
        return self.cells.index(cell)

    def gates(self, device: torch.device | str = "cpu") -> Gates:
        """[J,L,H] and [J,L,m], 0 or 1."""
        heads, neurons = (torch.as_tensor(x, device=device) for x in (self.heads, self.neurons))
        return Gates(heads.float(), neurons.float())

    def select(self, index: Sequence[int] | np.ndarray) -> "TrainedMasks":
        """Some of them, in this order."""
        return TrainedMasks(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def save(self, path: Path) -> None:
        """Beside the target, then renamed: a file that is there is whole."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays |= {name: arrays[name].astype(str) for name in ("fact_id", "task")}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> "TrainedMasks":
        with np.load(path) as arrays:
            loaded = {f.name: arrays[f.name] for f in fields(cls)}
        return cls(**loaded | {name: loaded[name].astype(object) for name in ("fact_id", "task")})


def concatenate(parts: Sequence[TrainedMasks]) -> TrainedMasks:
    """All masks of all parts. Raises ValueError without any part."""
    if not parts:
        raise ValueError("no masks to put together")
    names = [f.name for f in fields(TrainedMasks)]
    return TrainedMasks(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
