"""What a unit of each study costs, how fast this machine computes it in models of several sizes,
and what that comes to for models of 1 and 7 billion parameters: ``python -m benchmarks.scaling``.

Floating-point operations are counted as the code does them (torch's counter, forwards and
backwards) in models of two depths, and told in token passes: multiples of 2 x the parameters of all
blocks. Seconds are those of the processor, on one thread.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import nn

from benchmarks.common import random_gpt2, small_dataset
from benchmarks.counting import operations
from coemerge.editing.rank_one import rank_one
from coemerge.editing.requests import Goal, Request
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.causal_tracing import trace
from coemerge.localization.chunks import train_masks
from coemerge.localization.effects import EffectsConfig, evaluate_masks
from coemerge.localization.examples import Examples
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.localization.trained import TrainedMasks
from coemerge.scoring.forward import score_prompts
from coemerge.scoring.probe import make_probe
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Subject, prepare

SHALLOW, DEEP = (3, 64, 256), (6, 64, 256)  # layers, residual, neurons: where work is counted
SHAPES = ((2, 64, 256), (4, 128, 512), (6, 256, 1024), (8, 512, 2048))  # where it is timed
CANDIDATES, MASKED_FACTS, STEPS = 40, 2, 2  # further steps are alike
# Layers, and parameters of their blocks.
LARGE = {"OLMo 1B": (16, 1.07e9), "OLMo 7B": (32, 6.48e9)}
PEAK = 67e12  # of an H100 in float32, as its vendor states it
SHARES = (0.2, 0.5)  # of the peak, from slow to fast
Work = Callable[[nn.Module], int]  # does some units, and says how many


@dataclass(frozen=True)
class Unit:
    """``operations`` of one unit in models of two depths; ``b``: parameters of one of their
    blocks."""

    name: str
    operations: tuple[float, float]
    b: int

    def passes(self, n_layers: int) -> float:
        """Token passes. Operations are those of all layers; of what looks at every layer, also
        their number squared."""
        x, y = (SHALLOW[0], DEEP[0]), self.operations
        if self.name in EVERY_LAYER:
            slope = (y[1] / x[1] - y[0] / x[0]) / (x[1] - x[0])
            per_layer = y[0] / x[0] + slope * (n_layers - x[0])
        else:
            per_layer = (y[0] + (y[1] - y[0]) * (n_layers - x[0]) / (x[1] - x[0])) / n_layers
        return per_layer / (2 * self.b)


@cache
def prompts() -> list:
    return list(make_probe(small_dataset()[1].prompts).questions)[::400]


@cache
def n_vocab() -> int:
    return len(small_dataset()[1].tokenizer)


def scored(model: nn.Module) -> int:
    score_prompts(model, prompts())
    return len(prompts())


def attributed(model: nn.Module, method: str = "joint") -> int:
    few = prompts()[::4]
    asked = [list(q.ids) for q in few], [[q.answer_ids[0]] for q in few]
    attribute(model, *asked, AttributionConfig(method, 20))
    return len(few)


def traced(model: nn.Module) -> int:
    few = [TracedPrompt(list(q.ids), q.answer_ids[0], (1, 3)) for q in prompts()[::8]]
    trace(model, few, TracingConfig(noise_std=1.0))
    return len(few)


def edited(model: nn.Module) -> int:
    few = prompts()[::8]
    requests = [Request(Goal(list(q.ids), (1, 3), [7]), list(q.answer_ids)) for q in few]
    rank_one(model, requests, 1, [()], None)
    return len(few)


def masked(model: nn.Module) -> dict[str, float]:
    """Operations of a step of training one mask, and of an evaluation of one."""
    _, data = small_dataset()
    facts = sorted(set(data.prompts["fact_id"].to_pylist()))[:CANDIDATES]
    config = TaskLocalizationConfig(
        threshold=0, n_facts=MASKED_FACTS, min_facts=1, masks={"steps": STEPS}
    )
    subject = Subject(model, 0, data.prompts, facts, None, 5)
    selected, asked = prepare(subject, config)
    examples = Examples(
        asked, selected.targets, list(selected.accuracy), config.mask_config, selected.known
    )
    trained: list[TrainedMasks] = []
    n = operations(lambda: trained.append(train_masks(model, examples, show_progress=False)))
    masks = trained[0]
    found = {"a step of training a mask": n / (len(masks) * STEPS)}
    evaluated = []
    for draws in (1, 2):  # every further one costs the same
        settings = EffectsConfig(config.all_references, draws, config.other_prompts)
        n = operations(partial(evaluate_masks, model, examples, masks, settings))
        evaluated.append(n / len(masks))
    first, second = evaluated
    name = f"evaluating a mask beside {config.random_draws} random ones"
    return found | {name: first + (config.random_draws - 1) * (second - first)}


EVERY_LAYER = (
    "attributing a prompt (joint, 20 points)",
    "tracing a prompt (10 samples, all kinds)",
)
WORK: dict[str, Work] = {
    "scoring a prompt": scored,
    "attributing a prompt (joint, 20 points)": attributed,
    "tracing a prompt (10 samples, all kinds)": traced,
    "an edit by ROME (as published)": edited,
}


def counted(model: nn.Module) -> dict[str, float]:
    """Operations of a unit."""
    found = {name: operations(partial(work, model)) / work(model) for name, work in WORK.items()}
    return found | masked(model)


def n_of_blocks(model: nn.Module) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if ".h." in name)


def units() -> list[Unit]:
    shallow, deep = (random_gpt2(*shape, n_vocab()) for shape in (SHALLOW, DEEP))
    b = n_of_blocks(shallow) // SHALLOW[0]
    first, second = counted(shallow), counted(deep)
    return [Unit(name, (first[name], second[name]), b) for name in first]


def rates() -> list[tuple[str, int, float, float]]:
    """Shape, parameters, and GFLOP/s forwards (scoring) and with gradients (attribution)."""
    rows = []
    for shape in SHAPES:
        model = random_gpt2(*shape, n_vocab())
        speeds = []
        for work in (scored, attributed):
            best = min(_cpu_seconds(work, model) for _ in range(2))
            speeds.append(operations(partial(work, model)) / best / 1e9)
        rows.append((f"L{shape[0]} d{shape[1]}", n_of_blocks(model), *speeds))
    return rows


def _cpu_seconds(work: Work, model: nn.Module) -> float:
    started = time.process_time()
    work(model)
    return time.process_time() - started


def told(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"


def say(*cells: object) -> None:
    sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.flush()


def header(*cells: str) -> None:
    sys.stdout.write("\n")
    say(*cells)
    say(*["---"] * len(cells))


def main() -> None:
    torch.set_num_threads(1)
    mean = np.mean([len(q.ids) for q in prompts()])
    sys.stdout.write(f"tokens of a prompt, mean: {mean:.1f}\n")
    header("model", "parameters of blocks", "GFLOP/s forwards", "with gradients")
    for shape, n, forwards, backwards in rates():
        say(shape, f"{n / 1e6:.2f} M", f"{forwards:.0f}", f"{backwards:.0f}")
    found = units()
    header("token passes of", *(f"L{shape[0]}" for shape in (SHALLOW, DEEP)), *LARGE)
    for unit in found:
        depths = [SHALLOW[0], DEEP[0], *(n_layers for n_layers, _ in LARGE.values())]
        sizes = map(unit.passes, depths)
        say(unit.name, *(f"{size:,.0f}" for size in sizes))
    header("a thousand of", *(f"{name}, one GPU" for name in LARGE))
    for unit in found:
        work = [1000 * 2 * n * unit.passes(n_layers) for n_layers, n in LARGE.values()]
        slow, fast = SHARES
        times = [f"{told(w / PEAK / fast)} to {told(w / PEAK / slow)}" for w in work]
        say(unit.name, *times)


if __name__ == "__main__":
    main()
