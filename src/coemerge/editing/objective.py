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

from coemerge.editing.continued import Continued
from coemerge.editing.requests import Goal, Ids, Request
from coemerge.editing.value_config import ValueConfig
from coemerge.interventions.architecture import ModuleMap, projection_matrix

# ``projection``: output of the MLP's down-projection, before a post-norm. ``residual``: resid_post.
Where = Literal["projection", "residual"]


@dataclass(frozen=True, slots=True)
class Row:
    """A text that ends before the last token of ``target``; a neutral one has none, and ends with
    the subject. ``start``: where the subject ends; ``weight``: of its mean NLL in the loss of
    ``request``."""

    request: int
    ids: list[int]
    start: int
    target: Ids
    weight: float


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
class Texts:
    """Rows whose residual at their start moves with the delta of their ``request`` [R]."""

    continued: Continued
    start: Start
    request: Tensor

    @classmethod
    def of(cls, model: nn.Module, layer: int, where: Where, rows: Sequence[Row]) -> "Texts":
        continued, there = Continued.of(
            model, layer, [row.ids for row in rows], [row.start for row in rows]
        )
        request = torch.tensor([row.request for row in rows], device=continued.tokens.device)
        start = Start.of(model, layer, where, continued.residual[:, 0], there)
        return cls(continued, start, request)

    def keep(self, rows: Tensor) -> "Texts":
        return Texts(self.continued.keep(rows), self.start.keep(rows), self.request[rows])

    def logits(self, delta: Tensor, places: Tensor) -> Tensor:
        """[R,P,V] at places counted from the start, under ``delta`` [E,d]."""
        return self.continued.logits(self.start.with_delta(delta[self.request]), places)


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """``asked``: goals behind contexts; ``neutral``: a text per request, of one token after what
    its run shares. ``target``, ``place``, ``weight`` [R,A]: answer tokens, where in ``places`` [P]
    their logits are, and their weight, 0 for padding. ``value`` [E,d]: v0, behind no context."""

    asked: Texts
    neutral: Texts
    value: Tensor
    places: Tensor
    target: Tensor
    place: Tensor
    weight: Tensor

    @classmethod
    def of(
        cls,
        model: nn.Module,
        requests: Sequence[Request],
        contexts: Sequence[Ids],
        layer: int,
        where: Where,
        n_also: int,
    ) -> "Objective":
        """``n_also``: behind how many contexts a request's second goal is asked."""
        rows: list[Row] = []
        bare: list[int] = []
        for number, request in enumerate(requests):
            bare.append(len(rows))
            rows += _behind(request.goal, number, contexts)
            if request.also is not None:
                rows += _behind(request.also, number, contexts[:n_also])
        texts = [list(request.neutral_ids) for request in requests]
        neutral = [Row(i, ids, len(ids) - 1, (), 0.0) for i, ids in enumerate(texts)]
        asked = Texts.of(model, layer, where, rows)
        most, device = max(len(row.target) for row in rows), asked.request.device

        def padded(lists: Sequence[Sequence[float]], dtype: torch.dtype) -> Tensor:
            """[R,A]; beyond its end, a row repeats its last entry."""
            each = [[*own, *[own[-1]] * (most - len(own))] for own in lists]
            return torch.tensor(each, dtype=dtype, device=device)

        firsts = [len(row.ids) - len(row.target) - row.start for row in rows]
        at = [range(f, f + len(row.target)) for f, row in zip(firsts, rows, strict=True)]
        places, place = padded(at, torch.long).unique(return_inverse=True)
        lengths = torch.tensor([[len(row.target)] for row in rows])
        shares = torch.tensor([[row.weight] for row in rows]) / lengths
        return cls(
            asked=asked,
            neutral=Texts.of(model, layer, where, neutral),
            value=asked.start.value[bare],
            places=places,
            target=padded([row.target for row in rows], torch.long),
            place=place,
            weight=shares.masked_fill(torch.arange(most) >= lengths, 0).to(device),
        )

    def keep(self, requests: Tensor) -> "Objective":
        """Of requests that count, bool [E]; from now on the others' loss is weight decay alone."""
        rows = requests[self.asked.request].nonzero()[:, 0]
        return replace(
            self,
            asked=self.asked.keep(rows),
            neutral=self.neutral.keep(requests[self.neutral.request].nonzero()[:, 0]),
            target=self.target[rows],
            place=self.place[rows],
            weight=self.weight[rows],
        )

    def neutral_log_probs(self, delta: Tensor) -> Tensor:
        """Of every request that counts, [E,V]."""
        here = torch.zeros(1, dtype=torch.long, device=delta.device)
        return self.neutral.logits(delta, here)[:, 0].log_softmax(-1)

    def losses(self, delta: Tensor, before: Tensor, config: ValueConfig) -> Tensor:
        """[E] of ``delta`` [E,d]; ``before`` [E,V]: neutral log-probabilities at delta 0."""
        logits = self.asked.logits(delta, self.places)
        rows = torch.arange(len(logits), device=logits.device)[:, None]
        nll = logits.logsumexp(-1)[rows, self.place] - logits[rows, self.place, self.target]
        loss = config.weight_decay * delta.norm(dim=1) / self.value.norm(dim=1) ** 2
        loss = loss.index_add(0, self.asked.request, (nll * self.weight).sum(1))
        reference = before[self.neutral.request]
        kl = (reference.exp() * (reference - self.neutral_log_probs(delta))).sum(-1)
        return loss.index_add(0, self.neutral.request, config.kl_weight * kl)
