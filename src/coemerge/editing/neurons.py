"""Edits of knowledge neurons: what they write is erased, or one answer's embedding replaced by
another's (methods 2.10 "KN edit", 5.3).

W is the MLP down-projection [d,m]; its column n is what neuron n writes into the residual (before
any post-norm). A set without neurons gives the edit that does nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit, LowRank


def erase(model: nn.Module, neurons: Tensor) -> Edit:
    """``W[:,n] <- 0`` for ``neurons`` bool [L,m]. Raises ValueError if they do not fit."""
    return erase_each(model, neurons[None])[0]


def erase_each(model: nn.Module, neurons: Tensor) -> list[Edit]:
    """``erase`` for each of many sets, ``neurons`` bool [E,L,m]."""
    layers = _layers_of_sets(model, neurons)
    return [
        Edit(erased={layer: own[layer] for layer in touched})
        for own, touched in zip(neurons, layers, strict=True)
    ]


def update(
    model: nn.Module,
    neurons: Tensor,
    old_id: int,
    new_id: int,
    lambdas: tuple[float, float] = (2.0, 2.0),
) -> Edit:
    """``W[:,n] <- W[:,n] - lambda_1 e(old) + lambda_2 e(new)`` for ``neurons`` bool [L,m]; rank 1
    per layer.

    e is the token's embedding row; where embedding and unembedding are not tied, its unembedding
    row, the direction that raises its logit. ``old_id``: what the model answers now (its top-1),
    which need not be the right answer.

    Raises ValueError for neurons that do not fit or a token outside the vocabulary.
    """
    return update_each(model, neurons[None], [old_id], [new_id], lambdas)[0]


def update_each(
    model: nn.Module,
    neurons: Tensor,
    old_ids: Sequence[int],
    new_ids: Sequence[int],
    lambdas: tuple[float, float] = (2.0, 2.0),
) -> list[Edit]:
    """``update`` for each of many sets: ``neurons`` bool [E,L,m], token ids [E]."""
    layers = _layers_of_sets(model, neurons)
    rows = projection_matrix(ModuleMap(model).unembedding).detach().T  # [V,d]; tied: the embedding
    _check_tokens(rows.shape[0], old_ids=old_ids, new_ids=new_ids, n_sets=len(neurons))
    old, new = (
        torch.as_tensor(ids, dtype=torch.long, device=rows.device) for ids in (old_ids, new_ids)
    )
    change = lambdas[1] * rows[new] - lambdas[0] * rows[old]  # [E,d]
    members = neurons.to(change)
    return [
        Edit({layer: LowRank(change[e, :, None], members[e, layer, :, None]) for layer in touched})
        for e, touched in enumerate(layers)
    ]


def _layers_of_sets(model: nn.Module, neurons: Tensor) -> list[list[int]]:
    """Per set, the layers that it has neurons in."""
    modules = ModuleMap(model)
    shape = (modules.n_layers, modules.d_mlp)
    if neurons.dtype != torch.bool or neurons.ndim != 3 or neurons.shape[1:] != shape:
        raise ValueError(
            f"neurons must be bool {list(shape)} for this model, one set or a stack of them, not "
            f"{str(neurons.dtype).removeprefix('torch.')} {list(neurons.shape)}"
        )
    has_any = neurons.any(2).tolist()
    return [[layer for layer, found in enumerate(own) if found] for own in has_any]


def _check_tokens(n_vocab: int, n_sets: int, **ids: Sequence[int]) -> None:
    for name, values in ids.items():
        if len(values) != n_sets:
            raise ValueError(f"{name} holds {len(values)} tokens for {n_sets} sets of neurons")
        outside = [int(token) for token in values if not 0 <= token < n_vocab]
        if outside:
            raise ValueError(f"{name}: {outside} are not tokens; there are 0 to {n_vocab - 1}")
