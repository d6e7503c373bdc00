"""The state from which an interrupted run continues exactly: ``resume/last.ckpt``, rolling."""

import os
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from coemerge.callbacks.context import RunContext

RESUME_FILE = "last.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames: a kill leaves the older state whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)


class SaveResumeState(lightning.Callback):
    """Saves every ``every`` optimizer steps, after all other callbacks of the step.

    Has to be the last callback: what it saves says what the others have done.
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


def resume_path(run_directory: Path) -> Path:
    return run_directory / "resume" / RESUME_FILE
