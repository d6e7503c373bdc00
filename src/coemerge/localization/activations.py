"""What runs without gates leave behind: clean activations to patch in, outputs to preserve."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from coemerge.interventions.capture import capture, mean_activation
from coemerge.interventions.gates import component_sites
from coemerge.interventions.sites import Site
from coemerge.interventions.waiting import on_device
from coemerge.localization.batches import Batch, answer_logits, batches
from coemerge.localization.prompts import Prompts
from coemerge.scoring.forward import equal_batches

_MEAN_PROMPTS = 512


class CleanRuns:
    """Activations of heads and neurons in the clean runs of some prompts, all tokens one after the
    other: ``flat[site]`` is [tokens, ...]."""

    @torch.no_grad()
    def __init__(self, model: nn.Module, prompts: Prompts, rows: np.ndarray) -> None:
        device = next(model.parameters()).device
        lengths = np.array([len(prompts.ids[i]) for i in rows])
        self._start = np.full(len(prompts), -1)
        self._start[rows] = np.cumsum(lengths) - lengths
        self._flat: dict[Site, Tensor] = {}
        ids, spans = [prompts.ids[i] for i in rows], [prompts.spans[i] for i in rows]
        for batch in batches(ids, spans, device):
            self._store(run_activations(model, batch), batch, rows, int(lengths.sum()))

    def of(self, batch: Batch, prompt: np.ndarray) -> dict[Site, Tensor]:
        """[B,T,...] per site, aligned with the batch; ``prompt`` [B] are the prompts of its rows.

        Beyond a row's last token it holds that token's values, which nobody looks at.
        """
        index = self._token_index(batch, prompt)
        return {site: values[index] for site, values in self._flat.items()}

    def _store(
        self, values: dict[Site, Tensor], batch: Batch, rows: np.ndarray, n_tokens: int
    ) -> None:
        index = self._token_index(batch, rows[batch.rows.numpy()])
        is_real = torch.arange(index.shape[1], device=index.device) <= batch.answer_pos[:, None]
        for site, value in values.items():
            if site not in self._flat:
                self._flat[site] = value.new_empty(n_tokens, *value.shape[2:])
            self._flat[site][index[is_real]] = value[is_real]

    def _token_index(self, batch: Batch, prompt: np.ndarray) -> Tensor:
        start = on_device(self._start[prompt], batch.tokens.device)
        at = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
        return start[:, None] + torch.minimum(at[None], batch.answer_pos[:, None])


@torch.no_grad()
def run_activations(model: nn.Module, batch: Batch) -> dict[Site, Tensor]:
    """Heads and neurons of a run without gates, [B,T,...] per site."""
    with capture(model, component_sites(model)) as values:
        answer_logits(model, batch)
    return values


@torch.no_grad()
def clean_log_probs(model: nn.Module, prompts: Prompts, rows: np.ndarray) -> dict[int, Tensor]:
    """Prompt -> log-probabilities [V] of the token after it, in the untouched model."""
    device = next(model.parameters()).device
    found: dict[int, Tensor] = {}
    ids, spans = [prompts.ids[i] for i in rows], [prompts.spans[i] for i in rows]
    for batch in batches(ids, spans, device):
        log_probs = answer_logits(model, batch).log_softmax(1)
        found |= dict(zip(rows[batch.rows.numpy()].tolist(), log_probs, strict=True))
    return found


def mean_references(
    model: nn.Module, prompts: Prompts, rows: Sequence[int] | np.ndarray
) -> dict[Site, Tensor]:
    """Mean over all tokens of the prompts ``rows``, evenly spread if there are many."""
    chosen = [prompts.ids[i] for i in rows[:: max(1, len(rows) // _MEAN_PROMPTS)]]
    device = next(model.parameters()).device
    groups = equal_batches([(len(ids), 1) for ids in chosen], device)
    tokens = (torch.tensor([chosen[i] for i in group]) for group in groups)
    return mean_activation(model, tokens, component_sites(model))
