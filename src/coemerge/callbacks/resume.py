"""The state from which an interrupted run continues exactly: ``resume/last.ckpt``, rolling, and
``resume/before.ckpt``, the one before it, should the last be damaged."""

import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from coemerge.callbacks.base import log_checkpoint
from coemerge.callbacks.context import RunContext
from coemerge.files import replacing

log = logging.getLogger(__name__)
RESUME_FILES = ("last.ckpt", "before.ckpt")
_ROWS, _CHECKPOINTS = "recent_rows", "recent_checkpoints"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames: a kill leaves an older state whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        with replacing(target, RuntimeError) as temporary:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
            if target.is_file():
                os.replace(target, target.with_name(RESUME_FILES[1]))


class SaveResumeState(lightning.Callback):
    """Saves every ``every`` optimizer steps, after all other callbacks of the step.

    Has to be the last callback: what it saves says what the others have done. Rows that a logger
    may not have on disk yet (``recent_rows``) are kept in the state and logged again, as are its
    ``recent_checkpoints``: a reader who takes the last row of each step misses none.
    """

    def __init__(self, run: RunContext, every: int) -> None:
        self._path = resume_path(run.directory)
        self._every = every
        self._done = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._done = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        if step % self._every == 0 and step != self._done:
            self._done = step
            trainer.save_checkpoint(self._path)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        for key in (_ROWS, _CHECKPOINTS):
            checkpoint[key] = [getattr(logger, key, []) for logger in trainer.loggers]

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        for logger, rows in zip(trainer.loggers, checkpoint.get(_ROWS, []), strict=False):
            for metrics, step in rows:
                logger.log_metrics(metrics, step=step)
        for logger, steps in zip(trainer.loggers, checkpoint.get(_CHECKPOINTS, []), strict=False):
            for step in steps:
                log_checkpoint(logger, step)


def resume_path(run_directory: Path) -> Path:
    return run_directory / "resume" / RESUME_FILES[0]


def whole_state(run_directory: Path) -> Path | None:
    """The latest state that is not damaged; None where there is none: the run starts again, and
    ends as it would have."""
    for name in RESUME_FILES:
        path = run_directory / "resume" / name
        if path.is_file():
            if _is_whole(path):
                return path
            log.warning("%s is damaged: going on from what was there before it", path)
    return None


def _is_whole(path: Path) -> bool:
    """By the checksums in it, which torch leaves unread, and as torch reads it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # damage shows in many ways
        return False
    return True
