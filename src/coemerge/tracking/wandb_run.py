"""One W&B run per training: axes, settings, and a clean end. Works without account and network."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

AXES = ("step", "tokens_seen")
_METRICS = ("train/*", "acquisition/*", "exposure/*", "localization/*", "co_emergence/*")
MODES = ("offline", "online", "disabled")


class FinishingWandbLogger(WandbLogger):
    """Ends its run with the training; without that the next one of a sweep would log into it."""

    def finalize(self, status: str) -> None:
        super().finalize(status)
        wandb.finish(exit_code=0 if status == "success" else 1)


def make_wandb_logger(
    run_directory: Path,
    run_id: str,
    group: str,
    config: Mapping[str, Any],
    project: str = "coemerge",
    mode: str = "offline",
    tags: list[str] | None = None,
) -> WandbLogger:
    """A logger whose files all lie in ``run_directory/wandb``. Raises ValueError for a bad mode."""
    if mode not in MODES:
        raise ValueError(f"logger.wandb.mode: {mode!r} is not one of {', '.join(MODES)}")
    directory = run_directory / "wandb"
    for name in ("data", "cache", "config"):
        (directory / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"WANDB_{name.upper()}_DIR"] = str(directory / name)
    logger = FinishingWandbLogger(
        project=project,
        id=run_id,
        name=run_id,
        group=group,
        job_type="train",
        tags=tags or [],
        save_dir=str(run_directory),
        config=dict(config),
        offline=mode == "offline",
        mode=mode,
        settings=wandb.Settings(
            x_disable_stats=True,
            console="off",
            silent=True,
            x_transaction_log_flush_interval=1.0,
            disable_git=True,
        ),
    )
    _define_axes(logger)
    return logger


def _define_axes(logger: WandbLogger) -> None:
    experiment = logger.experiment
    for axis in AXES:
        experiment.define_metric(axis)
    for pattern in _METRICS:
        experiment.define_metric(pattern, step_metric="step", step_sync=True)
