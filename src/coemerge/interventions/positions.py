"""Which positions an intervention is applied at: all, the subject's, or the last (methods 2.7)."""

from typing import Literal

import torch
from torch import Tensor

PositionKind = Literal["all", "subject", "last"]


def position_mask(
    kind: PositionKind, n_rows: int, n_positions: int, spans: Tensor | None = None
) -> Tensor:
    """[B,T] bool, on the device of ``spans``: True where to intervene.

    ``spans`` [B,2]: per row the first subject token and the one after the last; an empty span
    selects nothing. Rows are without padding, so that the last position is T-1. With cached keys
    and values, positions are those of the current chunk of tokens.

    Raises ValueError for an unknown kind, missing spans, or spans that leave the row.
    """
    device = None if spans is None else spans.device
    at = torch.arange(n_positions, device=device).expand(n_rows, -1)
    if kind == "all":
        return torch.ones_like(at, dtype=torch.bool)
    if kind == "last":
        return at == n_positions - 1
    if kind != "subject":
        raise ValueError(f"positions={kind!r}: must be all, subject or last")
    if spans is None or spans.shape != (n_rows, 2):
        found = None if spans is None else list(spans.shape)
        raise ValueError(f"positions='subject' needs spans of shape [{n_rows}, 2], not {found}")
    first, end = spans[:, :1], spans[:, 1:]
    if bool(((first < 0) | (first > end) | (end > n_positions)).any()):
        raise ValueError(
            f"spans leave the {n_positions} positions or are reversed: {spans.tolist()}"
        )
    return (at >= first) & (at < end)
