"""Rank-one edits: one layer's down-projection maps a subject's key to another value (ROME; methods
2.10).

W [d,m] is the raw down-projection, before a post-norm. Axes: E edits, C contexts, d residual width,
m MLP width.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from coemerge.editing.keys import KeyMoment, check_moment, solved, subject_states
from coemerge.editing.outcome import Outcome, outcomes
from coemerge.editing.requests import Ids, Request
from coemerge.editing.value_config import ValueConfig
from coemerge.editing.values import optimise_values
from coemerge.interventions.edits import Edit, LowRank
from coemerge.interventions.guard import unchanged
from coemerge.interventions.sites import Site


def rank_one(
    model: nn.Module,
    requests: Sequence[Request],
    layer: int,
    contexts: Sequence[Ids] = ((),),
    moment: KeyMoment | None = None,
    config: ValueConfig | None = None,
    show_progress: bool = False,
) -> list[Outcome]:
    """One edit per request, each of the untouched model and independent of the others, whose number
    and order make no difference.

    A subject inside its prompt can be edited below the model's last layer only: above, no answer
    reads it, and the edit is noise.

    ``contexts``: prefixes, the empty one first. ``moment``: C of the layer's keys; None takes
    C = I. ``config``: None takes the published settings; ``value_config.SMALL`` suits models of a
    few layers. After an edit the bare prompt's subject has the optimised value; other contexts come
    close. The model is left as found.

    Raises ValueError for requests, layer, contexts, settings or C that do not fit.
    """
    check_moment(model, layer, moment)
    _, found = optimise_values(
        model, requests, contexts, layer, "projection", config or ValueConfig(), show_progress
    )
    goals, site = [request.goal for request in requests], Site("mlp_act", layer)
    with unchanged(model, "unchecked"):
        model.eval()
        keys = subject_states(model, goals, contexts, [site])[site]
    updates = rank_one_updates(found.values, keys[:, 0], keys.mean(1), moment)
    edits = [None if update is None else Edit({layer: update}) for update in updates]
    return outcomes(model, requests, edits, found)


def rank_one_updates(
    change: Tensor, key: Tensor, typical_key: Tensor, moment: KeyMoment | None
) -> list[LowRank | None]:
    """Per edit ``change u^T / (u^T key)`` with u the unit vector along ``C^-1 typical_key``.

    W + that maps ``key`` [E,m] to W key + ``change`` [E,d], and leaves alone what u is orthogonal
    to. None where that is not finite: u is orthogonal to the key itself, or the change is not.
    """
    direction = solved(moment, typical_key)
    direction = direction / direction.norm(dim=1, keepdim=True)
    left = change.double().cpu() / (direction * key.double().cpu()).sum(1, keepdim=True)
    pairs = zip(left.to(change), direction.to(change), strict=True)
    return [
        LowRank(u[:, None], v[:, None]) if bool(u.isfinite().all() & v.isfinite().all()) else None
        for u, v in pairs
    ]
