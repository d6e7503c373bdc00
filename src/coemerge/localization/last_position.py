"""The last token of a prompt, run again and again while nothing before it changes.

What comes before the last token is computed once and kept as keys and values. Variants of the last
token's run stand side by side as tokens of one row, all at the same position: each sees what comes
before, and itself, but none of the others. So keys and values are neither computed nor copied per
variant.

Axes: B prompts of equal length, C variants of each, T tokens, L layers, m neurons of a layer, d
residual width, H heads, V vocabulary.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.late_start import start_after, start_at
from coemerge.interventions.placement import Function
from coemerge.interventions.sites import Site
from coemerge.localization.visibility import attention_masks
from coemerge.scoring.forward import keep_logits


class LastPosition:
    """What follows a prompt, as a function of neurons at its last position.

    ``ids`` [B,T] with T at least 1; ``targets`` [B]: the answer tokens that probabilities are of,
    None where only ``scaled`` is asked. The model must be in eval mode and stay the same.
    ``activations``: per layer ``mlp_act`` [B,m] of the untouched run.
    """

    def __init__(self, model: nn.Module, ids: Tensor, targets: Tensor | None = None) -> None:
        self._model, self._targets = model, targets
        self._last, self._n_before = ids[:, -1:], ids.shape[1] - 1
        self._modules = ModuleMap(model)
        self._layers = range(self._modules.n_layers)
        with torch.no_grad():
            self._keys_values = self._run_before(ids[:, :-1])
            neurons, residuals = self._sites("mlp_act"), self._sites("resid_pre")
            after, written = self._sites("resid_post"), self._sites("mlp_out")
            with capture(model, neurons + residuals + after + written) as seen:
                self._logits(1)
        self.activations = [seen[site][:, 0] for site in neurons]
        self._residuals = [seen[site] for site in residuals]
        self._without_mlp = [seen[a] - seen[w] for a, w in zip(after, written, strict=True)]

    def with_neurons(self, layer: int, values: Tensor) -> Tensor:
        """Probabilities [B,C] with all neurons of one layer set to ``values`` [B,C,m].

        All other layers respond as they would; gradients flow to ``values``.
        """
        return self.with_product(layer, values @ self.down_projection(layer))

    def with_product(self, layer: int, product: Tensor) -> Tensor:
        """As ``with_neurons``, given what the down-projection makes of the neurons, [B,C,d], its
        bias aside. Nothing of the layer itself is computed but the norm that may follow."""
        bias = getattr(self._modules.down_projection(layer), "bias", None)
        writes = self._modules.mlp_out(layer)
        written = product if bias is None else product + bias
        if writes is not self._modules.mlp(layer):
            written = writes(written)
        with start_after(self._model, layer, self._without_mlp[layer] + written):
            return self._probability(product.shape[1], layer + 1)

    def down_projection(self, layer: int) -> Tensor:
        """[m,d]."""
        return projection_matrix(self._modules.down_projection(layer))

    def with_shift(self, shift: Tensor) -> Tensor:
        """Probabilities [B] with ``shift`` [B,L,m] added to the neurons of all layers at once."""
        functions = {
            site: (lambda x, layer=layer: x + shift[:, layer, None])
            for layer, site in enumerate(self._sites("mlp_act"))
        }
        with intervene(self._model, functions):
            return self._probability(1)[:, 0]

    def scaled(self, neurons: Tensor, factors: Tensor) -> Tensor:
        """Log-probabilities [B,C,V] of the next token, with the neurons of bool [B,C,L,m] times
        ``factors`` [C]; a variant without any is the untouched model."""
        is_changed = neurons.any(-1).any(0).any(0).tolist()
        changed = [layer for layer in self._layers if is_changed[layer]]
        first = changed[0] if changed else len(self._layers) - 1

        def scale(layer: int) -> Function:
            chosen = neurons[:, :, layer]
            return lambda x: torch.where(chosen, x * factors[:, None].to(x), x)

        with (
            start_at(self._model, first, self._residuals[first]),
            intervene(self._model, {Site("mlp_act", layer): scale(layer) for layer in changed}),
        ):
            return self._logits(neurons.shape[1], first).log_softmax(-1)

    def _sites(self, name: str) -> list[Site]:
        return [Site(name, layer) for layer in self._layers]

    def _run_before(self, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [B,H,T-1,d_h] of each layer; none for prompts of one token."""
        if not self._n_before:
            return []
        # without a configuration, layers of sliding attention keep all keys: see _visible
        cache: Any = DynamicCache()
        options = keep_logits(self._model, 1)
        self._model(input_ids=ids, past_key_values=cache, use_cache=True, **options)
        return [(layer.keys, layer.values) for layer in cache.layers]

    def _probability(self, n_variants: int, first_layer: int = 0) -> Tensor:
        """[B,C] of the targets, see ``_logits``."""
        assert self._targets is not None
        logits = self._logits(n_variants, first_layer)
        targets = self._targets[:, None].expand(-1, n_variants)
        surprise = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (-surprise).exp().view_as(targets)

    def _logits(self, n_variants: int, first_layer: int = 0) -> Tensor:
        """[B,C,V] of C runs of the last token, as they are changed by whoever intervenes."""
        cache = DynamicCache()  # a pass adds to its cache, so each has its own
        for layer in self._layers[first_layer:] if self._keys_values else ():
            cache.update(*self._keys_values[layer], layer)
        position = torch.full((1, n_variants), self._n_before, device=self._last.device)
        return self._model(
            input_ids=self._last.expand(-1, n_variants),
            position_ids=position,
            attention_mask=attention_masks(self._model, partial(self._visible, n_variants)),
            past_key_values=cache,
            use_cache=True,
        ).logits.float()

    def _visible(self, n_variants: int, window: int) -> Tensor:
        """[C,T-1+C]: the last ``window`` positions, the variant's own included."""
        device = self._last.device
        before = torch.arange(self._n_before, device=device) > self._n_before - window
        own = torch.eye(n_variants, dtype=torch.bool, device=device)
        return torch.cat((before.expand(n_variants, -1), own), 1)
