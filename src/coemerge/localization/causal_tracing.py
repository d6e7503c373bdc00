"""Which states carry an answer past the corruption of what it is asked about (methods 2.8, 4.4).

The subject's or the relation's tokens get noise, and the answer's probability P drops. Then single
states are put back as they were in the clean run: what P regains is the state's indirect effect.
After Meng et al., Locating and Editing Factual Associations in GPT (2202.05262), and its code.
Severed: while a residual is restored, all MLP (or attention) outputs at its position are held at
their corrupted values, so that it has to do without them.

Deviation: the noise's scale is that of ``embed``, positions included where the model adds them
there, since that is where the noise is added; ``TracingConfig.noise_std`` sets another.

Axes: N prompts, B of one batch, S corrupted copies, L layers, T tokens, d residual width.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.capture import capture
from coemerge.interventions.sites import Site
from coemerge.localization.first_tokens import prompt_batches, undisturbed
from coemerge.localization.prompts import stable_seed
from coemerge.localization.restored_runs import CorruptedRuns, Segments
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_prompts import (
    TracedPrompt,
    check_prompts,
    role_masks,
    role_names,
)
from coemerge.localization.tracing_result import TracingResult
from coemerge.scoring.forward import equal_batches, keep_logits

_ROW_TOKENS = 128  # of one row: each has a key that those of other segments only mask


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
    modules = ModuleMap(model)
    n_layers = modules.n_layers
    config.check(n_layers=n_layers)
    check_prompts(modules, prompts, config)
    longest = max((len(prompt.ids) for prompt in prompts), default=0)
    p_clean, p_corrupted = (np.zeros(len(prompts), np.float32) for _ in range(2))
    is_top1 = np.zeros(len(prompts), bool)
    shape = (len(prompts), n_layers, longest)
    kinds = [*config.kinds, *map(severed_name, config.severed)]
    effects = {kind: np.full(shape, np.nan, np.float32) for kind in kinds}
    noise_std = noise_scale(model, prompts, config) if prompts else 0.0
    bar = tqdm(total=len(prompts), desc="tracing", unit="prompt", disable=not show_progress)
    with bar, undisturbed(model) as device:
        for index, n_tokens in _batches(prompts, config, device):
            batch = [prompts[i] for i in index]
            noise = [draw_noise(prompt, config, modules.d_model) for prompt in batch]
            runs = CorruptedRuns(
                model,
                torch.tensor([list(prompt.ids) for prompt in batch], device=device),
                torch.tensor([prompt.answer for prompt in batch], device=device),
                noise_std * torch.stack(noise).to(device),
            )
            tracer = _Tracer(model, runs, config, n_layers, batch[0])
            p_clean[index] = runs.p_clean.cpu()
            p_corrupted[index] = runs.p_corrupted.cpu()
            is_top1[index] = runs.is_top1.cpu()
            for kind, effect in tracer.effects():
                effects[kind][index, :, :n_tokens] = effect.cpu()
            bar.update(len(batch))
    roles = np.zeros((len(prompts), longest, 6), bool)
    for n, prompt in enumerate(prompts):
        roles[n, : len(prompt.ids)] = role_masks(prompt, config.corrupt)
    bounds = np.array([config.window_around(layer, n_layers) for layer in range(n_layers)])
    return TracingResult(
        p_clean,
        p_corrupted,
        is_top1,
        effects,
        roles,
        role_names(config.corrupt),
        bounds[:, 1] - bounds[:, 0],
        noise_std,
    )


def severed_name(output: str) -> str:
    """The kind of effect with ``mlp`` or ``attn`` severed."""
    return f"resid_{output}_severed"


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


def _batches(
    prompts: Sequence[TracedPrompt], config: TracingConfig, device: torch.device
) -> Iterator[tuple[list[int], int]]:
    """(indices, tokens of each) of prompts of one length whose corrupted tokens begin and end at
    the same positions."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        corrupted = prompt.corrupted(config.corrupt)
        groups[len(prompt.ids), corrupted[0], corrupted[-1]].append(index)
    for (n_tokens, first, _), members in sorted(groups.items()):
        n_right = n_tokens - first
        width = max(n_tokens, min(_ROW_TOKENS, n_right * (n_right + 1) // 2))
        sizes = [(config.samples * width, 1)] * len(members)
        for chosen in equal_batches(sizes, device, _tokens_per_pass(config, device)):
            yield [members[i] for i in chosen], n_tokens


def _tokens_per_pass(config: TracingConfig, device: torch.device) -> int:
    """On a CPU, big passes leave the cache."""
    return config.tokens_per_pass or (1024 if device.type == "cpu" else 32_768)


@dataclass(frozen=True)
class _Place:
    """Where the restored states of some segments go in the table of all."""

    positions: list[int]
    segments: Segments


class _Tracer:
    """All effects of one batch; ``like``: a prompt with its length and its corrupted positions."""

    def __init__(
        self,
        model: nn.Module,
        runs: CorruptedRuns,
        config: TracingConfig,
        n_layers: int,
        like: TracedPrompt,
    ) -> None:
        self._runs, self._config, self._n_layers = runs, config, n_layers
        self._n_tokens = len(like.ids)
        corrupted = like.corrupted(config.corrupt)
        n_rows = len(runs.p_clean) * config.samples
        width = _tokens_per_pass(config, runs.p_clean.device) // n_rows
        chunks = _chunks(range(corrupted[0], self._n_tokens), self._n_tokens, width)
        last = [corrupted[-1]]
        self._everywhere = [self._place(model, chunk) for chunk in chunks]
        at_all = config.severed_positions == "all"
        self._severed = self._everywhere if at_all else [self._place(model, last)]

    def _place(self, model: nn.Module, positions: list[int]) -> _Place:
        places = [[position] for position in positions]
        return _Place(positions, Segments.of(model, places, self._n_tokens))

    def effects(self) -> Iterator[tuple[str, Tensor]]:
        """(kind, [B,L,T])."""
        before = self._runs.p_corrupted[:, None, None]
        for kind in self._config.kinds:
            p = self._residuals() if kind == "resid" else self._windows(f"{kind}_out")
            yield kind, p - before
        for output in self._config.severed:
            yield severed_name(output), self._residuals(f"{output}_out") - before

    def _residuals(self, severed: str | None = None) -> Tensor:
        """p [B,L,T] with ``resid_post`` restored."""
        runs, top = self._runs, self._n_layers - 1
        places = self._severed if severed else self._everywhere
        p = self._unchanged(None if places is self._everywhere else places)
        for layer in range(top):
            entry = runs.clean(Site("resid_post", layer))
            above = range(layer + 1, self._n_layers) if severed else ()
            held = {site: runs.corrupted(site) for site in _sites(severed or "", above)}
            for place in places:
                found = runs.p_restored(place.segments, layer + 1, entry, held)
                p[:, layer, place.positions] = found
        if any(self._n_tokens - 1 in place.positions for place in places):
            p[:, top, -1] = runs.p_clean  # the last state of all is what the answer is read from
        return p

    def _windows(self, name: str) -> Tensor:
        """p [B,L,T] with the outputs ``name`` of a window of layers restored."""
        runs, n_layers = self._runs, self._n_layers
        entries, p_top = runs.entries(name)
        p = self._unchanged()
        for layer in range(n_layers):
            first, stop = self._config.window_around(layer, n_layers)
            if first == n_layers - 1:
                p[:, layer, -1] = p_top
                continue
            held = {site: runs.clean(site) for site in _sites(name, range(first + 1, stop))}
            for place in self._everywhere:
                found = runs.p_restored(place.segments, first + 1, entries[first], held)
                p[:, layer, place.positions] = found
        return p

    def _unchanged(self, places: list[_Place] | None = None) -> Tensor:
        """[B,L,T] of p without any state restored; with ``places``, NaN at all other positions."""
        p = self._runs.p_corrupted[:, None, None].repeat(1, self._n_layers, self._n_tokens)
        if places is not None:
            traced = {position for place in places for position in place.positions}
            p[:, :, [t for t in range(self._n_tokens) if t not in traced]] = torch.nan
        return p


def _sites(name: str, layers: Sequence[int]) -> list[Site]:
    return [Site(name, layer) for layer in layers]


def _chunks(positions: Sequence[int], n_tokens: int, width: int) -> Iterator[list[int]]:
    """Positions in order, those from each to the prompt's end ``width`` tokens or
    ``_ROW_TOKENS`` at most in all, or a single one."""
    chunk: list[int] = []
    n_taken = 0
    for position in positions:
        n_more = n_tokens - position
        if chunk and n_taken + n_more > min(width, _ROW_TOKENS):
            yield chunk
            chunk, n_taken = [], 0
        chunk.append(position)
        n_taken += n_more
    if chunk:
        yield chunk
