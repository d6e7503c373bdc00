"""Ends all processes of a training after the same step, when any of them is told to stop."""

import signal
from types import FrameType
from typing import Any

import lightning
import torch
from torch import distributed


class StopTogether(lightning.Callback):
    """SIGTERM is noted, and obeyed by all at the end of a micro-batch: a process that left alone
    would leave the others waiting for it. Lightning's own handler would send word in the middle of
    whatever is going on, which others take for something else.

    Has to be the first callback: others take minutes before the first step.
    """

    def __init__(self) -> None:
        self._is_asked = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """The trainer puts the handlers back that were there before."""
        signal.signal(signal.SIGTERM, self._ask)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        asked = torch.tensor(self._is_asked, dtype=torch.uint8)  # on the CPU: no GPU is waited for
        distributed.all_reduce(asked, distributed.ReduceOp.MAX)
        if asked:
            trainer._signal_connector.received_sigterm = True  # ends the step, as in one process

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._is_asked = True
