"""A model spread over devices (fully sharded data parallelism, FSDP2), and its whole weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from coemerge.interventions.architecture import ModuleMap


def shard(model: nn.Module, mesh: Any) -> None:
    """Each decoder block is gathered when it runs and given up again; embeddings and the rest stay
    gathered during a step. Raises ValueError for an architecture whose blocks are not known."""
    if is_sharded(model):
        return
    try:
        blocks = ModuleMap(model).layers
    except ValueError as error:
        raise ValueError(f"trainer.strategy=fsdp: {error}") from error
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def is_sharded(model: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def whole_tensor(tensor: Tensor) -> Tensor:
    """Gathered where it is spread: all processes have to call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict, of a spread model gathered on the CPU: all processes have to call this. Names
    that share a tensor share it here, too."""
    state: dict[str, Tensor] = model.state_dict()
    if not is_sharded(model):
        return state
    gathered: dict[int, Tensor] = {}
    for tensor in state.values():
        key = _place(tensor)
        if key not in gathered:
            gathered[key] = whole_tensor(tensor.detach()).cpu()
    return {name: gathered[_place(tensor)] for name, tensor in state.items()}


def _place(tensor: Tensor) -> int:
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return local.data_ptr() or id(tensor)  # nothing of some tensors lies on this device
