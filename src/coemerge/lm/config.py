"""Settings of model, optimizer and trainer; free of heavy imports."""

import math
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelConfig:
    """``architecture`` is a transformers model type (gpt2, gpt_neox, llama, ...); ``config`` holds
    keyword arguments of its configuration class. Vocabulary and context come from the data.

    With ``base`` (a run, a checkpoint, a folder, or a hub id with ``revision``) training continues
    that model, with its own tokenizer: ``architecture`` stays empty and ``config`` may change
    settings without weights, such as dropout.
    """

    architecture: str = "gpt2"
    config: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    revision: str | None = None
    attention: str = "auto"


@dataclass
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay to ``final_lr`` x ``lr``.

    ``answer_weight`` multiplies the loss of answer tokens; 1 is the plain language-model loss.
    """

    lr: float = 3e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    weight_decay: float = 0.01
    warmup_steps: int = 100
    final_lr: float = 0.1
    clip_norm: float = 1.0
    answer_weight: float = 5.0


@dataclass
class TrainerConfig:
    """``max_steps`` null means once through the corpus. ``accumulate`` micro-batches of
    ``batch_rows`` rows make one optimizer step; devices share each micro-batch in equal parts, so
    that their number changes nothing about a step.

    ``strategy``: ddp, or fsdp, which spreads weights and optimizer states as well; auto is ddp
    where there are several devices. ``wait_minutes``: how long processes wait for one of them, as
    while it trains masks. ``activation_checkpointing``: less memory, more computation.
    """

    max_steps: int | None = None
    batch_rows: int = 16
    accumulate: int = 1
    precision: str = "auto"
    threads: int | None = None
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    wait_minutes: int = 180
    activation_checkpointing: bool = False
    resume_every: int = 100
    log_every: int = 10


_LARGEST = 10**8  # of any count or factor: beyond it stands a slip of the finger
_SIZES = r"(n|num)_\w+|\w+_size|max_position_embeddings"  # keys of every architecture
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
ATTENTIONS = ("auto", "eager", "sdpa", "flash_attention_2")
DEVICES = ("auto", "cpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp", "fsdp")


def check_model_choice(model: ModelConfig) -> None:
    """Raises ValueError unless there is a base or an architecture, and not both."""
    if model.base and model.architecture:
        raise ValueError(
            f"model.base brings its own architecture, not {model.architecture!r}: add "
            "model=pretrained"
        )
    if not model.base and not model.architecture:
        raise ValueError("model.base: name a run, a checkpoint, a folder or a hub id")


def check_training_config(
    model: ModelConfig, optimizer: OptimizerConfig, trainer: TrainerConfig, device: str
) -> None:
    """Raises ValueError listing every value that makes no sense."""
    problems = _number_problems(optimizer, trainer)
    problems += [
        f"model.config.{key}: needs a positive whole number, got {value!r}"
        for key, value in model.config.items()
        if re.fullmatch(_SIZES, key) and value is not None and not _is_size(value)
    ]
    if len(optimizer.betas) != 2 or not all(0 <= beta < 1 for beta in optimizer.betas):
        problems.append(f"optimizer.betas: needs two numbers in [0, 1), got {optimizer.betas}")
    if not 0 <= optimizer.final_lr <= 1:
        problems.append(f"optimizer.final_lr: must be in [0, 1], got {optimizer.final_lr}")
    choices = {
        "trainer.precision": (trainer.precision, PRECISIONS),
        "model.attention": (model.attention, ATTENTIONS),
        "trainer.strategy": (trainer.strategy, STRATEGIES),
        "device": (device, DEVICES),
    }
    problems += [
        f"{key}: {value!r} is not one of {', '.join(allowed)}"
        for key, (value, allowed) in choices.items()
        if value not in allowed
    ]
    if not problems:
        problems = _sharing_problems(trainer, device)
    if problems:
        raise ValueError("; ".join(problems))


def _sharing_problems(trainer: TrainerConfig, device: str) -> list[str]:
    n = trainer.devices * trainer.num_nodes
    problems = []
    if trainer.batch_rows % n:
        problems.append(
            f"trainer.batch_rows: {trainer.batch_rows} rows cannot be shared by {n} devices "
            f"equally: a multiple of {n} can"
        )
    if trainer.strategy == "fsdp" and n == 1:
        problems.append("trainer.strategy: fsdp spreads a model over 2 trainer.devices or more")
    if device == "mps" and n > 1:
        problems.append(f"trainer.devices: {n} with device=mps, of which there is one")
    return problems


def _number_problems(optimizer: OptimizerConfig, trainer: TrainerConfig) -> list[str]:
    positive = {
        "optimizer.lr": optimizer.lr,
        "optimizer.clip_norm": optimizer.clip_norm,
        "optimizer.answer_weight": optimizer.answer_weight,
        "trainer.batch_rows": trainer.batch_rows,
        "trainer.accumulate": trainer.accumulate,
        "trainer.devices": trainer.devices,
        "trainer.num_nodes": trainer.num_nodes,
        "trainer.wait_minutes": trainer.wait_minutes,
        "trainer.resume_every": trainer.resume_every,
        "trainer.log_every": trainer.log_every,
    }
    for name, optional in (("max_steps", trainer.max_steps), ("threads", trainer.threads)):
        if optional is not None:
            positive[f"trainer.{name}"] = optional
    problems = [f"{key}: must be positive, got {v}" for key, v in positive.items() if not v > 0]
    problems += [
        f"{key}: too large, got {value}; at most {_LARGEST:,}"
        for key, value in positive.items()
        if value > _LARGEST and key != "optimizer.clip_norm"  # infinite: no clipping
    ]
    rest = {
        "optimizer.weight_decay": optimizer.weight_decay,
        "optimizer.warmup_steps": optimizer.warmup_steps,
    }
    problems += [
        f"{key}: must not be negative, and finite, got {value}"
        for key, value in rest.items()
        if not 0 <= value < math.inf
    ]
    return problems


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value <= _LARGEST


def check_device(device: str) -> None:
    """Raises ValueError."""
    if device not in DEVICES:
        raise ValueError(f"device: {device!r} is not one of {', '.join(DEVICES)}")
