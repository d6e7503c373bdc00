"""Attribution of all neurons to an answer, side by side with two peers on random models: the habit
of public code (one prompt, one layer and one batch of full-length points of the path at a time),
and captum's IntegratedGradients, which is given the same function of the neurons and uses its best
quadrature. ``python -m benchmarks.attribution``.

captum's LayerIntegratedGradients is no peer: its path moves all positions, and begins at what the
layer does on another prompt instead of at 0.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from captum.attr import IntegratedGradients
from torch import Tensor
from transformers import GPT2LMHeadModel

from benchmarks.common import random_gpt2
from benchmarks.result import Result, as_table, cpu_time, ratios
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute

STEPS, GOAL = 20, 20
N_PROMPTS, N_FOR_PEERS, N_REPEATS = 64, 2, 3
LENGTHS = (10, 22)  # mean tokens of the main job's completions, and of all its prompts
N_VOCAB = 1600
SHAPES = {"L4 d128": (4, 128, 1024), "L6 d256": (6, 256, 1024)}  # layers, residual, neurons
Measure = Callable[[GPT2LMHeadModel, Sequence[Sequence[int]], Sequence[Sequence[int]]], Tensor]


def run() -> Iterator[Result]:
    for name, shape in SHAPES.items():
        model = random_gpt2(*shape, N_VOCAB)
        for n_tokens in LENGTHS:
            yield from _compare(f"{name}, {n_tokens} tokens", model, n_tokens)


def _compare(name: str, model: GPT2LMHeadModel, n_tokens: int) -> Iterator[Result]:
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(N_VOCAB, (N_PROMPTS, n_tokens), generator=generator).tolist()
    answers = torch.randint(N_VOCAB, (N_PROMPTS, 1), generator=generator).tolist()
    few, few_answers = prompts[:N_FOR_PEERS], answers[:N_FOR_PEERS]
    ours = {
        grid: partial(attribute, config=AttributionConfig(steps=STEPS, grid=grid))
        for grid in ("midpoint", "gauss")
    }
    peers: dict[str, tuple[Measure, str]] = {
        "a layer and a prompt at a time": (_habit, "midpoint"),
        "captum": (_captum, "gauss"),
    }
    gaps = {
        peer: _largest_gap(ours[grid](model, few, few_answers), measure(model, few, few_answers))
        for peer, (measure, grid) in peers.items()
    }
    for peer, (measure, grid) in peers.items():
        found = ratios(
            cpu_time(lambda grid=grid: len(ours[grid](model, prompts, answers))),
            cpu_time(lambda measure=measure: len(measure(model, few, few_answers))),
            N_REPEATS,
        )
        told = f"{STEPS} points, all layers; scores differ by {gaps[peer]:.0e} of the largest"
        yield Result(f"attribution, {name}", peer, found, GOAL, note=told)


def _largest_gap(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _habit(
    model: GPT2LMHeadModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Tensor:
    places = (torch.arange(STEPS) + 0.5) / STEPS
    found = []
    for probability, own in _functions(model, prompts, answers):
        points = (places[:, None] * own).requires_grad_()
        (gradient,) = torch.autograd.grad(probability(points).sum(), points)
        found.append(own[0] * gradient.mean(0))
    return torch.stack(found).unflatten(0, (len(prompts), -1))


def _captum(
    model: GPT2LMHeadModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Tensor:
    found = [
        IntegratedGradients(probability).attribute(own, n_steps=STEPS, method="gausslegendre")[0]
        for probability, own in _functions(model, prompts, answers)
    ]
    return torch.stack(found).unflatten(0, (len(prompts), -1)).float()


def _functions(
    model: GPT2LMHeadModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Iterator[tuple[Callable[[Tensor], Tensor], Tensor]]:
    """Of every prompt and every layer of it: the answer's probability [n] with the layer's neurons
    at the last position set to [n,m], all tokens computed; and what they are untouched, [1,m]."""
    for prompt, (answer,) in zip(prompts, answers, strict=True):
        ids = torch.tensor([prompt])
        for layer in range(model.config.n_layer):
            site = Site("mlp_act", layer)
            with torch.no_grad(), capture(model, [site]) as seen:
                model(input_ids=ids, use_cache=False)
            yield partial(_probability, model, ids, answer, site), seen[site][:, -1]


def _probability(
    model: GPT2LMHeadModel, ids: Tensor, answer: int, site: Site, values: Tensor
) -> Tensor:
    def replace_last(x: Tensor) -> Tensor:
        return torch.cat((x[:, :-1], values[:, None].to(x)), 1)

    with intervene(model, {site: replace_last}):
        logits = model(input_ids=ids.expand(len(values), -1), use_cache=False).logits
    return logits[:, -1].softmax(-1)[:, answer]


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
