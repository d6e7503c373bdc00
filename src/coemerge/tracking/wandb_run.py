"""One W&B run per training: axes, settings, and a clean end. Works without account and network."""

import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from coemerge.tracking.settings import check_mode, define_axes, make_folders, run_settings

_UNSURE_S = 30.0  # W&B's process writes within a second or two, longer on a machine that is busy


class FinishingWandbLogger(WandbLogger):
    """Ends its run with the training; without that the next one of a sweep would log into it."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._recent: deque[tuple[float, dict[str, float], int | None]] = deque()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        now = time.monotonic()
        plain = {k: v if isinstance(v, int) else float(v) for k, v in metrics.items()}
        self._recent.append((now, plain, step))
        while self._recent[0][0] < now - _UNSURE_S:
            self._recent.popleft()

    @property
    def recent_rows(self) -> list[tuple[dict[str, float], int | None]]:
        """Metrics and steps that may not be on disk yet: a machine that stops takes them along."""
        return [(metrics, step) for _, metrics, step in self._recent]

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
