"""Faster kernels and shorter passes: the same functions, equal up to rounding."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.pytorch_utils import Conv1D

from coemerge.interventions.architecture import LAYOUTS, ModuleMap


@contextmanager
def fast_passes(model: nn.Module) -> Iterator[None]:
    """Fused activation functions and, on a CPU, eager attention; all as before when the block ends,
    however it ends."""
    with fused_activations(model), short_row_attention(model):
        yield


@contextmanager
def fused_activations(model: nn.Module) -> Iterator[None]:
    """GPT-2's approximation of GELU, which transformers composes of eight elementary operations,
    is torch's own kernel: three times as fast with its gradient. Without gradients, it is done
    together with the linear map before it. Modules with hooks of their own stay as they are."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, NewGELUActivation) and is_plain(child):
                replaced.append((parent, name, child))
    try:
        with ExitStack() as stack:
            for parent, name, _ in replaced:
                linear = parent.c_fc if isinstance(parent, GPT2MLP) else None
                if isinstance(linear, Conv1D) and is_plain(linear):
                    stack.enter_context(_followed_by_gelu(linear))
                    setattr(parent, name, nn.Identity())
                else:
                    setattr(parent, name, nn.GELU(approximate="tanh"))
            yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


@contextmanager
def _followed_by_gelu(linear: Conv1D) -> Iterator[None]:
    """The module's output goes through GELU. On a CPU, oneDNN computes both in one kernel, where
    torch's GELU takes as long as the matrix product."""

    def forward(x: Tensor) -> Tensor:
        if _one_dnn_takes(x, linear):
            weight, bias = linear.weight.T, linear.bias
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "tanh")
        return functional.gelu(Conv1D.forward(linear, x), approximate="tanh")

    linear.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del linear.forward


def _one_dnn_takes(x: Tensor, linear: Conv1D) -> bool:
    has_gradient = any(part.requires_grad for part in (x, linear.weight, linear.bias))
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not (torch.is_grad_enabled() and has_gradient)
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


def is_plain(module: nn.Module) -> bool:
    """Nothing is hooked onto the module, and it computes what its class does."""
    has_hooks = module._forward_hooks or module._forward_pre_hooks
    return not has_hooks and "forward" not in vars(module)


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
    if not all(is_plain(part) for part in mlp.modules()):
        yield
        return

    def cut(x: Tensor) -> Tensor:
        return x[:, -n:].contiguous()

    def fill(output: Tensor, x: Tensor) -> Tensor:
        return functional.pad(output, (0, 0, x.shape[1] - output.shape[1], 0))

    with _on_a_part(mlp, cut, fill):
        yield


@contextmanager
def positions_alone(model: nn.Module, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """The MLP of the last layer and the unembedding run at some positions alone: the logits are
    those of ``rows`` and ``columns``, indices of one shape, and follow it. Raises ValueError for
    an architecture that is not known."""
    modules = ModuleMap(model)

    def cut(x: Tensor) -> Tensor:
        return x[rows, columns]

    def fill(output: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x).index_put((rows, columns), output)

    with (
        _on_a_part(modules.mlp(modules.n_layers - 1), cut, fill),
        _on_a_part(modules.unembedding, cut),
    ):
        yield


@contextmanager
def _on_a_part(
    module: nn.Module,
    cut: Callable[[Tensor], Tensor],
    fill: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[None]:
    """The module is given a part of its input x; ``fill(output, x)`` makes the rest of its
    output."""
    whole: list[Tensor] = []

    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        whole.append(args[0])
        return cut(args[0]), *args[1:]

    def after(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        x = whole.pop()
        return output if fill is None else fill(output, x)

    handles = [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def short_row_attention(model: nn.Module) -> Iterator[None]:
    """Eager attention on a CPU, where the fused kernel's gradient is slow on short rows."""
    with _attention(model, "sdpa", "eager"):
        yield


@contextmanager
def long_row_attention(model: nn.Module) -> Iterator[None]:
    """On a CPU the fused kernel, for passes without gradients, where the model knows it."""
    with _attention(model, "eager", "sdpa"):
        yield


@contextmanager
def _attention(model: nn.Module, is_now: str, becomes: str) -> Iterator[None]:
    device = next(model.parameters()).device
    before = getattr(model.config, "_attn_implementation", None)
    if device.type != "cpu" or before != is_now or not isinstance(model, PreTrainedModel):
        yield
        return
    if becomes == "sdpa" and not model._supports_sdpa:
        yield
        return
    model.set_attn_implementation(becomes)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
