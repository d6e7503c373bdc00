"""Which states carry an answer past the corruption of what it is asked about (methods 2.8, 4.4).

The subject's or the relation's tokens get noise, and the answer's probability P drops. Then single
states are put back as they were in the clean run: what P regains is the state's indirect effect.
After Meng et al., Locating and Editing Factual Associations in GPT (2202.05262), and its code.
Severed: while a residual is restored, all MLP (or attention) outputs at its position are held at
their corrupted values, so that it has to do without them.

Deviation: the noise's scale is that of ``embed``, positions included where the model adds them
there, since that is where the noise is added; ``TracingConfig.noise_std`` sets another.

Axes: N prompts, L layers, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.waiting import on_device
from coemerge.localization.first_tokens import undisturbed
from coemerge.localization.restored_runs import CorruptedRuns
from coemerge.localization.traced_batch import (
    TracedBatch,
    alike,
    severed_name,
    tokens_per_pass,
)
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_noise import draw_noise, noise_scale
from coemerge.localization.tracing_prompts import (
    TracedPrompt,
    check_prompts,
    role_masks,
    role_names,
)
from coemerge.localization.tracing_result import TracingResult
from coemerge.scoring.forward import equal_batches


def trace(
    model: nn.Module,
    prompts: Sequence[TracedPrompt],
    config: TracingConfig | None = None,
    show_progress: bool = False,
) -> TracingResult:
    """Effects of restoring every state of every prompt, each alone; see ``TracingResult``.

    In eval mode without autocast; the model is left as found, also when this raises. Raises
    ValueError, before any pass, for bad settings, empty spans or ones that leave their prompt, and
    tokens or lengths that the model does not know.
    """
    config = config or TracingConfig()
    _check(model, prompts, config)
    return _traced(model, prompts, config, show_progress)


def total_effects(
    model: nn.Module,
    prompts: Sequence[TracedPrompt],
    config: TracingConfig | None = None,
    show_progress: bool = False,
) -> TracingResult:
    """What corruption alone does, as by ``trace``, at a small part of its cost: nothing is
    restored, and ``effects`` is empty. Raises as ``trace``."""
    config = config or TracingConfig()
    _check(model, prompts, config)
    return _traced(model, prompts, replace(config, kinds=(), severed=()), show_progress)


def _check(model: nn.Module, prompts: Sequence[TracedPrompt], config: TracingConfig) -> None:
    modules = ModuleMap(model)
    config.check(n_layers=modules.n_layers)
    check_prompts(modules, prompts, config)


def _traced(
    model: nn.Module, prompts: Sequence[TracedPrompt], config: TracingConfig, show_progress: bool
) -> TracingResult:
    modules = ModuleMap(model)
    result = _nothing_yet(prompts, config, modules.n_layers)
    if not prompts:
        return result
    result = replace(result, noise_std=noise_scale(model, prompts, config))
    what = f"tracing, noise on {config.corrupt}"
    bar = tqdm(total=len(prompts), desc=what, unit="prompt", disable=not show_progress)
    with bar, undisturbed(model) as device:
        for index in _batches(prompts, config, device):
            batch = [prompts[i] for i in index]
            noise = [draw_noise(prompt, config, modules.d_model) for prompt in batch]
            runs = CorruptedRuns(
                model,
                on_device([list(prompt.ids) for prompt in batch], device),
                on_device([prompt.answer for prompt in batch], device),
                result.noise_std * on_device(torch.stack(noise), device),
            )
            result.p_clean[index] = runs.p_clean.cpu()
            result.p_corrupted[index] = runs.p_corrupted.cpu()
            result.is_top1[index] = runs.is_top1.cpu()
            restored = (
                TracedBatch(model, runs, config, batch[0]).effects() if result.effects else ()
            )
            for kind, effect in restored:
                result.effects[kind][index, :, : effect.shape[-1]] = effect.cpu()
            bar.update(len(batch))
    return result


def _batches(
    prompts: Sequence[TracedPrompt], config: TracingConfig, device: torch.device
) -> Iterator[list[int]]:
    """Where nothing is restored, prompts of one length go together, whatever their spans."""
    if config.kinds or config.severed:
        return alike(prompts, config, device)
    sizes = [(config.samples * len(prompt.ids), 1) for prompt in prompts]
    return equal_batches(sizes, device, tokens_per_pass(config, device))


def _nothing_yet(
    prompts: Sequence[TracedPrompt], config: TracingConfig, n_layers: int
) -> TracingResult:
    """All that does not take the model, and arrays for what does."""
    n, longest = len(prompts), max((len(prompt.ids) for prompt in prompts), default=0)
    roles = np.zeros((n, longest, 6), bool)
    for row, prompt in zip(roles, prompts, strict=True):
        row[: len(prompt.ids)] = role_masks(prompt, config.corrupt)
    bounds = np.array([config.window_around(layer, n_layers) for layer in range(n_layers)])
    kinds = [*config.kinds, *map(severed_name, config.severed)]
    return TracingResult(
        p_clean=np.zeros(n, np.float32),
        p_corrupted=np.zeros(n, np.float32),
        is_top1=np.zeros(n, bool),
        effects={kind: np.full((n, n_layers, longest), np.nan, np.float32) for kind in kinds},
        roles=roles,
        role_names=role_names(config.corrupt),
        windows=bounds[:, 1] - bounds[:, 0],
        noise_std=0.0,
    )
