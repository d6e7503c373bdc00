"""Where causal tracing says that an edit belongs (methods 2.10 "Layers")."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coemerge.localization.tracing_result import TracingResult

REMEDY = "name the layers to be tried instead, as study.layers=[2] study.edited_token=last"


_ROLES = {"first": "first_subject", "last": "last_subject", "end": "last"}


class EditSite(NamedTuple):
    """Where an edit is made: at a subject's ``first`` or ``last`` token or at the prompt's ``end``,
    and a layer. ``effect``: AIE of the MLPs around it."""

    token: str
    layer: int
    effect: float


def best_site(found: TracingResult, kept: np.ndarray, tokens: Sequence[str]) -> EditSite:
    """Which of a prompt's ``tokens``, and which layer, gives most back of what noise on the
    subject took when MLP outputs are restored there; ``kept`` bool [N]: by which prompts.

    Windows that the model's ends cut are left aside, and so is the last layer, above which nothing
    reads a subject. Raises ValueError, with the remedy, where no prompt tells.
    """
    if not kept.any():
        raise ValueError(
            f"causal tracing names no layer to edit: of {len(kept)} prompts none is answered right "
            f"and loses its answer to noise on the subject; {REMEDY}"
        )
    roles = [found.role_names.index(_ROLES[token]) for token in tokens]
    mean = found.by_role("mlp")[kept][:, :, roles].mean(0)
    mean[found.windows < found.windows.max()] = -np.inf
    mean[-1] = -np.inf
    if not np.isfinite(mean).any():
        raise ValueError(
            f"causal tracing names no layer to edit: of {len(mean)} layers all have a window that "
            f"is cut, but the last; {REMEDY}"
        )
    layer, place = np.unravel_index(mean.argmax(), mean.shape)
    return EditSite(tokens[place], int(layer), float(mean[layer, place]))
