"""One W&B run per training: axes, settings, and a clean end. Works without account and network."""

import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from coemerge.corpus.dataset import Dataset
from coemerge.lm.checkpoint_manifest import MANIFEST, checkpoint_dir, read_manifest
from coemerge.tracking.references import checkpoint_artifact, data_artifact
from coemerge.tracking.settings import (
    check_mode,
    define_axes,
    make_folders,
    reaching_server,
    run_settings,
)

_UNSURE_S = 30.0  # W&B's process writes within a second or two, longer on a machine that is busy


class FinishingWandbLogger(WandbLogger):
    """Ends its run with the training; without that the next one of a sweep would log into it."""

    def __init__(self, run_directory: Path, **keywords: Any) -> None:
        super().__init__(save_dir=str(run_directory), **keywords)
        self._run_directory = run_directory
        self._recent: deque[tuple[float, dict[str, float], int | None]] = deque()
        self._checkpoints: list[tuple[float, int]] = []

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

    def log_checkpoint(self, step: int) -> None:
        """Refers to the run's checkpoint of that step; one that was removed is left out."""
        folder = checkpoint_dir(self._run_directory / "checkpoints", step)
        if not (folder / MANIFEST).is_file():
            return
        artifact = checkpoint_artifact(folder, str(self.version), read_manifest(folder))
        self.experiment.log_artifact(artifact, aliases=["latest", folder.name])
        self._checkpoints.append((time.monotonic(), step))

    @property
    def recent_checkpoints(self) -> list[int]:
        """Steps of those whose references may not be on disk yet."""
        return [step for at, step in self._checkpoints if at >= time.monotonic() - _UNSURE_S]

    def finalize(self, status: str) -> None:
        super().finalize(status)
        wandb.finish(exit_code=0 if status == "success" else 1)


def make_wandb_logger(
    run_directory: Path,
    run_id: str,
    config: Mapping[str, Any],
    usual_group: str,
    dataset: Dataset | None = None,
    project: str = "coemerge",
    entity: str | None = None,
    group: str | None = None,
    tags: list[str] | None = None,
    notes: str | None = None,
    mode: str = "offline",
) -> WandbLogger:
    """A logger whose files all lie in ``run_directory/wandb``; it refers to the data set's files.

    ``entity``: null for that of the login; ``group``: null for the usual one. Raises ValueError for
    a bad mode, and ConnectionError with the remedy where online is asked for and cannot be.
    """
    check_mode(mode, "logger.wandb.mode")
    os.environ.update(make_folders(run_directory))
    logger = FinishingWandbLogger(
        run_directory,
        project=project,
        entity=entity,
        id=run_id,
        name=run_id,
        group=group or usual_group,
        job_type="train",
        tags=tags or [],
        notes=notes,
        config=dict(config),
        offline=mode == "offline",
        mode=mode,
        settings=run_settings(),
    )
    with reaching_server():
        define_axes(logger.experiment)
        if dataset is not None:
            _log_data(logger, dataset)
    return logger


def _log_data(logger: WandbLogger, dataset: Dataset) -> None:
    logger.experiment.log_artifact(data_artifact(dataset.directory, dataset.content_hash))
