"""Forward passes that begin at a later layer, from a residual that is known already."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site

_FORWARD = "forward"


@contextmanager
def start_at(model: nn.Module, layer: int, residual: Tensor) -> Iterator[None]:
    """In passes inside the block, ``layer`` reads ``residual`` and no layer below is computed.

    ``residual``: ``resid_pre`` of that layer, expandable to [B,T,d]. Layers below hand on what
    they receive; sites inside of them do not fire. The model has its layers back when the block
    ends, however it ends. Raises as ``intervene``.
    """
    with _skipping(model, layer, Site("resid_pre", layer), residual):
        yield


@contextmanager
def start_after(model: nn.Module, layer: int, residual: Tensor) -> Iterator[None]:
    """As ``start_at``, but ``layer`` is not computed either: ``residual`` is its ``resid_post``."""
    with _skipping(model, layer + 1, Site("resid_post", layer), residual):
        yield


@contextmanager
def _skipping(model: nn.Module, n_layers: int, site: Site, residual: Tensor) -> Iterator[None]:
    with intervene(model, {site: lambda x: residual.expand_as(x)}):
        below = list(ModuleMap(model).layers)[:n_layers]
        # An attribute of the module itself comes before the method of its class.
        own = [module.__dict__.get(_FORWARD) for module in below]
        try:
            for module in below:
                module.__dict__[_FORWARD] = _hand_on
            yield
        finally:
            for module, forward in zip(below, own, strict=True):
                module.__dict__.pop(_FORWARD, None)
                if forward is not None:
                    module.__dict__[_FORWARD] = forward


def _hand_on(residual: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return residual
