"""How well values make a model answer as requested: the loss of value optimisation, of many
requests in one pass (methods 2.10).

Axes: E requests, R rows of text (per request: its goals behind contexts, and a neutral one), A
answer tokens, P places where logits are read, d residual width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from coemerge.editing.continued import Continued
from coemerge.editing.requests import Goal, Ids, Request
from coemerge.editing.value_config import ValueConfig
from coemerge.interventions.architecture import ModuleMap, projection_matrix

# ``projection``: output of the MLP's down-projection, before a post-norm. ``residual``: resid_post.
Where = Literal["projection", "residual"]


@dataclass(frozen=True, slots=True)
class Row:
    """A text that ends before the last token of ``target``; a neutral one has none. ``start``:
    where its subject ends; ``weight``: of its mean NLL in the loss of ``request``."""

    request: int
    ids: list[int]
    start: int
    target: Ids
    weight: float


def rows_of(
    requests: Sequence[Request], contexts: Sequence[Ids], n_also: int
) -> tuple[list[Row], list[int]]:
    """All rows, and per request the index of its bare prompt's."""
    rows: list[Row] = []
    bare: list[int] = []
    for number, request in enumerate(requests):
        bare.append(len(rows))
        rows += _behind(request.goal, number, contexts)
        if request.also is not None:
            rows += _behind(request.also, number, contexts[:n_also])
        neutral = list(request.neutral_ids)
        rows.append(Row(number, neutral, len(neutral) - 1, (), 0.0))
    return rows, bare


def _behind(goal: Goal, number: int, contexts: Sequence[Ids]) -> Iterator[Row]:
    for context in contexts:
        ids = [*context, *goal.ids, *goal.target[:-1]]
        start = len(context) + goal.subject[1] - 1
        yield Row(number, ids, start, goal.target, 1 / len(contexts))


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """The residual at each row's start, ``other + norm(value + delta)``, [R,d]: ``value`` is what
    delta is added to, ``other`` the rest of the residual."""

    value: Tensor
    other: Tensor
    norm: Callable[[Tensor], Tensor]

    @classmethod
    def of(
        cls, model: nn.Module, layer: int, where: Where, residual: Tensor, there: dict[str, Tensor]
    ) -> "Start":
        """``there``: ``mlp_act`` and ``mlp_out`` at the starts."""
        if where == "residual":
            return cls(residual, torch.zeros_like(residual), _same)
        value = projected(model, layer, there["mlp_act"])
        return cls(value, residual - there["mlp_out"], post_norm(model, layer) or _same)

    def with_delta(self, delta: Tensor) -> Tensor:
        return self.other + self.norm(self.value + delta)

    def keep(self, rows: Tensor) -> "Start":
        return replace(self, value=self.value[rows], other=self.other[rows])


def projected(model: nn.Module, layer: int, keys: Tensor) -> Tensor:
    """What the down-projection makes of keys [...,m], any bias included, [...,d]."""
    module: Any = ModuleMap(model).down_projection(layer)
    values = keys @ projection_matrix(module).detach()
    return values if module.bias is None else values + module.bias.detach()


def post_norm(model: nn.Module, layer: int) -> nn.Module | None:
    """What lies between the down-projection and the residual, if anything does."""
    modules = ModuleMap(model)
    last = modules.mlp_out(layer)
    is_nothing = last is modules.mlp(layer) or isinstance(last, nn.Dropout)
    return None if is_nothing else last


def _same(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """``request`` [R]; ``target``, ``place``, ``weight`` [R,A]: tokens, where in ``places`` [P]
    their logits are, and their weight, 0 for padding; ``is_neutral`` [R]."""

    continued: Continued
    start: Start
    places: Tensor
    request: Tensor
    target: Tensor
    place: Tensor
    weight: Tensor
    is_neutral: Tensor

    @classmethod
    def of(cls, rows: Sequence[Row], continued: Continued, start: Start) -> "Objective":
        def padded(lists: list[list[Any]], dtype: torch.dtype) -> Tensor:
            each = [torch.tensor(values, dtype=dtype) for values in lists]
            return pad_sequence(each, batch_first=True).to(continued.tokens.device)

        first_places = [len(row.ids) - len(row.target) - row.start for row in rows]
        place = padded(
            [[first + j for j in range(len(row.target))]
             for first, row in zip(first_places, rows, strict=True)], torch.long,
        )  # fmt: skip
        weights = [[row.weight / len(row.target) for _ in row.target] for row in rows]
        # 0, the start, is among the places: neutral texts are read there, and so is padding
        places, which = torch.cat((place.new_zeros(1), place.flatten())).unique(return_inverse=True)
        return cls(
            continued=continued,
            start=start,
            places=places,
            request=torch.tensor([row.request for row in rows], device=place.device),
            target=padded([list(row.target) for row in rows], torch.long),
            place=which[1:].view_as(place),
            weight=padded(weights, torch.float32),
            is_neutral=torch.tensor([not row.target for row in rows], device=place.device),
        )

    def keep(self, requests: Tensor) -> "Objective":
        """Of requests that count, bool [E]; the others' loss is 0 from now on."""
        rows = requests[self.request].nonzero()[:, 0]
        names = ("request", "target", "place", "weight", "is_neutral")
        return replace(
            self,
            continued=self.continued.keep(rows),
            start=self.start.keep(rows),
            **{name: getattr(self, name)[rows] for name in names},
        )

    def neutral_log_probs(self, delta: Tensor) -> Tensor:
        """[E,V], of the untouched model if ``delta`` is 0."""
        return self._logits(delta)[self.is_neutral, 0].log_softmax(-1)

    def losses(self, delta: Tensor, before: Tensor, norm: Tensor, config: ValueConfig) -> Tensor:
        """[E] of ``delta`` [E,d]; ``before`` [E,V]: neutral log-probabilities at delta 0; ``norm``
        [E]: ||v0||."""
        logits = self._logits(delta)
        rows = torch.arange(len(logits), device=logits.device)[:, None]
        nll = logits.logsumexp(-1)[rows, self.place] - logits[rows, self.place, self.target]
        neutral = self.request[self.is_neutral]
        reference = before[neutral]
        now = logits[self.is_neutral, 0].log_softmax(-1)
        kl = (reference.exp() * (reference - now)).sum(-1)
        loss = config.weight_decay * delta.norm(dim=1) / norm**2
        loss = loss.index_add(0, self.request, (nll * self.weight).sum(1))
        return loss.index_add(0, neutral, config.kl_weight * kl)

    def _logits(self, delta: Tensor) -> Tensor:
        return self.continued.logits(self.start.with_delta(delta[self.request]), self.places)
