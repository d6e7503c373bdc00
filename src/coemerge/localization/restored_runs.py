"""What a corrupted run answers with single states put back: only what they can change is computed.

Nothing below the layer of a restored state changes, and nothing to the left of its position. So a
run with a state restored begins one layer above it, at its position; what lies to the left is kept
as keys and values of the corrupted run. All positions of one layer share a pass: the tokens from
position i on, for every i, stand side by side in one row, and each such segment sees itself and
what lies to its left, but no other segment.

Axes: B prompts of equal length, S corrupted copies of each, R = B * S rows, T tokens, Q tokens of
all segments of a row, n segments, d residual width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.blend import freeze
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.late_start import start_at
from coemerge.interventions.sites import Site
from coemerge.interventions.speed import last_positions_alone
from coemerge.localization.visibility import attention_masks
from coemerge.scoring.forward import keep_logits


@dataclass(frozen=True)
class Segments:
    """Tokens of a row: for each of n places the tokens from it on, last positions at the end.

    ``position``, ``owner``, ``start`` [Q]: a token's position in the prompt, its segment, and where
    that begins; ``restored`` bool [Q]: whether a state is put back there. ``masks``: see
    ``attention_masks``; keys are those of ``n_before`` tokens of the prompt, then the row's.
    """

    position: Tensor
    owner: Tensor
    start: Tensor
    restored: Tensor
    n: int
    n_before: int
    masks: Any

    @classmethod
    def of(cls, model: nn.Module, places: Sequence[Sequence[int]], n_tokens: int) -> "Segments":
        """``places``: of each segment, the positions restored together, one at least."""
        device = next(model.parameters()).device
        tokens = [
            (position == n_tokens - 1, owner, position, min(place), position in place)
            for owner, place in enumerate(places)
            for position in range(min(place), n_tokens)
        ]
        _, owner, position, start, restored = torch.tensor(sorted(tokens), device=device).T
        n_before = max(min(place) for place in places)

        def visible(window: int) -> Tensor:
            left = torch.arange(n_before, device=device)
            sees_left = (left < start[:, None]) & (left > position[:, None] - window)
            distance = position[:, None] - position
            sees_own = (owner[:, None] == owner) & (distance >= 0) & (distance < window)
            return torch.cat((sees_left, sees_own), 1)

        masks = attention_masks(model, visible)
        return cls(position, owner, start, restored.bool(), len(places), n_before, masks)


class CorruptedRuns:
    """The clean and the corrupted runs of some prompts, and any states put back into the latter.

    ``ids`` [B,T]; ``targets`` [B]: the answer tokens; ``noise`` [B,S,T,d]: added to the embeddings,
    0 where nothing is corrupted. The model must be in eval mode and stay the same. Probabilities
    are means over the S copies: ``p_clean``, ``p_corrupted`` [B], and ``is_top1`` bool [B], whether
    the answer is what the clean run finds likeliest.
    """

    def __init__(self, model: nn.Module, ids: Tensor, targets: Tensor, noise: Tensor) -> None:
        self._model, self._ids, self._targets = model, ids, targets
        self._n_copies = noise.shape[1]
        layers = range(ModuleMap(model).n_layers)
        names = ("mlp_out", "attn_out", "resid_post")
        outputs = [Site(name, layer) for name in names for layer in layers]
        residuals = [Site("resid_pre", layer) for layer in layers]
        with capture(model, outputs) as self._clean:
            logits = self._forward(ids)
        self.p_clean = _probabilities(logits, targets)[:, 0]
        self.is_top1 = logits[:, -1].argmax(-1) == targets
        cache: Any = DynamicCache()  # without a configuration: all keys, of sliding layers too
        with (
            intervene(model, {Site("embed"): lambda x: x + noise.flatten(0, 1).to(x)}),
            capture(model, outputs + residuals) as self._corrupted,
        ):
            logits = self._forward(self._rows(ids), past_key_values=cache, use_cache=True)
        self._keys_values = [(layer.keys, layer.values) for layer in cache.layers]
        self.p_corrupted = self._mean(_probabilities(logits, self._rows(targets)))[:, 0]

    def clean(self, site: Site) -> Tensor:
        """[R,T,d], equal in all copies of a prompt; ``mlp_out``, ``attn_out``, ``resid_post``."""
        return self._rows(self._clean[site])

    def corrupted(self, site: Site) -> Tensor:
        """[R,T,d], those of ``clean`` and ``resid_pre``."""
        return self._corrupted[site]

    def entries(self, name: str) -> tuple[list[Tensor], Tensor]:
        """What each layer leaves with ``name``, ``mlp_out`` or ``attn_out``, of that layer restored
        and its input corrupted: per layer ``resid_post`` [R,T,d]; and the last one's p [B].

        A layer's outputs touch other positions in the next layer at the earliest, so restoring all
        positions at once gives the state of each one restored alone; and with every layer's input
        held, one pass gives those of all layers.
        """
        layers = range(len(self._keys_values))
        inputs = {s: self._corrupted[s] for s in self._corrupted if s.name == "resid_pre"}
        outputs = {Site(name, layer): self.clean(Site(name, layer)) for layer in layers}
        after = [Site("resid_post", layer) for layer in layers]
        with (
            intervene(self._model, freeze({**inputs, **outputs})),
            capture(self._model, after) as left,
        ):
            logits = self._forward(self._rows(self._ids))
        p = self._mean(_probabilities(logits, self._rows(self._targets)))[:, 0]
        return [left[site] for site in after], p

    def p_restored(
        self, segments: Segments, layer: int, entry: Tensor, held: Mapping[Site, Tensor]
    ) -> Tensor:
        """[B,n]: p of each segment, with ``resid_pre`` of ``layer`` at what ``entry`` [R,T,d] has
        there, and the sites ``held``, of this layer or above, at their values [R,T,d], all at the
        restored positions alone; everything else is as it follows from that."""
        at, restored = segments.position, segments.restored[None]
        corrupted = self._corrupted[Site("resid_pre", layer)]
        residual = torch.where(restored[..., None], entry[:, at], corrupted[:, at])
        functions = freeze({site: value[:, at] for site, value in held.items()}, restored)
        cache: Any = DynamicCache()  # a pass adds to its cache, so each has its own
        for index in range(layer, len(self._keys_values)) if segments.n_before else ():
            keys, values = self._keys_values[index]
            cache.update(keys[:, :, : segments.n_before], values[:, :, : segments.n_before], index)
        with (
            last_positions_alone(self._model, segments.n),
            start_at(self._model, layer, residual),
            intervene(self._model, functions),
        ):
            logits = self._forward(
                self._rows(self._ids)[:, at],
                segments.n,
                position_ids=at[None],
                attention_mask=segments.masks,
                past_key_values=cache,
                use_cache=True,
            )
        return self._mean(_probabilities(logits, self._rows(self._targets)))

    def _forward(self, ids: Tensor, n_logits: int = 1, **options: Any) -> Tensor:
        """float32 [rows,n_logits,V]."""
        options = {"use_cache": False, **options, **keep_logits(self._model, n_logits)}
        return self._model(input_ids=ids, **options).logits[:, -n_logits:].float()

    def _rows(self, x: Tensor) -> Tensor:
        """[B,...] -> [R,...]."""
        return x.repeat_interleave(self._n_copies, 0)

    def _mean(self, p: Tensor) -> Tensor:
        """[R,n] -> [B,n]."""
        return p.unflatten(0, (-1, self._n_copies)).mean(1)


def _probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """[rows,n,V], [rows] -> [rows,n]."""
    asked = targets[:, None].expand(-1, logits.shape[1])
    surprise = cross_entropy(logits.flatten(0, 1), asked.flatten(), reduction="none")
    return (-surprise).exp().view_as(asked)
