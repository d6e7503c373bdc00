"""The noise of corrupted copies: drawn once per prompt, on the scale of subjects' embeddings."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coemerge.interventions.capture import capture
from coemerge.interventions.sites import Site
from coemerge.localization.first_tokens import prompt_batches, undisturbed
from coemerge.localization.prompts import stable_seed
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.scoring.forward import keep_logits


def draw_noise(prompt: TracedPrompt, config: TracingConfig, d_model: int) -> Tensor:
    """Standard normal [S,T,d] at the corrupted positions, 0 elsewhere; on the CPU, where the same
    seed gives the same noise for every device.

    It depends on the seed and the prompt's tokens alone: all states of a prompt are restored under
    the same noise, and so is a position whatever else is corrupted.
    """
    seed = stable_seed(0, str(config.seed), repr(list(prompt.ids)))[1]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(config.samples, len(prompt.ids), d_model, generator=generator)
    kept = torch.zeros(len(prompt.ids), 1)
    kept[prompt.corrupted(config.corrupt)] = 1
    return noise * kept


def noise_scale(model: nn.Module, prompts: Sequence[TracedPrompt], config: TracingConfig) -> float:
    """The noise's standard deviation: ``noise_std``, or ``noise_scale`` times that of all entries
    of ``embed`` at the prompts' subject tokens. Trace parts of a set with the whole one's."""
    if config.noise_std is not None:
        return config.noise_std
    site, entries = Site("embed"), []
    with undisturbed(model) as device:
        for rows, ids in prompt_batches([prompt.ids for prompt in prompts], device):
            with capture(model, [site]) as seen:
                model(input_ids=ids, use_cache=False, **keep_logits(model, 1))
            for row, embedded in zip(rows.tolist(), seen[site].cpu(), strict=True):
                entries.append(embedded[slice(*prompts[row].subject)].double().flatten())
    return config.noise_scale * float(torch.cat(entries).std())
