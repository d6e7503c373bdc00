"""Loss, learning rate, gradient norm and throughput: tables/training.parquet and ``train/...``."""

import time
from typing import Any

import lightning

from coemerge.callbacks.base import add_rows, drop_rows, log_metrics
from coemerge.callbacks.context import RunContext


class TrainingLog(lightning.Callback):
    """One row every ``every`` optimizer steps; its loss is the mean of the steps' since the last.

    Rows are stored with each resume state, so that an interrupted run loses none of them.
    ``tokens_per_s`` counts the time in training batches only, not in callbacks.
    """

    def __init__(self, run: RunContext, every: int = 10) -> None:
        self._run = run
        self._every = every
        self._table = run.table("training")
        self._rows: dict[str, list[Any]] = _no_rows()
        self._window = {"loss": 0.0, "batches": 0, "seconds": 0.0, "tokens": 0}
        self._last_row = 0
        self._step = 0
        self._lr = 0.0
        self._batch_t0 = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        drop_rows(trainer, self._table)
        self._step = trainer.global_step
        self._window["tokens"] = self._run.ledger_at(trainer.global_step).n_tokens

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch_t0 = time.perf_counter()
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._window["seconds"] += time.perf_counter() - self._batch_t0
        step = trainer.global_step
        if step == self._step:
            return  # more micro-batches of a step are to come
        self._step = step
        self._window["loss"] += pl_module.step_loss.double()
        self._window["batches"] += 1
        if step % self._every == 0 and step > self._last_row:
            self._close_row(trainer, pl_module, step)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        self._flush(trainer)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        if self._window["batches"]:
            self._close_row(trainer, pl_module, trainer.global_step)
        self._flush(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {
            "last_row": self._last_row,
            "loss": float(self._window["loss"]),
            "batches": self._window["batches"],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last_row = state_dict["last_row"]
        self._window.update({k: state_dict[k] for k in ("loss", "batches")})

    def _close_row(self, trainer: lightning.Trainer, module: Any, step: int) -> None:
        tokens = self._run.ledger_at(step).n_tokens
        row = {
            "loss": float(self._window["loss"] / self._window["batches"]),
            "lr": self._lr,
            "grad_norm": float(module.grad_norm),
            "tokens_per_s": (tokens - self._window["tokens"]) / max(self._window["seconds"], 1e-9),
        }
        for name, value in {"step": step, "tokens_seen": tokens, **row}.items():
            self._rows[name].append(value)
        log_metrics(trainer, self._run, step, {f"train/{k}": v for k, v in row.items()})
        self._window = {"loss": 0.0, "batches": 0, "seconds": 0.0, "tokens": tokens}
        self._last_row = step

    def _flush(self, trainer: lightning.Trainer) -> None:
        if self._rows["step"]:
            add_rows(trainer, self._table, self._rows["step"][-1], self._rows)
            self._rows = _no_rows()


def _no_rows() -> dict[str, list[Any]]:
    return {k: [] for k in ("step", "tokens_seen", "loss", "lr", "grad_norm", "tokens_per_s")}
