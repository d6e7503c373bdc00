"""Attention masks written by hand, for tokens that are not one text read from left to right."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_SLIDING = "sliding_attention"
_UNLIMITED = 1 << 30  # positions


def attention_masks(model: nn.Module, visible: Callable[[int], Tensor]) -> Any:
    """What is added to attention scores, by the layers' kind where the model has two kinds.

    ``visible(window)``: bool [queries,keys], True for a key that a query sees if it sees the
    ``window`` positions up to its own. The first mask is for layers that see everything. A mask is
    [1,1,queries,keys], 0 at what is visible.
    """
    config: Any = model.config
    dtype = next(model.parameters()).dtype

    def mask(window: int) -> Tensor:
        seen = visible(window)
        zeros = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return zeros.masked_fill(~seen, torch.finfo(dtype).min)[None, None]

    everything = mask(_UNLIMITED)
    if _SLIDING not in (getattr(config, "layer_types", None) or ()):
        return everything
    return {"full_attention": everything, _SLIDING: mask(config.sliding_window)}
