"""Which of the processes of a training this is, read off the environment that started it.

Several processes train one model, one per device (``trainer.devices`` x ``trainer.num_nodes``).
They are started by ``torchrun`` or ``srun``, or by the first of them (``processes``). Everything
that writes or prints is done by the first alone.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from coemerge.lm.config import TrainerConfig

Starter = Literal["torchrun", "srun", "first"]
BY_FIRST = "COEMERGE_PLACE"  # rank, number of processes, and the id of the one that started them
_EXAMPLE = "trainer=ddp trainer.devices=N_PER_NODE trainer.num_nodes=N_NODES"


@dataclass(frozen=True, slots=True)
class Place:
    """One of ``world_size`` processes, ``local`` among those of its machine; ``starter`` is None
    for a process that was started by hand."""

    rank: int = 0
    world_size: int = 1
    local: int = 0
    starter: Starter | None = None

    def __str__(self) -> str:
        return f"process {self.rank + 1} of {self.world_size}"


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """A task of ``srun`` that is alone in its step counts as started by hand."""
    if "TORCHELASTIC_RUN_ID" in environment:
        return _read(environment, "RANK", "WORLD_SIZE", "LOCAL_RANK", "torchrun")
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return _read(environment, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "srun")
    if BY_FIRST in environment:
        rank, n_processes, _ = map(int, environment[BY_FIRST].split())
        return Place(rank, n_processes, rank, "first")
    return Place()


def is_first() -> bool:
    """Whether this process writes, prints, and holds the run directory."""
    return place().rank == 0


def world_size(trainer: TrainerConfig) -> int:
    return trainer.devices * trainer.num_nodes


def check_ranks(trainer: TrainerConfig) -> None:
    """Raises ValueError where as many processes cannot be, or are not, what the settings say."""
    here, wanted = place(), world_size(trainer)
    if here.starter in ("torchrun", "srun") and here.world_size != wanted:
        raise ValueError(
            f"trainer.devices: {here.starter} started {here.world_size} processes, but "
            f"trainer.devices={trainer.devices} x trainer.num_nodes={trainer.num_nodes} are "
            f"{wanted}: set {_EXAMPLE}"
        )
    if here.starter == "srun" and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ValueError(
            f"srun: use --ntasks-per-node={trainer.devices}, not --ntasks: as many processes on "
            "each machine"
        )
    if here.starter is None and trainer.num_nodes > 1:
        raise ValueError(
            f"trainer.num_nodes: {trainer.num_nodes} machines take torchrun or srun, which start "
            f"train.py on each of them: torchrun --nnodes={trainer.num_nodes} "
            f"--nproc-per-node={trainer.devices} ... train.py {_EXAMPLE}"
        )


def _read(
    environment: Mapping[str, str], rank: str, world: str, local: str, starter: Starter
) -> Place:
    return Place(int(environment[rank]), int(environment[world]), int(environment[local]), starter)
