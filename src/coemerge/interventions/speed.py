"""Faster kernels and shorter passes: the same functions, equal up to rounding."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from coemerge.interventions.architecture import LAYOUTS, ModuleMap

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
def last_positions_alone(model: nn.Module, n: int) -> Iterator[None]:
    """The MLP of the last layer runs at the last ``n`` positions alone, for passes whose logits
    nobody reads elsewhere: it adds nothing to the residual of the others.

    An MLP that anything is hooked onto, and one of an architecture that is not known, runs whole.
    """
    if getattr(getattr(model, "config", None), "model_type", None) not in LAYOUTS:
        yield
        return
    modules = ModuleMap(model)
    mlp = modules.mlp(modules.n_layers - 1)
    if any(part._forward_hooks or part._forward_pre_hooks for part in mlp.modules()):
        yield
        return

    n_spared = 0

    def cut(_mlp: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal n_spared
        n_spared = max(args[0].shape[1] - n, 0)
        return args[0][:, n_spared:].contiguous(), *args[1:]

    def fill(_mlp: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        return functional.pad(output, (0, 0, n_spared, 0))

    handles = [mlp.register_forward_pre_hook(cut), mlp.register_forward_hook(fill)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
