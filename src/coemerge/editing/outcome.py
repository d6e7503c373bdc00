"""What became of requests."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from coemerge.editing.descent import Descent
from coemerge.editing.requests import Request, already_answered
from coemerge.interventions.edits import Edit


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """``edit``: the change of weights; the one that does nothing if it ``diverged``.

    ``loss``: after the last of ``n_steps`` steps. ``diverged``: loss or change ceased to be finite.
    ``already_answered``: the model gave the wanted target before the edit, so that success says
    nothing.
    """

    edit: Edit
    loss: float
    n_steps: int
    diverged: bool
    already_answered: bool


def outcomes(
    model: nn.Module, requests: Sequence[Request], edits: Sequence[Edit | None], found: Descent
) -> list[Outcome]:
    """One per request; an edit of None, or of a descent that diverged, is one that diverged."""
    answered = already_answered(model, requests).tolist()
    diverged = found.diverged.tolist()
    return [
        Outcome(
            edit=Edit() if edit is None or diverged[e] else edit,
            loss=float(found.loss[e]),
            n_steps=int(found.n_steps[e]),
            diverged=edit is None or diverged[e],
            already_answered=answered[e],
        )
        for e, edit in enumerate(edits)
    ]
