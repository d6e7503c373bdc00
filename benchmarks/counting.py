"""Floating-point operations, counted as they are done."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula, sdpa_flop_count


@register_flop_formula(torch.ops.mkldnn._linear_pointwise)
def _joined_linear(x_shape: torch.Size, weight_shape: torch.Size, *_: Any, **__: Any) -> int:
    """Of the linear map that ``interventions.speed`` joins with what follows it."""
    return 2 * prod(x_shape) * weight_shape[0]


@register_flop_formula(torch.ops.aten._scaled_dot_product_flash_attention_for_cpu)
def _fused_attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    return sdpa_flop_count(query, key, value)


def operations(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
