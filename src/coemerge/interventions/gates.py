"""The gates of all heads and neurons at once, for masks (methods 2.7, 3.5)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.blend import blend
from coemerge.interventions.placement import Function
from coemerge.interventions.sites import Site, gated_sites


@dataclass(frozen=True, slots=True)
class Gates:
    """One gate per head and per neuron: 0 leaves it alone, 1 replaces it.

    ``heads`` [L,H] and ``neurons`` [L,m] are one mask; [J,L,H] and [J,L,m] are J masks. Raises
    ValueError if the two disagree on J or L.
    """

    heads: Tensor
    neurons: Tensor

    def __post_init__(self) -> None:
        shapes = list(self.heads.shape), list(self.neurons.shape)
        if self.heads.ndim not in (2, 3) or shapes[0][:-1] != shapes[1][:-1]:
            raise ValueError(
                f"gates of heads {shapes[0]} and neurons {shapes[1]}: need [L,H] with [L,m], or "
                "[J,L,H] with [J,L,m]"
            )

    @classmethod
    def filled(cls, model: nn.Module, value: float) -> "Gates":
        """[L,H] and [L,m] of one value, on the model's device."""
        modules = ModuleMap(model)
        device = next(model.parameters()).device
        heads = torch.full((modules.n_layers, modules.n_heads), value, device=device)
        return cls(heads, torch.full((modules.n_layers, modules.d_mlp), value, device=device))

    @property
    def n_layers(self) -> int:
        return self.heads.shape[-2]

    def for_rows(self, mask_of_row: Tensor) -> "Gates":
        """Gates per batch row [B,L,...] from those of J masks: row b under ``mask_of_row[b]``."""
        if self.heads.ndim != 3:
            raise ValueError(f"heads {list(self.heads.shape)} are one mask; rows choose among J")
        return Gates(self.heads[mask_of_row], self.neurons[mask_of_row])


def ablate(
    gates: Gates, references: Mapping[Site, Tensor] | None = None, positions: Tensor | None = None
) -> dict[Site, Function]:
    """Functions for ``intervene`` that replace gated components by 0 or by ``references``.

    ``gates``: one mask for the whole batch, or one per batch row (see ``for_rows``).
    ``references``: for every ``head_out.l`` and ``mlp_act.l`` the mean, or another run's
    activation; other sites in it are ignored. ``positions``: see ``blend``.

    Raises ValueError if a layer's reference is missing: it would pass for an ablation to 0.
    """
    functions: dict[Site, Function] = {}
    for layer, heads, neurons in gated_sites(gates.n_layers):
        for site, gate in ((heads, gates.heads), (neurons, gates.neurons)):
            if references is not None and site not in references:
                raise ValueError(f"there is no reference for {site}")
            reference = 0.0 if references is None else references[site]
            functions[site] = blend(gate[..., layer, :], reference, positions)
    return functions


def patch(
    gates: Gates, clean: Mapping[Site, Tensor], positions: Tensor | None = None
) -> dict[Site, Function]:
    """Functions for a run of the *corrupted* prompt: gated components get their clean values.

    ``clean``: captured in the clean run, tokens aligned one to one. Raises as ``ablate``.
    """
    return ablate(gates, clean, positions)


def component_sites(model: nn.Module) -> list[Site]:
    """The sites that gates act on, to be captured or averaged: all heads and neurons."""
    pairs = gated_sites(ModuleMap(model).n_layers)
    return [site for _, heads, neurons in pairs for site in (heads, neurons)]
