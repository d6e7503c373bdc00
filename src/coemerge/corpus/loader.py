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

from coemerge.corpus.packing import ANSWER, START, TOKEN, position_ids
from coemerge.corpus.store import TokenStore

Batch = dict[str, Tensor]
IGNORE = -100


def collate(tokens: np.ndarray, marks: np.ndarray, answer_weight: float) -> Batch:
    """Rows [B, T] to ``input_ids``, ``position_ids``, ``labels`` (next token, IGNORE where there is
    none in the same document) and ``weights``, all [B, T]."""
    ids = torch.from_numpy(tokens.astype(np.int64))
    positions = torch.from_numpy(position_ids(marks).astype(np.int64))
    labels = torch.full_like(ids, IGNORE)
    labels[:, :-1] = torch.where(torch.from_numpy(_follows(marks)), ids[:, 1:], IGNORE)
    weights = torch.ones(ids.shape)
    is_answer = torch.from_numpy((marks[:, 1:] & ANSWER) > 0)
    weights[:, :-1] = torch.where(is_answer, answer_weight, 1.0)
    return {"input_ids": ids, "position_ids": positions, "labels": labels, "weights": weights}


def _follows(marks: np.ndarray) -> np.ndarray:
    """bool [B, T-1]: whether the token after each position is one of the same document."""
    return ((marks[:, 1:] & TOKEN) > 0) & ((marks[:, 1:] & START) == 0)


def label_weight(marks: np.ndarray, answer_weight: float) -> float:
    """Sum of the weights of all labels of some rows [B, T]: every token but a document's first."""
    is_label = _follows(marks)
    n_answer = int((is_label & ((marks[:, 1:] & ANSWER) > 0)).sum())
    return int(is_label.sum()) - n_answer + answer_weight * n_answer


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

    With several ranks, each has micro-batches of so many rows, dealt out in turn. Rows missing at
    the end of a pass are padding. ``step_weight`` of a batch is the sum of label weights of all
    rows of its step, wherever they are: what the loss is divided by. The position is part of the
    resume state (Lightning calls ``state_dict`` and ``load_state_dict``).
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
        self._weight = (-1, torch.zeros(()))  # a step, and its label weights

    def __len__(self) -> int:
        return self._n_batches

    def __iter__(self) -> Iterator[Batch]:
        while self._position < self._n_batches:
            step, micro = divmod(self._position, self._accumulate)
            offset = (micro * self._world_size + self._rank) * self._batch_rows
            rows = self._order.rows_of(step, offset, self._batch_rows)
            self._position += 1
            yield {**self._batch(rows), "step_weight": self._step_weight(step)}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._position = int(state["position"])

    def _step_weight(self, step: int) -> Tensor:
        if self._weight[0] != step:
            rows = self._order.rows_of(step, 0, self._order.rows_per_step)
            marks = np.asarray(self._store.marks[rows.start : rows.stop])
            self._weight = (step, torch.tensor(float(label_weight(marks, self._answer_weight))))
        return self._weight[1]

    def _batch(self, rows: range) -> Batch:
        shape = (self._batch_rows, self._store.row_length)
        tokens = np.zeros(shape, dtype=self._store.tokens.dtype)
        marks = np.zeros(shape, dtype=np.uint8)
        tokens[: len(rows)] = self._store.tokens[rows.start : rows.stop]
        marks[: len(rows)] = self._store.marks[rows.start : rows.stop]
        return collate(tokens, marks, self._answer_weight)


class CorpusDataModule(lightning.LightningDataModule):
    """The training batches of a token store; arguments as ``RowLoader``, but that the processes of
    a training share ``batch_rows`` in equal parts."""

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
        self._store, self._order, self._answer_weight = store, order, answer_weight
        self._max_steps, self._batch_rows, self._accumulate = max_steps, batch_rows, accumulate

    def train_dataloader(self) -> RowLoader:
        rank = self.trainer.global_rank if self.trainer else 0
        world_size = self.trainer.world_size if self.trainer else 1
        return RowLoader(
            self._store,
            self._order,
            self._max_steps,
            self._batch_rows // world_size,
            self._accumulate,
            self._answer_weight,
            rank,
            world_size,
        )
