"""A model is left as it was found, by an analysis amid training too, and also when it raises."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

WeightCheck = Literal["unchecked", "checksum", "bitwise"]
_AS_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@contextmanager
def unchanged(model: nn.Module, weights: WeightCheck = "checksum") -> Iterator[None]:
    """Restores every module's mode and every parameter's ``requires_grad`` and ``grad``.

    Gradients are set aside meanwhile, so that a backward pass inside does not add to those of a
    training step. At the end it verifies that no hook was left and none taken off, that the
    attention function is the same, and that parameters and buffers are what they were:
    ``checksum`` sums the bits of each tensor (one pass, no memory; blind to a mere exchange of
    values within a tensor), ``bitwise`` compares with a copy.

    Raises RuntimeError naming what differs, unless the block itself raised. transformers leaves
    hooks of its own on a model that it is asked ``output_attentions`` or ``output_hidden_states``
    of: read those through ``capture``.
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    before = _state(model, weights)
    try:
        for parameter, _, _ in flags:
            parameter.grad = None
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, requires_grad, grad in flags:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
    after = _state(model, weights)
    differing = sorted(
        key for key in before.keys() | after.keys() if not _same(before.get(key), after.get(key))
    )
    if differing:
        raise RuntimeError(f"the model was not left as found: {', '.join(differing)}")


def _state(model: nn.Module, weights: WeightCheck) -> dict[str, object]:
    """What must be the same afterwards, under names that a message can show."""
    implementation = getattr(getattr(model, "config", None), "_attn_implementation", None)
    state: dict[str, object] = {"attention implementation": implementation}
    for name, module in model.named_modules():
        state[f"forward hooks of {name or 'the model'}"] = tuple(module._forward_hooks)
        state[f"forward pre-hooks of {name or 'the model'}"] = tuple(module._forward_pre_hooks)
    if weights != "unchecked":
        digest = _checksum if weights == "checksum" else lambda x: x.detach().clone()
        tensors = [*model.named_parameters(), *model.named_buffers()]
        state |= {f"values of {name}": digest(x) for name, x in tensors}
    return state


def _checksum(x: Tensor) -> Tensor:
    """Sum of a tensor's bits read as integers, modulo 2^64; stays on the device until compared."""
    bits = x.detach().contiguous().view(_AS_INTEGERS[x.element_size()])
    return torch.stack((bits.sum(dtype=torch.int64), torch.tensor(bits.numel(), device=x.device)))


def _same(before: object, after: object) -> bool:
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return before.shape == after.shape and torch.equal(_bits(before), _bits(after))
    return before == after


def _bits(x: Tensor) -> Tensor:
    """NaN equals itself, and 0.0 is not -0.0."""
    return x.contiguous().view(_AS_INTEGERS[x.element_size()])
