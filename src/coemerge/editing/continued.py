"""Rows run again and again from one position on, while nothing before it changes.

What comes before, in time and in depth, is computed once: keys and values of earlier tokens, and
the residual after the layer in question. Rows start at positions of their own.

Axes: B rows, T tokens of a whole row, S of the longest part before, N of the longest part after
(its first token is the one that changes), d residual width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.late_start import start_at
from coemerge.interventions.sites import Site
from coemerge.interventions.speed import last_positions_alone

_SLIDING = "sliding_attention"


@dataclass(frozen=True, slots=True, eq=False)
class Continued:
    """``tokens``, ``positions`` [B,N], beyond a row's end whatever; ``residual`` [B,N,d]: untouched
    ``resid_post`` of ``layer``; ``keys_values``: of the layers that run, of the S positions before;
    ``masks``: of attention, by the layers' kind where there are two.

    The model must be in eval mode and stay the same.
    """

    model: nn.Module
    layer: int
    tokens: Tensor
    positions: Tensor
    residual: Tensor
    keys_values: dict[int, tuple[Tensor, Tensor]]
    masks: dict[str, Tensor]

    @classmethod
    def of(
        cls, model: nn.Module, layer: int, rows: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> tuple["Continued", dict[str, Tensor]]:
        """Also returns what stands at each row's start at other sites of the layer: ``mlp_act``
        [B,m] and ``mlp_out`` [B,d]."""
        device = next(model.parameters()).device
        # Padding is on the right, where causal attention does not look.
        longest = max(map(len, rows))
        whole = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows])
        start = torch.tensor(starts)
        n_after = int((torch.tensor([len(row) for row in rows]) - start).max())
        after = (start[:, None] + torch.arange(n_after)).clamp(max=whole.shape[1] - 1)
        tokens = whole.gather(1, after).to(device)
        whole, after, start = whole.to(device), after.to(device), start.to(device)
        names = ("resid_post", "mlp_act", "mlp_out")
        cache: Any = DynamicCache()  # without a configuration, sliding layers keep all keys
        with torch.no_grad(), capture(model, [Site(name, layer) for name in names]) as seen:
            model(input_ids=whole, past_key_values=cache, use_cache=True, logits_to_keep=1)
        n_before, first = max(starts), _first_layer(model, layer)
        kept = {
            index: (each.keys[:, :, :n_before].clone(), each.values[:, :, :n_before].clone())
            for index, each in enumerate(cache.layers)
            if index >= first and n_before
        }
        all_rows = torch.arange(len(rows), device=device)
        there = {name: seen[Site(name, layer)][all_rows, start].clone() for name in names[1:]}
        residual = seen[Site("resid_post", layer)][all_rows[:, None], after]
        masks = _masks(model, start, n_before, n_after)
        return cls(model, layer, tokens, after, residual, kept, masks), there

    def keep(self, rows: Tensor) -> "Continued":
        """Of some rows, by index."""
        return replace(
            self,
            tokens=self.tokens[rows],
            positions=self.positions[rows],
            residual=self.residual[rows],
            keys_values={k: (a[rows], b[rows]) for k, (a, b) in self.keys_values.items()},
            masks={kind: mask[rows] for kind, mask in self.masks.items()},
        )

    def logits(self, first: Tensor, places: Tensor) -> Tensor:
        """float32 [B,P,V] at ``places`` [P] of the part after, with ``first`` [B,d] as each row's
        residual after the layer at its start."""
        cache: Any = DynamicCache()  # a pass adds to its cache, so each has its own
        for layer, (keys, values) in self.keys_values.items():
            cache.update(keys, values, layer)
        residual = torch.cat((first[:, None].to(self.residual), self.residual[:, 1:]), 1)
        n_last = self.tokens.shape[1] - int(places.min())
        with _after(self.model, self.layer, residual), last_positions_alone(self.model, n_last):
            logits = self.model(
                input_ids=self.tokens,
                position_ids=self.positions,
                attention_mask=self.masks if len(self.masks) > 1 else self.masks["full_attention"],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=places,
            ).logits
        return logits.float()


def _first_layer(model: nn.Module, layer: int) -> int:
    """The first that has to run: the one after ``layer``, or the last."""
    config: Any = model.config
    return min(layer + 1, config.num_hidden_layers - 1)


@contextmanager
def _after(model: nn.Module, layer: int, residual: Tensor) -> Iterator[None]:
    """Passes in which the residual after ``layer`` is given. Behind the last layer no pass can
    begin: it runs for nothing, and its output is replaced."""
    first = _first_layer(model, layer)
    if first > layer:
        with start_at(model, first, residual):
            yield
    else:
        replacement = {Site("resid_post", layer): lambda _: residual}
        with start_at(model, layer, residual.detach()), intervene(model, replacement):
            yield


def _masks(model: nn.Module, start: Tensor, n_before: int, n_after: int) -> dict[str, Tensor]:
    """What is added to attention scores, [B,1,N,S+N]."""
    config: Any = model.config
    before = torch.arange(n_before, device=start.device).expand(len(start), -1)
    query = start[:, None] + torch.arange(n_after, device=start.device)
    beyond = before >= start[:, None]  # stored for other rows, which start later
    at = torch.cat((before, query), 1)
    never = torch.cat((beyond, torch.zeros_like(query, dtype=torch.bool)), 1)
    distance = query[:, :, None] - at[:, None, :]
    seen = (distance >= 0) & ~never[:, None, :]
    dtype = next(model.parameters()).dtype

    def added(visible: Tensor) -> Tensor:
        zeros = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
        return zeros.masked_fill(~visible, torch.finfo(dtype).min)[:, None]

    masks = {"full_attention": added(seen)}
    if _SLIDING in (getattr(config, "layer_types", None) or ()):
        masks[_SLIDING] = added(seen & (distance < config.sliding_window))
    return masks
