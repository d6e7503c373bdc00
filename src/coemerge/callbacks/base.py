"""When a scheduled callback fires: at step 0 before training, then right after optimizer steps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.seed import isolate_rng

from coemerge.callbacks.context import RunContext
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.module import LanguageModule
from coemerge.tables.parts import PartedTable
from coemerge.tables.store import Columns


class ScheduledCallback(lightning.Callback, ABC):
    """Calls ``at_step`` at the steps of a schedule, with all random states put back afterwards.

    Accumulated micro-batches count as one step; a resumed run does not repeat the step it starts
    from.
    """

    def __init__(self, run: RunContext, schedule: StepSchedule) -> None:
        self.run = run
        self.steps = schedule.resolve(run.max_steps)
        self._wanted = frozenset(self.steps)
        self._done = -1

    @abstractmethod
    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        """What the callback does; the model has taken ``step`` optimizer steps."""

    def is_due(self, step: int) -> bool:
        """Whether it has something left to do at this step."""
        return step in self._wanted and step > self._done

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._fire(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._fire(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._done = state_dict["done"]

    def _fire(self, trainer: lightning.Trainer, module: LanguageModule) -> None:
        step = trainer.global_step
        if self.is_due(step):
            self._done = step
            with isolate_rng(), torch.no_grad():
                self.at_step(trainer, module, step)


def log_metrics(
    trainer: lightning.Trainer, run: RunContext, step: int, metrics: Mapping[str, Any]
) -> None:
    """To every logger, with both x axes."""
    axes = {"step": step, "tokens_seen": run.ledger_at(step).n_tokens}
    for logger in trainer.loggers:
        logger.log_metrics({**axes, **metrics}, step=step)


def log_checkpoint(logger: Logger, step: int) -> None:
    """To a logger that takes note of checkpoints; others are left alone."""
    if hasattr(logger, "log_checkpoint"):
        logger.log_checkpoint(step)


def add_rows(trainer: lightning.Trainer, table: PartedTable, step: int, columns: Columns) -> None:
    """Stores the rows of a step, on one process only."""
    if trainer.is_global_zero:
        table.add(step, columns)


def drop_rows(trainer: lightning.Trainer, table: PartedTable) -> None:
    """Forgets what an interrupted try stored after the step that training starts from."""
    if trainer.is_global_zero:
        table.drop_after(trainer.global_step)
