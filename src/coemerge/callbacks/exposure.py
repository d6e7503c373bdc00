"""What the model has been shown so far: tables/exposure.parquet."""

from typing import Any

import lightning

from coemerge.callbacks.base import ScheduledCallback, add_rows, drop_rows, log_metrics
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.module import LanguageModule


class ExposureLog(ScheduledCallback):
    """The cumulative ledger at each scheduled step."""

    def __init__(self, run: RunContext, schedule: StepSchedule) -> None:
        super().__init__(run, schedule)
        self._table = run.table("exposure")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        drop_rows(trainer, self._table)
        super().on_train_start(trainer, pl_module)

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        ledger = self.run.ledger_at(step)
        add_rows(trainer, self._table, step, ledger.columns(step))
        log_metrics(trainer, self.run, step, {"exposure/n_documents": ledger.n_documents})
