"""Every state of some prompts restored: prompts that go together, and the order of passes.

Axes: B prompts of one batch, L layers, T tokens.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.sites import Site
from coemerge.localization.restored_runs import CorruptedRuns, Segments
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.scoring.forward import equal_batches

# Of one row: each token has a key that those of other segments only mask. A CPU pays for what is
# masked; elsewhere, few long passes are faster.
_ROW_TOKENS = {"cpu": 32}
_ROW_TOKENS_ELSEWHERE = 128


def severed_name(output: str) -> str:
    """The kind of effect with ``mlp`` or ``attn`` severed."""
    return f"resid_{output}_severed"


def alike(
    prompts: Sequence[TracedPrompt], config: TracingConfig, device: torch.device
) -> Iterator[list[int]]:
    """Indices of prompts of one length whose corrupted tokens begin and end at the same positions,
    as many as suit the device."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        corrupted = prompt.corrupted(config.corrupt)
        groups[len(prompt.ids), corrupted[0], corrupted[-1]].append(index)
    for (n_tokens, first, _), members in sorted(groups.items()):
        n_right = n_tokens - first
        width = max(n_tokens, min(_row_tokens(device), n_right * (n_right + 1) // 2))
        sizes = [(config.samples * width, 1)] * len(members)
        for chosen in equal_batches(sizes, device, tokens_per_pass(config, device)):
            yield [members[i] for i in chosen]


def _row_tokens(device: torch.device) -> int:
    return _ROW_TOKENS.get(device.type, _ROW_TOKENS_ELSEWHERE)


def tokens_per_pass(config: TracingConfig, device: torch.device) -> int:
    """On a CPU, big passes leave the cache."""
    return config.tokens_per_pass or (1024 if device.type == "cpu" else 32_768)


@dataclass(frozen=True)
class _Place:
    """Where the restored states of some segments go in the table of all."""

    positions: list[int]
    segments: Segments


class TracedBatch:
    """All effects of one batch; ``like``: a prompt with its length and its corrupted positions."""

    def __init__(
        self,
        model: nn.Module,
        runs: CorruptedRuns,
        config: TracingConfig,
        like: TracedPrompt,
    ) -> None:
        self._runs, self._config = runs, config
        self._n_layers = ModuleMap(model).n_layers
        self._n_tokens = len(like.ids)
        corrupted = like.corrupted(config.corrupt)
        n_rows = len(runs.p_clean) * config.samples
        device = runs.p_clean.device
        width = min(tokens_per_pass(config, device) // n_rows, _row_tokens(device))
        chunks = _chunks(range(corrupted[0], self._n_tokens), self._n_tokens, width)
        self._everywhere = [self._place(model, chunk) for chunk in chunks]
        at_all = config.severed_positions == "all"
        self._severed = self._everywhere if at_all else [self._place(model, corrupted[-1:])]

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
    """Positions in order, those from each to the prompt's end ``width`` tokens at most in all, or a
    single one."""
    chunk: list[int] = []
    n_taken = 0
    for position in positions:
        n_more = n_tokens - position
        if chunk and n_taken + n_more > width:
            yield chunk
            chunk, n_taken = [], 0
        chunk.append(position)
        n_taken += n_more
    if chunk:
        yield chunk
