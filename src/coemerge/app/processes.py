"""How the processes of a training come together, and how they part.

The first process holds the run directory and prepares everything; then it starts the others, unless
``torchrun`` or ``srun`` has. Each of them waits until the first is ready, opens what it has
prepared, and trains with it. All end together: on SIGTERM (``callbacks.together``), or as soon as
one fails. What follows a training is done by the first alone.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

import torch
from lightning.fabric.plugins import ClusterEnvironment
from lightning.pytorch.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import distributed

from coemerge.app.cli import ROOT
from coemerge.app.ranks import BY_FIRST, Place, place, world_size
from coemerge.app.settings import Settings
from coemerge.lm.config import TrainerConfig
from coemerge.lm.machine import detect_machine

Action = Literal["start", "continue", "done"]
_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
_GRACE_S = 120.0  # for a process to notice by itself that another has gone, and to end its loggers


def make_strategy(trainer: TrainerConfig) -> Strategy | str:
    """How gradients, and with fsdp weights and optimizer states, are spread over the devices."""
    if world_size(trainer) == 1:
        return "auto"
    waits = timedelta(minutes=trainer.wait_minutes)
    if trainer.strategy == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=world_size(trainer),
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,  # states are whole: any number of devices reads them
            timeout=waits,
        )
    return DDPStrategy(timeout=waits)


def environment() -> ClusterEnvironment:
    """Never chosen by Lightning: it takes a single task on SLURM for one of several, and requeues
    jobs by itself."""
    started = place().starter
    if started == "torchrun":
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if started == "srun" else LightningEnvironment()


@contextmanager
def together(settings: Settings, action: Action) -> Iterator[None]:
    """In the first process: the others are there inside, and train as well. If the training fails
    here, they are ended; if one of them fails, ValueError is raised, or, should this process be
    stuck in waiting for it, it ends."""
    trainer, here = settings.config.trainer, place()
    if world_size(trainer) == 1:
        yield
        return
    _check_devices(settings)
    before = {name: os.environ.get(name) for name in _VARIABLES}
    others = [] if here.starter else _start_others(settings)
    done = threading.Event()
    threading.Thread(target=_watch, args=(others, done), daemon=True).start()
    try:
        _meet(settings, here, action)
        yield
        part()
        done.set()
    except BaseException as error:
        done.set()
        for other in others:
            other.kill()
        if is_loss_of_another(error):
            raise ValueError(_LOST) from error
        raise
    finally:
        for other in others:
            other.wait()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _check_devices(settings: Settings) -> None:
    """Raises ValueError, before the others are started."""
    config = settings.config
    if detect_machine(config.device).accelerator == "cuda":
        there = torch.cuda.device_count()
        if config.trainer.devices > there:
            raise ValueError(
                f"trainer.devices: {config.trainer.devices} wanted, this machine has {there} GPUs"
            )


def dismiss(settings: Settings) -> None:
    """Tells the other processes that there is nothing to do."""
    _meet(settings, place(), "done")
    part()


def wait_for_first(settings: Settings) -> Action:
    """In the others: what the first has decided to do, once everything is prepared."""
    here = place()
    if here.starter == "first":
        parent = int(os.environ[BY_FIRST].split()[-1])
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    action = _meet(settings, here, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as it was meant for the first, too
    return action


def part() -> None:
    """All at the end of the training; what comes later is done by one process."""
    distributed.barrier()
    distributed.destroy_process_group()


def is_loss_of_another(error: BaseException) -> bool:
    """Whether communication failed, which it does when a process has ended."""
    is_gloo = isinstance(error, RuntimeError) and "gloo/transport" in str(error)
    return is_gloo or isinstance(error, distributed.DistError)


_LOST = (
    "another process of this training has ended, and all end with it: what it says is above, or in "
    "the log of its machine; resume=true goes on from the last saved state"
)


def _start_others(settings: Settings) -> list[subprocess.Popen[bytes]]:
    """With the settings of this job of a sweep, not those of the sweep."""
    own = LightningEnvironment()
    n_devices = settings.config.trainer.devices
    shared = {
        "MASTER_ADDR": own.main_address,
        "MASTER_PORT": str(own.main_port),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(n_devices),
    }
    os.environ.update({**shared, "LOCAL_RANK": "0"})
    command = [sys.executable, str(ROOT / "train.py"), *settings.overrides]
    return [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                "LOCAL_RANK": str(rank),
                BY_FIRST: f"{rank} {n_devices} {os.getpid()}",
            },
            start_new_session=True,  # Ctrl-C goes to the first, which ends the others
        )
        for rank in range(1, n_devices)
    ]


def _meet(settings: Settings, here: Place, action: Action | None) -> Action:
    """Returns what the first process has decided."""
    config = settings.config
    cluster = environment()
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = (
        cluster.main_address,
        str(cluster.main_port),
    )
    is_cuda = detect_machine(config.device).accelerator == "cuda"
    if is_cuda:
        torch.cuda.set_device(here.local)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if is_cuda else "gloo",  # scores are summed on the CPU
        rank=here.rank,
        world_size=world_size(config.trainer),
        timeout=timedelta(minutes=config.trainer.wait_minutes),
    )
    told: list[Action | None] = [action]
    distributed.broadcast_object_list(told)
    assert told[0] is not None
    return told[0]


def _watch(others: list[subprocess.Popen[bytes]], done: threading.Event) -> None:
    """On a GPU nothing tells a process that waits for another that it has gone."""
    failed: subprocess.Popen[bytes] | None = None
    while failed is None and not done.wait(1.0):
        failed = next((other for other in others if other.poll()), None)
    if failed is not None and not done.wait(_GRACE_S):
        sys.stderr.write(f"error: {_LOST}\n")
        for other in others:
            other.kill()
        os.kill(os.getpid(), signal.SIGKILL)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
