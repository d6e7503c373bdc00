"""A progress bar with rate, remaining time and the current loss."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import TQDMProgressBar

from coemerge.callbacks.context import RunContext


class Progress(TQDMProgressBar):
    """Lightning's bar over the micro-batches of the run, without its version number."""

    def __init__(self, run: RunContext, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._run_id = run.run_id

    def get_metrics(
        self, trainer: lightning.Trainer, pl_module: Any
    ) -> dict[str, int | str | float | dict[str, float]]:
        return {"step": trainer.global_step, "loss": f"{float(pl_module.step_loss):.3f}"}

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(self._run_id)
