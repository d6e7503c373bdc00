"""Edits by gradient descent on one layer's down-projection: FT, and FT-L, which bounds every
weight's change (methods 2.10).

Axes: E edits, T tokens, A answer tokens, d residual width, m MLP width.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from coemerge.editing.descent import Descent, descend
from coemerge.editing.outcome import Outcome, outcomes
from coemerge.editing.requests import Goal, Request, check_layers, check_requests
from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.capture import capture
from coemerge.interventions.edits import Edit, LowRank, check_edits
from coemerge.interventions.guard import unchanged
from coemerge.interventions.late_start import start_at
from coemerge.interventions.sites import Site
from coemerge.interventions.speed import fast_passes
from coemerge.interventions.weight_edits import edited_rows

# Numbers in the changes of weights that are optimised at once; Adam and gradients take five times
# as many.
_MAX_VALUES = {"cpu": 1 << 22}
_MAX_VALUES_ELSEWHERE = 1 << 27


@dataclass(frozen=True)
class FineTuningConfig:
    """lr, steps: of Adam. stop_loss: a request is done when its loss is below.

    max_change: of any weight, or None (FT); 5e-4 is the published FT-L.
    objective: ``target_new`` is the mean NLL of the target's tokens, each after those before it;
        ``prompt_last``, as in public code, reads all of them at the prompt's last position, which
        is the same for a target of one token and wrong for a longer one.
    """

    lr: float = 5e-4
    steps: int = 25
    stop_loss: float = 0.01
    max_change: float | None = None
    objective: Literal["target_new", "prompt_last"] = "target_new"

    def check(self, where: str = "fine_tuning") -> None:
        """Raises ValueError naming the key."""
        limits = {"lr": self.lr, "stop_loss": self.stop_loss, "max_change": self.max_change}
        for key, value in limits.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{where}.{key}: must be a finite number above 0, got {value!r}")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"{where}.steps: must be a whole number of 1 or more: {self.steps!r}")
        if self.objective not in ("target_new", "prompt_last"):
            raise ValueError(
                f"{where}.objective: {self.objective!r} is not one of target_new, prompt_last"
            )


FT = FineTuningConfig()
FT_L = FineTuningConfig(max_change=5e-4)


def fine_tune(
    model: nn.Module, requests: Sequence[Request], layer: int, config: FineTuningConfig = FT
) -> list[Outcome]:
    """One edit per request, each of the untouched model and independent of the others. Its rank is
    full: it holds d (d + m) numbers. The model is left as found.

    Raises ValueError for requests, layer or settings that do not fit.
    """
    config.check()
    check_layers(model, [layer])
    check_requests(model, requests)
    modules = ModuleMap(model)
    check_edits(modules, [_edit(layer, torch.zeros(modules.d_mlp, modules.d_model))])
    if not requests:
        raise ValueError("requests: there are none, so there is nothing to edit")
    device = next(model.parameters()).device
    found: list[Descent] = []
    with (
        unchanged(model),
        torch.autocast(device.type, enabled=False),
        fast_passes(model.eval().requires_grad_(False)),
    ):
        parts = list(_cut(modules, requests, device))
        for part in parts:
            found.append(_tune(modules, [requests[e].goal for e in part], layer, config))
    descent = Descent.joined(found, [e for part in parts for e in part])
    finite = descent.values.isfinite().all(2).all(1).tolist()
    edits = [
        _edit(layer, change) if is_finite else None
        for change, is_finite in zip(descent.values, finite, strict=True)
    ]
    return outcomes(model, requests, edits, descent)


def _edit(layer: int, change: Tensor) -> Edit:
    """Of a change of W^T, [m,d]: no fewer factors than d would hold it."""
    return Edit({layer: LowRank(torch.eye(change.shape[1]).to(change), change)})


def _cut(
    modules: ModuleMap, requests: Sequence[Request], device: torch.device
) -> Iterator[list[int]]:
    """Requests of similar length, whose changes fit memory, or a CPU's cache."""
    n_values = _MAX_VALUES.get(device.type, _MAX_VALUES_ELSEWHERE)
    at_once = max(1, n_values // (modules.d_model * modules.d_mlp))
    order = sorted(range(len(requests)), key=lambda e: len(requests[e].goal.ids))
    for first in range(0, len(order), at_once):
        yield order[first : first + at_once]


def _tune(
    modules: ModuleMap, goals: Sequence[Goal], layer: int, config: FineTuningConfig
) -> Descent:
    """Changes of W^T, [E,m,d]."""
    model, device = modules.model, next(modules.model.parameters()).device
    read = _Read.of(goals, config.objective, device)
    site = Site("resid_pre", layer)
    with torch.no_grad(), capture(model, [site]) as seen:  # below the layer nothing changes
        model(input_ids=read.tokens, use_cache=False, logits_to_keep=1)
    residual = seen[site]

    def losses(change: Tensor, counts: Tensor) -> Tensor:
        rows = counts.nonzero()[:, 0]
        own = read.keep(rows)
        edits = [_edit(layer, one) for one in change[rows]]
        under = edited_rows(model, edits, range(len(rows)))
        with under, start_at(model, layer, residual[rows]):
            logits = model(
                input_ids=own.tokens, use_cache=False, logits_to_keep=own.places
            ).logits.float()
        return torch.zeros(len(goals), device=device).index_add(0, rows, own.nll(logits))

    bound = math.inf if config.max_change is None else config.max_change
    start = torch.zeros(len(goals), modules.d_mlp, modules.d_model, device=device)
    return descend(
        losses, start, config.lr, config.steps, config.stop_loss, lambda x: x.clamp(-bound, bound)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """``tokens`` [E,T], repeating their last beyond the end; ``target``, ``place``, ``weight``
    [E,A]: answer tokens, where in ``places`` [P] their logits are, 0 for padding."""

    tokens: Tensor
    places: Tensor
    target: Tensor
    place: Tensor
    weight: Tensor

    @classmethod
    def of(cls, goals: Sequence[Goal], objective: str, device: torch.device) -> "_Read":
        step = 1 if objective == "target_new" else 0
        rows = [[*goal.ids, *goal.target[: step * (len(goal.target) - 1)]] for goal in goals]
        width, most = max(map(len, rows)), max(len(goal.target) for goal in goals)
        at = torch.tensor(
            [[len(g.ids) - 1 + step * min(j, len(g.target) - 1) for j in range(most)]
             for g in goals], device=device,
        )  # fmt: skip
        places, place = at.unique(return_inverse=True)
        padding = [most - len(goal.target) for goal in goals]
        return cls(
            tokens=torch.tensor(
                [[*row, *[row[-1]] * (width - len(row))] for row in rows], device=device
            ),
            places=places,
            target=torch.tensor(
                [[*g.target, *[0] * n] for g, n in zip(goals, padding, strict=True)], device=device
            ),
            place=place,
            weight=torch.tensor(
                [[1 / (most - n)] * (most - n) + [0.0] * n for n in padding], device=device
            ),
        )

    def keep(self, rows: Tensor) -> "_Read":
        return _Read(
            self.tokens[rows],
            self.places,
            self.target[rows],
            self.place[rows],
            self.weight[rows],
        )

    def nll(self, logits: Tensor) -> Tensor:
        """[E], mean per answer token, of ``logits`` [E,P,V]."""
        rows = torch.arange(len(logits), device=logits.device)[:, None]
        surprise = logits.logsumexp(-1)[rows, self.place] - logits[rows, self.place, self.target]
        return (surprise * self.weight).sum(1)
