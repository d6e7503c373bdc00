"""What an edit of weights is: low-rank changes of MLP down-projections (methods 2.10).

W is the down-projection [d,m], ``mlp_out = W mlp_act``, however the architecture stores it; in
post-norm blocks the raw projection, before the norm. Nothing here writes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coemerge.interventions.architecture import ModuleMap


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """``U V^T``, to be added to W: ``left`` is U [d,r], ``right`` is V [m,r].

    Raises ValueError if the two are no matrices of one rank, or hold values that are not finite.
    """

    left: Tensor
    right: Tensor

    def __post_init__(self) -> None:
        shapes = list(self.left.shape), list(self.right.shape)
        if self.left.ndim != 2 or self.right.ndim != 2 or shapes[0][1] != shapes[1][1]:
            raise ValueError(
                f"a low-rank delta needs U [d,r] and V [m,r] of one rank r, not {shapes[0]} and "
                f"{shapes[1]}"
            )
        for name, factor in (("U", self.left), ("V", self.right)):
            if not factor.is_floating_point() or not factor.isfinite().all():
                raise ValueError(
                    f"{name} of a low-rank delta must hold finite floating-point values; "
                    f"it is {str(factor.dtype).removeprefix('torch.')} {list(factor.shape)}"
                )


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Per layer, ``W <- W`` with the columns of ``erased[layer]`` at zero, ``+ deltas[layer]``.

    ``deltas``: layer -> ``LowRank``. ``erased``: layer -> bool [m], True for a neuron whose
    outgoing weights vanish: a delta of rank n for n neurons, kept as what it is, since as two
    factors it would take d * n values and end at zero only up to rounding. Layers in neither stay
    as they are; ``Edit()`` does nothing.
    """

    deltas: Mapping[int, LowRank] = field(default_factory=dict)
    erased: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for layer, neurons in self.erased.items():
            if neurons.dtype != torch.bool or neurons.ndim != 1:
                raise ValueError(
                    f"the erased neurons of layer {layer} must be bool [m], not "
                    f"{str(neurons.dtype).removeprefix('torch.')} {list(neurons.shape)}"
                )

    @property
    def layers(self) -> list[int]:
        """Those it changes, ascending."""
        return sorted({*self.deltas, *self.erased})

    @property
    def is_empty(self) -> bool:
        return not self.deltas and not self.erased

    @property
    def n_values(self) -> int:
        """Numbers in its factors, of all layers: what it takes to hold it."""
        deltas = sum(d.left.numel() + d.right.numel() for d in self.deltas.values())
        return deltas + sum(neurons.numel() for neurons in self.erased.values())


def check_edits(modules: ModuleMap, edits: Iterable[Edit]) -> None:
    """Raises ValueError, naming the layer, if an edit does not fit the model.

    A down-projection whose weight is in use elsewhere too, in another layer or another module, is
    refused: a change for one place would be a change everywhere.
    """
    edits = list(edits)
    for layer in sorted({layer for edit in edits for layer in edit.layers}):
        if not 0 <= layer < modules.n_layers:
            raise ValueError(
                f"an edit changes layer {layer}; the model's layers are 0 to {modules.n_layers - 1}"
            )
        _check_weight(modules, layer)
        for edit in edits:
            _check_shapes(modules, edit, layer)


def _check_shapes(modules: ModuleMap, edit: Edit, layer: int) -> None:
    d, m = modules.d_model, modules.d_mlp
    if layer in edit.deltas:
        delta = edit.deltas[layer]
        if (delta.left.shape[0], delta.right.shape[0]) != (d, m):
            raise ValueError(
                f"layer {layer}: a delta of U {list(delta.left.shape)} and V "
                f"{list(delta.right.shape)} does not fit; needs U [{d}, r] and V [{m}, r]"
            )
    if layer in edit.erased and edit.erased[layer].shape != (m,):
        found = list(edit.erased[layer].shape)
        raise ValueError(f"layer {layer}: erased neurons {found} do not fit; needs bool [{m}]")


def _check_weight(modules: ModuleMap, layer: int) -> None:
    weight = modules.down_projection(layer).weight
    assert isinstance(weight, Tensor)
    if not weight.is_floating_point():
        raise ValueError(
            f"layer {layer}: the down-projection holds {weight.dtype}, which cannot be edited; "
            "load the model without quantization"
        )
    holders = [
        name
        for name, parameter in modules.model.named_parameters(remove_duplicate=False)
        if parameter is weight
    ]
    if len(holders) > 1:
        raise ValueError(
            f"layer {layer}: the weight of its down-projection is shared ({', '.join(holders)}), "
            "so that an edit there would change all of them; give each a weight of its own"
        )
