"""Edits spread over several layers, of one request or of many at once (MEMIT; methods 2.10).

A target is found for the residual after the last of the layers; each layer in turn then realises
its share of what is missing. Axes: E requests, G edits (groups of requests), d residual width, m
MLP width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coemerge.editing.keys import KeyMoment, check_moment, solved, subject_states
from coemerge.editing.objective import post_norm, projected
from coemerge.editing.outcome import Outcome, outcomes
from coemerge.editing.requests import Goal, Ids, Request, check_layers
from coemerge.editing.value_config import MEMIT, ValueConfig
from coemerge.editing.values import optimise_values
from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.edits import Edit, LowRank
from coemerge.interventions.guard import unchanged
from coemerge.interventions.sites import Site


def memit(
    model: nn.Module,
    requests: Sequence[Request],
    layers: Sequence[int],
    contexts: Sequence[Ids] = ((),),
    moments: dict[int, KeyMoment] | None = None,
    weight: float = 20_000.0,
    config: ValueConfig = MEMIT,
    together: bool = False,
    show_progress: bool = False,
) -> list[Outcome]:
    """One edit per request, independent of the others; or, ``together``, one edit that serves all,
    which every outcome then holds.

    A subject inside its prompt can be edited below the model's last layer only: above, no answer
    reads it, and the edit is noise.

    ``layers`` ascend; each changes a rank of as many as its requests. ``contexts``: prefixes, the
    empty one first. ``moments``: C of every layer; None takes C = I. ``weight``: lambda, how much
    ordinary keys count against requested ones; published for GPT-2 XL, to be tuned for others
    (10 to 10,000). Where a post-norm follows the MLP, which fixes how long its output is, a layer
    realises its share to first order only. A request that diverges is left out. The model is left
    as found.

    Raises ValueError for requests, layers, contexts, settings or C that do not fit.
    """
    check_layers(model, layers)
    if not weight > 0:
        raise ValueError(f"weight: lambda must be above 0, got {weight!r}")
    for layer in layers:
        if moments is not None and layer not in moments:
            raise ValueError(f"moments: there is none of layer {layer}, one of the edited ones")
        check_moment(model, layer, None if moments is None else moments[layer])
    before, found = optimise_values(
        model, requests, contexts, layers[-1], "residual", config, show_progress
    )
    usable = found.values.isfinite().all(1) & ~found.diverged
    chosen = usable.nonzero()[:, 0].tolist()
    goals, target = [requests[e].goal for e in chosen], (before + found.values)[usable]
    groups = [list(range(len(chosen)))] if together else [[e] for e in range(len(chosen))]
    with unchanged(model, "unchecked"):
        model.eval()
        edits = _spread(model, goals, target, groups, layers, contexts, moments, weight)
    of_request: list[Edit | None] = [None] * len(requests)
    for place, e in enumerate(chosen):
        of_request[e] = edits[0 if together else place]
    return outcomes(model, requests, of_request, found)


def shares(change: Tensor, keys: Tensor, moment: KeyMoment | None, weight: float) -> LowRank:
    """``R K^T (lambda C + K K^T)^-1`` for R = ``change`` [E,d] and K = ``keys`` [E,m], as a map of
    rank E: what takes the keys nearest to the changes without disturbing ordinary keys.

    Computed as ``R (lambda I + X K^T)^-1 X`` with X = K^T C^-1 (Woodbury), so that C, however many
    edits there are, is divided by once per key. float64. Raises ValueError if it is not finite.
    """
    exact = keys.double().cpu()
    x = solved(moment, exact)
    gram = x @ exact.T
    right = torch.linalg.solve(gram.T + weight * torch.eye(len(keys), dtype=torch.float64), x)
    return LowRank(change.T.contiguous(), right.T.to(change).contiguous())


def _spread(
    model: nn.Module,
    goals: Sequence[Goal],
    target: Tensor,
    groups: Sequence[Sequence[int]],
    layers: Sequence[int],
    contexts: Sequence[Ids],
    moments: dict[int, KeyMoment] | None,
    weight: float,
) -> list[Edit]:
    """[G] edits that take the residual after the last layer towards ``target`` [E,d]."""
    edits = [Edit() for _ in groups]
    if not goals:
        return edits
    group_of = {e: number for number, members in enumerate(groups) for e in members}
    edit_of_goal = [group_of[e] for e in range(len(goals))]
    end = Site("resid_post", layers[-1])
    for done, layer in enumerate(layers):
        site = Site("mlp_act", layer)
        seen = subject_states(model, goals, contexts, [site, end], edits, edit_of_goal)
        missing = (target - seen[end][:, 0]) / (len(layers) - done)
        change = before_norm(model, layer, seen[site][:, 0], missing)
        keys, moment = seen[site].mean(1), None if moments is None else moments[layer]
        for number, members in enumerate(groups):
            delta = shares(change[members], keys[members], moment, weight)
            edits[number] = Edit({**edits[number].deltas, layer: delta})
    return edits


def before_norm(model: nn.Module, layer: int, keys: Tensor, change: Tensor) -> Tensor:
    """Which change of the down-projection's output at ``keys`` [E,m] changes the residual by
    ``change`` [E,d]; with a post-norm, y = g x / rms(x), to first order in directions other than x.
    """
    norm = post_norm(model, layer)
    if norm is None:
        return change
    ones = torch.ones(ModuleMap(model).d_model).to(keys)
    with torch.no_grad():
        gain = norm(ones)
    rms = projected(model, layer, keys).square().mean(1, keepdim=True).sqrt()
    return change * rms / gain
