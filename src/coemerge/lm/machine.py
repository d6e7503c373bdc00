"""Precision, attention and threads: a pure function of what the machine is and what is asked for.

The choice is written to the run's manifest and reused on resume, so that a run is repeatable bit by
bit on one type of machine.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from coemerge.lm.config import ModelConfig, TrainerConfig


@dataclass(frozen=True, slots=True)
class Machine:
    """``bf16``: fast bfloat16 matrix units (CPU flag avx512_bf16 or amx_bf16, GPU capability 8)."""

    accelerator: str
    bf16: bool
    cores: int


@dataclass(frozen=True, slots=True)
class Execution:
    """How a model is run."""

    accelerator: str
    precision: str
    attention: str
    threads: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def detect_machine(device: str) -> Machine:
    """Raises ValueError if the device asked for is not there."""
    available = {"cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    if device == "auto":
        device = next(d for d in ("cuda", "mps", "cpu") if available[d])
    if not available[device]:
        raise ValueError(f"device={device} is not available on this machine; use device=auto")
    bf16 = torch.cuda.is_bf16_supported() if device == "cuda" else device == "cpu" and _cpu_bf16()
    return Machine(device, bf16, len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count() or 1)


def choose_execution(
    machine: Machine, model: ModelConfig, trainer: TrainerConfig, processes: int = 1
) -> Execution:
    """On a CPU with bf16 units, eager attention under autocast is preferred to the fused kernel,
    which gains nothing on short rows. ``processes``: those that share the machine's cores."""
    precision = trainer.precision
    if precision == "auto":
        precision = "bf16-mixed" if machine.bf16 else "32-true"
    attention = model.attention
    if attention == "auto":
        attention = "eager" if machine.accelerator == "cpu" and precision != "32-true" else "sdpa"
    threads = trainer.threads or max(1, machine.cores // processes)
    return Execution(machine.accelerator, precision, attention, threads)


_LINUX = hasattr(os, "sched_getaffinity")


def _cpu_bf16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if cpuinfo.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
