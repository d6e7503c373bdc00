"""What keeps the host from waiting for a GPU: numbers are sent without waiting, and what rows hold
is told to transformers instead of looked up. It asks in every pass whether they hold several
documents, and whether there is padding."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, masking_utils

_PACKED, _PADDED = "find_packed_sequence_indices", "warn_if_padding_and_no_attention_mask"


def on_device(values: Tensor | np.ndarray | Sequence, device: torch.device) -> Tensor:
    """Values of the CPU, sent without waiting for what a GPU has still to do. (CUDA copies what is
    not pinned through a buffer of its own: the host waits for that alone.)"""
    return torch.as_tensor(values).to(device, non_blocking=device.type not in ("cpu", "mps"))


@contextmanager
def known_rows(device: torch.device, packed: bool) -> Iterator[None]:
    """For passes without an attention mask. ``packed``: rows may hold several documents, each with
    positions from 0; else every row is one. On a CPU nobody waits, and nothing is changed."""
    changed = [
        (masking_utils, _PACKED, _documents if packed else _one_document),
        (PreTrainedModel, _PADDED, _no_warning),
    ]
    if device.type == "cpu" or not all(hasattr(owner, name) for owner, name, _ in changed):
        yield
        return
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changed]
    try:
        for owner, name, told in changed:
            setattr(owner, name, told)
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def _documents(position_ids: Tensor) -> Tensor:
    """[B,T]: which of its row's documents each token is of, as transformers counts them."""
    continues = torch.diff(position_ids, prepend=position_ids[:, :1] - 1, dim=-1) == 1
    return (~continues).cumsum(-1)


def _one_document(position_ids: Tensor) -> None:
    return None


def _no_warning(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor | None) -> None:
    return None
