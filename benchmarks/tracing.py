"""Causal tracing of every state, side by side with the plain way on random models: for each state a
forward pass of the clean prompt and its 10 corrupted copies, as in the public code, except that
the logits of the last token alone are computed. ``python -m benchmarks.tracing``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import random_gpt2
from benchmarks.result import Result, as_table, cpu_time, ratios
from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.placement import Function
from coemerge.interventions.sites import Site
from coemerge.localization.causal_tracing import trace
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_noise import draw_noise
from coemerge.localization.tracing_prompts import TracedPrompt

N_PROMPTS, N_PLAIN, N_REPEATS = 16, 1, 3
LENGTHS = (10, 22)  # mean tokens of the main job's completions, and of all its prompts
N_VOCAB, GOAL = 1600, 8
CONFIGS = {
    "three kinds": TracingConfig(severed=(), noise_std=1.0),
    "three kinds, windows of 2": TracingConfig(severed=(), window=2, noise_std=1.0),
}


def run() -> Iterator[Result]:
    model = random_gpt2(4, 128, 512, N_VOCAB)
    for n_tokens in LENGTHS:
        for name, config in CONFIGS.items():
            yield _compare(f"L4 d128, {n_tokens} tokens, {name}", model, config, n_tokens)


def _compare(name: str, model: nn.Module, config: TracingConfig, n_tokens: int) -> Result:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(N_VOCAB, (N_PROMPTS, n_tokens), generator=generator).tolist()
    prompts = [TracedPrompt(row, answer=7, subject=(1, 3)) for row in ids]
    ours = partial(trace, model, config=config)
    plain = partial(plain_effects, model, config=config)
    effects, expected = ours(prompts[:N_PLAIN]).effects, plain(prompts[:N_PLAIN])
    gap = max(
        float(np.abs(effects[kind] - expected[kind]).max() / np.abs(expected[kind]).max())
        for kind in expected
    )
    found = ratios(
        cpu_time(lambda: len(ours(prompts).effects["resid"])),
        cpu_time(lambda: len(plain(prompts[:N_PLAIN])["resid"])),
        N_REPEATS,
    )
    told = f"effects differ by {gap:.0e} of the largest"
    return Result(f"causal tracing, {name}", "a forward pass per site", found, GOAL, note=told)


@torch.no_grad()
def plain_effects(
    model: nn.Module, prompts: Sequence[TracedPrompt], config: TracingConfig
) -> dict[str, np.ndarray]:
    """[N,L,T] per kind, as ``TracingResult.effects`` with everything severed everywhere, of prompts
    of equal length; ``config.noise_std`` must be given."""
    effects = [_PlainTracer(model, prompt, config).effects() for prompt in prompts]
    return {kind: np.stack([effect[kind] for effect in effects]) for kind in effects[0]}


class _PlainTracer:
    """One prompt. Row 0 of each pass is clean, the others are corrupted."""

    def __init__(self, model: nn.Module, prompt: TracedPrompt, config: TracingConfig) -> None:
        self._model, self._prompt, self._config = model, prompt, config
        modules = ModuleMap(model)
        self._n_layers = modules.n_layers
        assert config.noise_std is not None
        noise = config.noise_std * draw_noise(prompt, config, modules.d_model)
        self._noise = torch.cat((torch.zeros_like(noise[:1]), noise))
        self._ids = torch.tensor([list(prompt.ids)]).expand(len(self._noise), -1)
        layers = range(self._n_layers)
        self._outputs = {n: [Site(f"{n}_out", layer) for layer in layers] for n in ("mlp", "attn")}
        with capture(model, self._outputs["mlp"] + self._outputs["attn"]) as self._untouched:
            self._before = self.p({})

    def effects(self) -> dict[str, np.ndarray]:
        """[L,T] per kind."""
        found = {kind: self._table(partial(self._restoring, kind)) for kind in self._config.kinds}
        for output in self._config.severed:
            found[f"resid_{output}_severed"] = self._table(partial(self._severing, output))
        return found

    def _table(self, functions: Callable[[int, int], dict[Site, Function]]) -> np.ndarray:
        places = [range(self._n_layers), range(len(self._prompt.ids))]
        return np.array(
            [
                [self.p(functions(layer, at)) - self._before for at in places[1]]
                for layer in places[0]
            ],
            dtype=np.float32,
        )

    def p(self, functions: dict[Site, Function]) -> float:
        """Mean over the corrupted rows."""
        with intervene(self._model, {Site("embed"): lambda x: x + self._noise, **functions}):
            logits = self._model(input_ids=self._ids, use_cache=False, logits_to_keep=1).logits
        return float(logits[1:, -1].softmax(-1)[:, self._prompt.answer].mean())

    def _restoring(self, kind: str, layer: int, at: int) -> dict[Site, Function]:
        if kind == "resid":
            return {Site("resid_post", layer): partial(_restored, at)}
        window = range(*self._config.window_around(layer, self._n_layers))
        return {self._outputs[kind][inside]: partial(_restored, at) for inside in window}

    def _severing(self, output: str, layer: int, at: int) -> dict[Site, Function]:
        held = {
            site: partial(_put, at, self._untouched[site][:, at]) for site in self._outputs[output]
        }
        return {Site("resid_post", layer): partial(_restored, at), **held}


def _restored(at: int, x: Tensor) -> Tensor:
    return _put(at, x[:1, at], x)


def _put(at: int, value: Tensor, x: Tensor) -> Tensor:
    new = x.clone()
    new[:, at] = value
    return new


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
