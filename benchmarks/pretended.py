"""A device that is not there: tensors on it are computed on the CPU, but the program is told that
they lie elsewhere, and everything that would make it wait for a GPU is counted.

``item()``, ``bool()``, copies to and fro, and operations whose result has a size that only the
device knows all pass torch's dispatcher, as they would with CUDA, with the device of each tensor.
What a GPU's queue would do meanwhile is not imitated: this counts, and times nothing.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

import coemerge

NAME = "pretended"
_SOURCE = str(Path(coemerge.__file__).parent)
_BY_LOOKING = {  # the size of the result, or the result itself, is known when the device is done
    *("_local_scalar_dense", "nonzero", "masked_select", "equal", "bincount"),
    "_linalg_check_errors",
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
}  # fmt: skip
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
_COPYING = ("_to_copy", "copy_", "_copy_from")


@dataclass(frozen=True)
class Wait:
    """``read``: the host waits for a result. ``upload``: it waits until everything before is done,
    to copy from memory that may be swapped out (``non_blocking`` does not). ``where``: file and
    line, of this package where there is one on the way."""

    kind: Literal["read", "upload"]
    operation: str
    where: str


class Elsewhere(Tensor):
    """A tensor of the device; ``values`` has its numbers."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "Elsewhere":
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=torch.device(NAME, 0),
        )

    def __init__(self, values: Tensor) -> None:
        self.values = values

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        raise RuntimeError(f"{func} of a tensor on {NAME}, outside of ``pretended_device``")

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self, **_named: Any) -> str:  # type: ignore[override]
        return f"Elsewhere({self.values!r})"


@dataclass
class Watch(TorchDispatchMode):
    """Runs every operation on the CPU, and notes in ``waits`` those that a GPU's host waits for."""

    waits: list[Wait] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def device(self) -> torch.device:
        return torch.device(NAME, 0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        theirs = {id(x.values): x for x in given if isinstance(x, Elsewhere)}
        name = func.overloadpacket.__name__
        to = kwargs.get("device")
        if name == "copy_":
            to = args[0].device
        kind = _kind(name, args, kwargs, bool(theirs), to)
        if kind is not None:
            self.waits.append(Wait(kind, name, _where()))
        stays = to is None or to.type == NAME
        found = func(*tree_map(_here, args), **tree_map(_here, kwargs))
        if not stays or not (theirs or to is not None):
            return found

        def there(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            known = theirs.get(id(x))
            return Elsewhere(x) if known is None else known

        return tree_map(there, found)


def _here(x: Any) -> Any:
    if isinstance(x, Elsewhere):
        return x.values
    return torch.device("cpu") if isinstance(x, torch.device) else x


def _kind(
    name: str, args: tuple, named: dict[str, Any], takes_theirs: bool, to: torch.device | None
) -> Literal["read", "upload"] | None:
    if name in _COPYING:
        source = args[1] if name == "copy_" else args[0]
        if not source.numel():
            return None
        is_there, goes_there = isinstance(source, Elsewhere), to is None or to.type == NAME
        if is_there:
            return None if goes_there else "read"
        if to is None or to.type != NAME or (source.ndim == 0 and name == "copy_"):
            return None
        does_not_wait = named.get("non_blocking") or (name == "copy_" and args[2:] == (True,))
        return None if does_not_wait else "upload"
    if not takes_theirs:
        return None
    if name in _BY_LOOKING or (name == "repeat_interleave" and _is_unsized(args, named)):
        return "read"
    return _kind_of_indexing(args) if name in _INDEXING else None


def _is_unsized(args: tuple, named: dict[str, Any]) -> bool:
    return named.get("output_size") is None and isinstance(args[0], Elsewhere)


def _kind_of_indexing(args: tuple) -> Literal["read", "upload"] | None:
    """A mask is made indices, unless a single number fills what it selects; indices of the host
    are copied."""
    indices = [x for x in args[1] if isinstance(x, Tensor)]
    is_filled = len(args) > 2 and isinstance(args[2], Tensor) and args[2].numel() == 1
    if any(x.dtype in (torch.bool, torch.uint8) for x in indices) and not is_filled:
        return "read"
    return None if all(isinstance(x, Elsewhere) for x in indices) else "upload"


def _where() -> str:
    """The line of this package that is being run, and the innermost one of others, torch aside."""
    frame: FrameType | None = sys._getframe(2)
    outer = ""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_SOURCE):
            place = f"{path.removeprefix(_SOURCE)[1:]}:{frame.f_lineno}"
            return f"{place} by {outer}" if outer else place
        if not outer and path != __file__ and "/torch/" not in path:
            outer = f"{'/'.join(Path(path).parts[-2:])}:{frame.f_lineno}"
        frame = frame.f_back
    return outer


class _Module(_DummyBackendModule):
    """What torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def is_bf16_supported(self) -> bool:
        return True

    def synchronize(self, device: object = None) -> None: ...


@cache
def _register() -> None:
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())


@contextmanager
def pretended_device() -> Iterator[Watch]:
    """Within, tensors can be made on and moved to ``device`` of what is yielded, whose ``waits``
    grow. Tensors of the device are of no use outside."""
    _register()
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # so that torch.tensor(..., device=...) copies
    try:
        # One thread: torch counts devices at its first backward pass, which may be long over.
        with torch.autograd.set_multithreading_enabled(False), Watch() as watch:
            yield watch
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
