"""Batches for training: a pure function of the position, so that a resumed run loses nothing.

The corpus is stored in training order (``documents``), so a step simply takes the next block of
rows; past the end it starts again. Nothing is shuffled here and no generator is consumed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from coemerge.corpus.packing import ANSWER, TOKEN, position_ids
from coemerge.corpus.store import TokenStore

Batch = dict[str, Tensor]
IGNORE = -100


def collate(tokens: np.ndarray, marks: np.ndarray, answer_weight: float) -> Batch:
    """Rows [B, T] to ``input_ids``, ``position_ids``, ``labels`` (next token, IGNORE where there is
    none in the same document) and ``weights``, all [B, T]."""
    ids = torch.from_numpy(tokens.astype(np.int64))
    positions = torch.from_numpy(position_ids(marks).astype(np.int64))
    labels = torch.full_like(ids, IGNORE)
    follows = torch.from_numpy((marks[:, 1:] & TOKEN) > 0) & (positions[:, 1:] > 0)
    labels[:, :-1] = torch.where(follows, ids[:, 1:], IGNORE)
    weights = torch.ones(ids.shape)
    is_answer = torch.from_numpy((marks[:, 1:] & ANSWER) > 0)
    weights[:, :-1] = torch.where(is_answer, answer_weight, 1.0)
    return {"input_ids": ids, "position_ids": positions, "labels": labels, "weights": weights}


@dataclass(frozen=True, slots=True)
class RowOrder:
    """Which rows each optimizer step uses: blocks of ``rows_per_step`` rows, pass after pass.

    The last step of a pass takes what is left, so one pass shows every row exactly once.
    """

    n_rows: int
    rows_per_step: int

    @property
    def steps_per_pass(self) -> int:
        return -(-self.n_rows // self.rows_per_step)

    def rows_after(self, step: int) -> int:
        """Rows consumed by the first ``step`` steps."""
        passes, inside = divmod(step, self.steps_per_pass)
        return passes * self.n_rows + min(inside * self.rows_per_step, self.n_rows)

    def step_using(self, row: int) -> int:
        """The first optimizer step that uses a row; steps count from 1."""
        return row // self.rows_per_step + 1

    def rows_of(self, step: int, offset: int, count: int) -> range:
        """``count`` rows from ``offset`` within the step, fewer (or none) at the end of a pass."""
        start = (step % self.steps_per_pass) * self.rows_per_step + offset
        return range(min(start, self.n_rows), min(start + count, self.n_rows))


class RowLoader:
    """Iterates over micro-batches of ``batch_rows`` rows; ``accumulate`` of them make a step.

    With several ranks, the micro-batches of a step are dealt out in turn. Rows missing at the end
    of a pass are padding. The position is part of the resume state (Lightning calls ``state_dict``
    and ``load_state_dict``).
    """

    def __init__(
        self,
        store: TokenStore,
        order: RowOrder,
        max_steps: int,
        batch_rows: int,
        accumulate: int,
        answer_weight: float,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._store = store
        self._order = order
        self._n_batches = max_steps * accumulate
        self._batch_rows = batch_rows
        self._accumulate = accumulate
        self._answer_weight = answer_weight
        self._rank = rank
        self._world_size = world_size
        self._position = 0

    def __len__(self) -> int:
        return self._n_batches

    def __iter__(self) -> Iterator[Batch]:
        while self._position < self._n_batches:
            step, micro = divmod(self._position, self._accumulate)
            offset = (micro * self._world_size + self._rank) * self._batch_rows
            rows = self._order.rows_of(step, offset, self._batch_rows)
            self._position += 1
            yield self._batch(rows)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._position = int(state["position"])

    def _batch(self, rows: range) -> Batch:
        shape = (self._batch_rows, self._store.row_length)
        tokens = np.zeros(shape, dtype=self._store.tokens.dtype)
        marks = np.zeros(shape, dtype=np.uint8)
        tokens[: len(rows)] = self._store.tokens[rows.start : rows.stop]
        marks[: len(rows)] = self._store.marks[rows.start : rows.stop]
        return collate(tokens, marks, self._answer_weight)


class CorpusDataModule(lightning.LightningDataModule):
    """The training batches of a token store; arguments as ``RowLoader``."""

    def __init__(
        self,
        store: TokenStore,
        order: RowOrder,
        max_steps: int,
        batch_rows: int,
        accumulate: int,
        answer_weight: float,
    ) -> None:
        super().__init__()
        self._arguments = (store, order, max_steps, batch_rows, accumulate, answer_weight)

    def train_dataloader(self) -> RowLoader:
        rank = self.trainer.global_rank if self.trainer else 0
        world_size = self.trainer.world_size if self.trainer else 1
        return RowLoader(*self._arguments, rank, world_size)
