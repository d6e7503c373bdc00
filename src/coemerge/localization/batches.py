"""Rows of unequal length in one forward pass, and the logits at each one's answer position.

Rows are padded on the right: attention is causal and positions count from the left, so a row's
tokens, and the position that predicts its answer, are computed as without padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from coemerge.interventions.positions import PositionKind, position_mask
from coemerge.interventions.waiting import on_device

_MAX_PADDING = 0.25  # of a batch's tokens; longer rows go into another batch


@dataclass(frozen=True)
class Batch:
    """``tokens`` [B,T]; ``answer_pos`` [B]: index whose logits predict the answer; ``places`` [P]
    and ``which`` [B]: all such indices, and which of them is each row's; ``spans`` [B,2]: of the
    subject; ``rows`` [B], on the CPU: which of the rows that were asked for."""

    tokens: Tensor
    answer_pos: Tensor
    places: Tensor
    which: Tensor
    spans: Tensor
    rows: Tensor

    def positions(self, kind: PositionKind) -> Tensor | None:
        """bool [B,T] where gates act; None everywhere, padding included, where nobody looks."""
        if kind == "all":
            return None
        spans = self.spans
        if kind == "last":
            spans = torch.stack((self.answer_pos, self.answer_pos + 1), 1)
        n_rows, n_positions = self.tokens.shape
        return position_mask("subject", n_rows, n_positions, spans)


def batches(
    ids: Sequence[Sequence[int]],
    spans: Sequence[tuple[int, int]],
    device: torch.device,
    tokens_per_batch: int | None = None,
) -> Iterator[Batch]:
    """All rows, shortest first, in batches that suit the device's memory or cache."""
    lengths = np.array([len(row) for row in ids])
    for index in cut_by_length(lengths, tokens_per_batch or default_tokens(device)):
        last = lengths[index] - 1
        places, which = np.unique(last, return_inverse=True)
        yield Batch(
            tokens=on_device(pad_right([ids[i] for i in index]), device),
            answer_pos=on_device(last, device),
            places=on_device(places, device),
            which=on_device(which, device),
            spans=on_device([spans[i] for i in index], device),
            rows=torch.as_tensor(index),
        )


def pad_right(ids: Sequence[Sequence[int]]) -> Tensor:
    """[B,T]; beyond its end, a row repeats its last token."""
    width = max(map(len, ids))
    return torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in ids])


def with_tokens(batch: Batch, ids: Sequence[Sequence[int]]) -> Batch:
    """The same rows with other tokens, as many in each."""
    return replace(batch, tokens=on_device(pad_right(ids), batch.tokens.device))


def default_tokens(device: torch.device) -> int:
    """Tokens of a batch: on a CPU, big ones leave the cache and are slower."""
    return 1024 if device.type == "cpu" else 65_536


def cut_by_length(lengths: np.ndarray, tokens_per_batch: int) -> Iterator[np.ndarray]:
    """Indices of rows of similar lengths, ``tokens_per_batch`` with their padding at most."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        n_real = int(lengths[order[start]])
        while stop < len(order):
            width = int(lengths[order[stop]])
            size = width * (stop + 1 - start)
            if size > tokens_per_batch or size - n_real - width > _MAX_PADDING * size:
                break
            n_real += width
            stop += 1
        yield order[start:stop]
        start = stop


def answer_logits(model: nn.Module, batch: Batch) -> Tensor:
    """float32 [B,V]; only answer positions go through the unembedding."""
    which = batch.which
    logits = model(input_ids=batch.tokens, use_cache=False, logits_to_keep=batch.places).logits
    return logits[torch.arange(len(which), device=which.device), which].float()
