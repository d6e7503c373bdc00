"""Function factories: an activation blended with, or held at, other values (methods 2.7, 2.8).

Activations are [B,T,C,...] with the components (heads, neurons, channels) on axis 2: ``head_out``
is [B,T,H,d_h], ``mlp_act`` [B,T,m].
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from coemerge.interventions.placement import Function
from coemerge.interventions.sites import Site


def blend(
    gate: Tensor, reference: Tensor | float = 0.0, positions: Tensor | None = None
) -> Function:
    """``x <- (1-g) x + g x_ref``, at ``positions`` only.

    * ``gate``: [C], or [B,C] to put every batch row under a mask of its own; the same at all
      positions.
    * ``reference``: 0; a mean per component [C,...]; or another run's activation, [B,T,...] or
      [1,T,...].
    * ``positions``: bool [B,T] or [1,T]; None is everywhere, and the only choice that fits every
      chunk when tokens are generated one by one.

    Computed by ``torch.lerp``, one pass that starts from the nearer end, ``x + g*(x_ref-x)`` or
    ``x_ref - (1-g)*(x_ref-x)``: so it is exactly x at g=0 and exactly x_ref at g=1 (the first form
    alone rounds there), and linear in between, with gradient ``x_ref - x`` for the gate. Outside
    ``positions`` x is taken as it is.

    The function raises ValueError where shapes do not fit the activation.
    """

    def blended(x: Tensor) -> Tensor:
        mixed = torch.lerp(x, _reference_like(x, reference), _gate_like(x, gate))
        return mixed if positions is None else torch.where(_positions_like(x, positions), mixed, x)

    return blended


def freeze(values: Mapping[Site, Tensor], positions: Tensor | None = None) -> dict[Site, Function]:
    """Holds each site at the given value, bit for bit; with ``positions`` [B,T] only there.

    Values are [B,T,...] or [1,T,...], for instance those captured in a corrupted run (severing) or
    in the clean one (restoring).
    """

    def held(value: Tensor) -> Function:
        def hold(x: Tensor) -> Tensor:
            kept = _reference_like(x, value).expand_as(x)
            if positions is None:
                return kept
            return torch.where(_positions_like(x, positions), kept, x)

        return hold

    return {site: held(value) for site, value in values.items()}


def _gate_like(x: Tensor, gate: Tensor) -> Tensor:
    """[C] or [B,C] -> broadcastable to x, [1 or B, 1, C, 1...]."""
    n_rows, n_components = x.shape[0], x.shape[2]
    if gate.shape not in ((n_components,), (1, n_components), (n_rows, n_components)):
        raise ValueError(
            f"a gate of shape {list(gate.shape)} does not fit: needs [{n_components}], or "
            f"[{n_rows}, {n_components}] with one mask per row"
        )
    rows = gate.reshape(-1, 1, n_components)
    return rows.reshape(*rows.shape, *[1] * (x.ndim - 3)).to(x)


def _reference_like(x: Tensor, reference: Tensor | float) -> Tensor:
    """Broadcastable to x, of its type and on its device."""
    if not isinstance(reference, Tensor):
        return x.new_tensor(reference)
    one_run = x.shape[1:]
    if reference.shape not in (x.shape[2:], x.shape, (1, *one_run)):
        raise ValueError(
            f"a reference of shape {list(reference.shape)} does not fit: needs "
            f"{list(x.shape[2:])}, {list(x.shape)} or {[1, *one_run]} (tokens must match one to "
            "one; of generated tokens only the current chunk is seen)"
        )
    return reference.to(x)


def _positions_like(x: Tensor, positions: Tensor) -> Tensor:
    n_rows, n_positions = x.shape[:2]
    if positions.dtype != torch.bool or positions.shape not in (
        (n_rows, n_positions),
        (1, n_positions),
    ):
        raise ValueError(
            f"positions must be bool [{n_rows}, {n_positions}] for this pass, not "
            f"{positions.dtype} {list(positions.shape)}"
        )
    return positions.to(x.device).reshape(*positions.shape, *[1] * (x.ndim - 2))
