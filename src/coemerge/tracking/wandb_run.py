"""One W&B run per training: axes, settings, and a clean end. Works without account and network."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from coemerge.tracking.settings import check_mode, define_axes, make_folders, run_settings


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
    check_mode(mode, "logger.wandb.mode")
    os.environ.update(make_folders(run_directory))
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
        settings=run_settings(),
    )
    define_axes(logger.experiment)
    return logger
