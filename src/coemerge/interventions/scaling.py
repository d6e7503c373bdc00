"""Function factories: chosen neurons, or chosen columns of attention, times a factor (methods 5.4).

0 suppresses, 2 enhances, 1 changes no bit. Every batch row has a choice of its own.
"""

import torch
from torch import Tensor

from coemerge.interventions.blend import blend
from coemerge.interventions.placement import Function
from coemerge.interventions.sites import Site


def scale_neurons(
    neurons: Tensor, factor: float, positions: Tensor | None = None
) -> dict[Site, Function]:
    """Functions for ``intervene`` that multiply the neurons of bool [B,L,m] by ``factor``.

    ``positions``: bool [B,T], see ``blend``; None is everywhere. Factor 0 is ``gates.ablate`` to 0.
    Raises ValueError for another shape, and the functions where it does not fit the activation.
    """
    _check(neurons, "neurons", "[B,L,m]", 3)

    def scaled(chosen: Tensor) -> Function:
        # a gate of 1 - f towards 0, made when it is needed: all layers' at once, as numbers, would
        # take four times the memory of the choice
        return lambda x: blend(chosen * (1 - factor), 0.0, positions)(x)

    return {
        Site("mlp_act", layer): scaled(chosen) for layer, chosen in enumerate(neurons.unbind(1))
    }


def scale_columns(
    columns: Tensor, factor: float, renormalise: bool = False
) -> dict[Site, Function]:
    """Functions for ``intervene`` that multiply what all queries pay to the keys of bool [B,L,H,T]
    by ``factor``.

    Rows no longer sum to 1 then, so that the mixture of values shrinks or grows; ``renormalise``
    gives each row its former sum again, whatever is left of it (a row with nothing left stays 0).
    The model needs eager attention, see ``attention.eager_attention``.

    Raises ValueError for another shape, and the functions where it does not fit the pattern.
    """
    _check(columns, "columns", "[B,L,H,T]", 4)

    def scaled(chosen: Tensor) -> Function:
        def scale(pattern: Tensor) -> Tensor:
            n_rows, n_heads, _, n_keys = pattern.shape
            if chosen.shape != (n_rows, n_heads, n_keys):
                raise ValueError(
                    f"columns of shape {list(chosen.shape)} in this layer do not fit: needs "
                    f"{[n_rows, n_heads, n_keys]}"
                )
            at = chosen.to(pattern.device)[:, :, None]
            changed = torch.where(at, pattern * factor, pattern)
            return _with_sums_of(pattern, changed) if renormalise else changed

        return scale

    return {
        Site("attn_pattern", layer): scaled(chosen)
        for layer, chosen in enumerate(columns.unbind(1))
    }


def _with_sums_of(pattern: Tensor, changed: Tensor) -> Tensor:
    """``changed`` with the row sums of ``pattern``; equal sums are a ratio of exactly 1."""
    sums = changed.sum(-1, keepdim=True)
    ratio = torch.where(sums > 0, pattern.sum(-1, keepdim=True) / sums, 1.0)
    return changed * ratio.to(pattern.dtype)


def _check(chosen: Tensor, name: str, shape: str, n_axes: int) -> None:
    if chosen.dtype != torch.bool or chosen.ndim != n_axes:
        raise ValueError(
            f"{name} must be bool {shape}, a choice per batch row, not {chosen.dtype} "
            f"{list(chosen.shape)}"
        )
