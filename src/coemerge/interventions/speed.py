"""Faster kernels for many short passes with gradients: the same functions, equal up to rounding."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

_EAGER = "eager"


@contextmanager
def fast_passes(model: nn.Module) -> Iterator[None]:
    """Fused activation functions and, on a CPU, eager attention; all as before when the block ends,
    however it ends."""
    with fused_activations(model), short_row_attention(model):
        yield


@contextmanager
def fused_activations(model: nn.Module) -> Iterator[None]:
    """GPT-2's approximation of GELU, which transformers composes of eight elementary operations,
    is torch's own kernel: three times as fast with its gradient. Modules with hooks of their own
    stay as they are."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            has_hooks = child._forward_hooks or child._forward_pre_hooks
            if isinstance(child, NewGELUActivation) and not has_hooks:
                replaced.append((parent, name, child))
    try:
        for parent, name, _ in replaced:
            setattr(parent, name, nn.GELU(approximate="tanh"))
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


@contextmanager
def short_row_attention(model: nn.Module) -> Iterator[None]:
    """Eager attention on a CPU, where the fused kernel's gradient is slow on short rows."""
    device = next(model.parameters()).device
    before = getattr(model.config, "_attn_implementation", _EAGER)
    if device.type != "cpu" or before == _EAGER or not isinstance(model, PreTrainedModel):
        yield
        return
    model.set_attn_implementation(_EAGER)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
