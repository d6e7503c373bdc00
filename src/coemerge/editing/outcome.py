"""What became of requests."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from coemerge.editing.descent import Descent
from coemerge.editing.requests import Request, already_answered
from coemerge.interventions.edits import Edit

log = logging.getLogger(__name__)


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
    """One per request; an edit of None, or of a descent that diverged, is one that
    diverged."""
    answered = already_answered(model, requests).tolist()
    diverged = [edit is None or bool(d) for edit, d in zip(edits, found.diverged, strict=True)]
    return [
        Outcome(
            edit=Edit() if edit is None or diverged[e] else edit,
            loss=float(found.loss[e]),
            n_steps=int(found.n_steps[e]),
            diverged=diverged[e],
            already_answered=answered[e],
        )
        for e, edit in enumerate(edits)
    ]


def warn_of(outcomes: Sequence[Outcome]) -> None:
    """Says, with counts, what diverged and what was answered already. Editors do not: where many
    settings are tried, it is of interest for those that are used."""
    diverged = [outcome.diverged for outcome in outcomes]
    answered = [outcome.already_answered for outcome in outcomes]
    _warn(diverged, "diverged (loss or change ceased to be finite): for these nothing is written")
    _warn(answered, "ask for what the model answers already: their success says nothing")


def _warn(concerned: Sequence[bool], words: str) -> None:
    if n := sum(concerned):
        first = concerned.index(True)
        log.warning("%d of %d requests, first requests[%d], %s", n, len(concerned), first, words)
