"""What rows hold, told to transformers instead of looked up: it asks in every pass whether they
hold several documents, and whether there is padding, and the host waits for a GPU's answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel, masking_utils

_PACKED, _PADDED = "find_packed_sequence_indices", "warn_if_padding_and_no_attention_mask"


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
