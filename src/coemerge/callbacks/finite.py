"""Stops a training whose loss is not a finite number any more, before anything of it is kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor, distributed

from coemerge.callbacks.base import ScheduledCallback
from coemerge.callbacks.context import RunContext
from coemerge.corpus.patterns import TASK_NAMES
from coemerge.files import write_json

FILE = "not_finite.json"
_SHOWN = 5


class NonFiniteError(ValueError):
    """Of a loss or a gradient: names the step and its documents."""


class _Bad(NamedTuple):
    """Where something is not finite. The smallest is the cause: the first step, and in it a loss
    rather than a gradient, which is that of all processes."""

    step: int
    loss_is_fine: bool
    micro: int
    rank: int


class StopAtNonFinite(lightning.Callback):
    """Has to be the first callback: no other one sees, and nothing saves, such a step.

    Looks at the loss of every micro-batch and the gradient of every step, on a CPU at once; on
    other devices it waits for them at every step that is a multiple of one of ``every``, and
    whenever a scheduled callback is due. Gradients scaled for 16-bit floats may overflow: the
    optimizer leaves such steps out.
    """

    def __init__(self, run: RunContext, every: Sequence[int], batch_rows: int) -> None:
        self._run = run
        self._every = every
        self._batch_rows = batch_rows
        self._unread: list[tuple[int, int, Tensor]] = []  # step, micro-batch, what is fine
        self._place = (0, 0)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        step, micro = trainer.global_step + 1, self._place[1] + 1
        self._place = (step, micro if self._place[0] == step else 0)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loss_is_fine = all_is_fine = torch.isfinite(pl_module.last_loss)
        if trainer.precision != "16-mixed":
            all_is_fine = loss_is_fine & torch.isfinite(pl_module.grad_norm)
        flags = torch.stack([loss_is_fine, all_is_fine])
        self._unread.append((*self._place, flags))
        if _answers_at_once(flags) or self._is_due(trainer):
            self._read(trainer)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._read(trainer)
        if trainer.is_global_zero:
            (self._run.directory / FILE).unlink(missing_ok=True)  # of an earlier try

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        step = trainer.global_step
        scheduled = (c for c in trainer.callbacks if isinstance(c, ScheduledCallback))  # type: ignore[attr-defined]
        return any(step % n == 0 for n in self._every) or any(c.is_due(step) for c in scheduled)

    def _read(self, trainer: lightning.Trainer) -> None:
        """Raises NonFiniteError, on all processes alike."""
        kept = [flags for *_, flags in self._unread]
        found = torch.stack(kept).tolist() if kept else []
        bad = [
            _Bad(step, loss_is_fine, micro, trainer.global_rank)
            for (step, micro, _), (loss_is_fine, all_is_fine) in zip(
                self._unread, found, strict=True
            )
            if not all_is_fine
        ]
        self._unread = []
        if bad := _of_all_processes(trainer, bad):
            message = self._told(trainer, min(bad))
            trainer.strategy.barrier()  # the first process has written what it says
            raise NonFiniteError(message)

    def _told(self, trainer: lightning.Trainer, bad: "_Bad") -> str:
        """The message; all documents are listed in a file."""
        run = self._run
        share = self._batch_rows // trainer.world_size
        offset = (bad.micro * trainer.world_size + bad.rank) * share
        rows = run.order.rows_of(bad.step - 1, offset, share)
        documents = run.dataset.store.documents
        first, last = np.searchsorted(documents["row"], (rows.start, rows.stop))
        names = run.dataset.facts["fact_id"].to_pylist()
        shown = [
            {"row": int(d["row"]), "fact_id": names[d["fact"]], "task": TASK_NAMES[d["task"]]}
            for d in documents[first:last]
        ]
        path = run.directory / FILE
        if trainer.is_global_zero:
            content = {"step": bad.step, "rows": [rows.start, rows.stop], "documents": shown}
            write_json(path, content)
        facts = list(dict.fromkeys(f"{d['fact_id']} ({d['task']})" for d in shown))
        more = ", ..." if len(facts) > _SHOWN else ""
        return (
            f"loss or gradient is not a finite number at optimizer step {bad.step}, which used "
            f"rows {rows.start} to {rows.stop - 1} of the corpus: {len(shown)} documents, of "
            f"{', '.join(facts[:_SHOWN])}{more} (all of them: {path}). Tables, checkpoints and the "
            "state before that step are kept: resume=true goes on from there; if that ends here "
            "again, lower optimizer.lr or optimizer.clip_norm and start anew (overwrite=true), or "
            "from the last checkpoint (model.base=RUN)"
        )


def _of_all_processes(trainer: lightning.Trainer, bad: list[_Bad]) -> list[_Bad]:
    if trainer.world_size == 1:
        return bad
    if not trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
        return []
    found: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(found, bad)
    return [one for part in found for one in part]


def _answers_at_once(flag: Tensor) -> bool:
    """Other devices work behind the program, which would have to wait."""
    return flag.device.type == "cpu"
