"""How often the host waits for the device in each inner step, counted on a device that is pretended
(``benchmarks.pretended``): no GPU is needed, and nothing is timed. ``python -m benchmarks.stalls``.

Of n and of 2n steps, so that what is left is what every further step adds. The lines that wait are
named. A batch of analyses may read its result, once; whatever runs within one should not wait.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn

from benchmarks.common import random_gpt2, small_dataset
from benchmarks.pretended import Wait, pretended_device
from benchmarks.result import Result, as_table
from benchmarks.training import Job, fit, setup
from coemerge.app.instances import quiet_libraries
from coemerge.corpus.dataset import Dataset
from coemerge.editing.requests import Goal, Request
from coemerge.editing.value_config import ValueConfig
from coemerge.editing.values import optimise_values
from coemerge.lm.config import ModelConfig
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.causal_tracing import trace
from coemerge.localization.chunks import train_masks
from coemerge.localization.examples import Examples
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.scoring.forward import Question, score_prompts
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Subject, prepare

SHAPE, N_VOCAB = (2, 64, 128), 100  # layers, residual, neurons
MASK_STEPS = 10  # enough to meet every prompt, so that more steps prepare nothing more
N_TOKENS, ROWS = 6, 2  # of a prompt; prompts of a batch
TINY = ModelConfig("gpt2", {"n_layer": 2, "n_embd": 64, "n_head": 2, "n_inner": 128})
Work = Callable[[torch.device, int], None]  # so many inner steps


@dataclass(frozen=True)
class Loop:
    """``step``: what ``work`` does so many of; ``allowed``: reads in one."""

    name: str
    step: str
    work: Work
    n: int = 2
    allowed: int = 0


def run() -> Iterator[Result]:
    quiet_libraries()
    settings, dataset = small_dataset()
    job = replace(Job(settings, dataset), model=TINY, batch_rows=2)
    for loop in [training(job), masks(dataset), *LOOPS]:
        yield from results(loop, waits_per_step(loop))


def results(loop: Loop, found: Counter[Wait]) -> Iterator[Result]:
    """Reads and uploads in a step. Everything that is read is worth a line; uploads wait as well,
    but can be told not to."""
    for kind, goal in (("read", loop.allowed), ("upload", 0)):
        lines = {wait: n for wait, n in found.items() if wait.kind == kind}
        told = "; ".join(
            f"{wait.operation} {wait.where} x{n / loop.n:g}" for wait, n in lines.items()
        )
        n_waits = sum(lines.values()) / loop.n
        yield Result(f"stalls per inner step, {kind}s", loop.name, [n_waits], goal, at_most=True,
                     unit=f"per {loop.step}", note=told)  # fmt: skip


def waits_per_step(loop: Loop) -> Counter[Wait]:
    """Of ``loop.n`` steps, each wait as often as these add it. Raises ValueError where fewer steps
    wait more often."""
    once, twice = waits(loop.work, loop.n), waits(loop.work, 2 * loop.n)
    if once - twice:
        raise ValueError(f"{loop.name}: twice the steps wait less: {once - twice}")
    return twice - once


def waits(work: Work, n: int) -> Counter[Wait]:
    with pretended_device() as watch:
        work(watch.device, n)
        return Counter(watch.waits)


class _There(CPUAccelerator):
    """Lightning's idea of the device: it needs no preparation."""

    def setup_device(self, device: torch.device) -> None: ...


def training(job: Job) -> Loop:
    """Lightning's automatic optimisation, as in ``train.py``."""

    def work(device: torch.device, n: int) -> None:
        ready = replace(setup(replace(job, steps=n)), precision="32-true")
        place(ready.model, device)
        accelerator = _There()
        fit(ready, [], strategy=SingleDeviceStrategy(device, accelerator))

    return Loop("training", "optimizer step", work)


def masks(dataset: Dataset, n_facts: int = 2) -> Loop:
    """All masks of some facts at once."""
    model = random_gpt2(*SHAPE, len(dataset.tokenizer))
    facts = sorted(set(dataset.prompts["fact_id"].to_pylist()))[:40]
    config = TaskLocalizationConfig(
        threshold=0, n_facts=n_facts, min_facts=1, train_prompts=2, eval_prompts=1
    )
    subject = Subject(model, 0, dataset.prompts, facts, None, 5)
    selected, asked = prepare(subject, config)
    weights = model.state_dict()

    def work(device: torch.device, n: int) -> None:
        chosen = replace(config.mask_config, steps=n, precision="float32", exclusive=False)
        facts, tasks = selected.targets, list(selected.accuracy)
        examples = Examples(asked, facts, tasks, chosen, selected.known)
        there = random_gpt2(*SHAPE, len(dataset.tokenizer))
        there.load_state_dict(weights)
        train_masks(place(there, device), examples, show_progress=False)

    return Loop("training masks", "step of all masks", work, MASK_STEPS)


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """On the device, its tied weights still tied."""
    model.to(device)
    model.tie_weights()
    return model


def _model(device: torch.device) -> nn.Module:
    return place(random_gpt2(*SHAPE, N_VOCAB), device)


def _prompts(n: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(N_VOCAB, (n, N_TOKENS), generator=generator).tolist()


def _attributed(device: torch.device, n: int, points: int = 2) -> None:
    prompts = _prompts(n * ROWS)
    config = AttributionConfig(steps=points, rows_per_chunk=ROWS * N_TOKENS)
    attribute(_model(device), prompts, [[1]] * len(prompts), config)


def _attributed_along(device: torch.device, n: int) -> None:
    _attributed(device, 1, n * N_TOKENS)


def _traced(device: torch.device, n: int) -> None:
    prompts = [TracedPrompt(ids, 1, (1, 3)) for ids in _prompts(n * ROWS)]
    config = TracingConfig(samples=2, noise_std=1.0)
    corrupted_on = range(1, N_TOKENS)  # positions that a state can be restored at
    one_batch = ROWS * config.samples * sum(N_TOKENS - position for position in corrupted_on)
    trace(_model(device), prompts, replace(config, tokens_per_pass=one_batch))


def _scored(device: torch.device, n: int) -> None:
    """Half of them share a beginning."""
    shared = [Question([*range(20, 60), i], [1], [1, 2]) for i in range(n * 4 * ROWS)]
    alone = [Question(ids, [1], [1, 2]) for ids in _prompts(n * ROWS)]
    score_prompts(_model(device), shared, 48)
    score_prompts(_model(device), alone, ROWS * N_TOKENS)


def _edited(device: torch.device, n: int) -> None:
    requests = [Request(Goal(ids, (1, 3), [7]), [8]) for ids in _prompts(ROWS)]
    config = ValueConfig(steps=n + 1, stop_loss=0.0)
    optimise_values(_model(device), requests, [(), (5,)], 0, "projection", config)


LOOPS: Sequence[Loop] = (
    Loop("attribution, points of a path", "pass of every layer", _attributed_along),
    Loop("attribution", "batch of prompts", _attributed, allowed=1),
    Loop("causal tracing", "batch of prompts", _traced, allowed=1),
    Loop("scoring", "batch of prompts", _scored),
    Loop("values of edits", "step of all edits", _edited),
)


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
