"""How far each job is from what this machine can do: floating-point operations as the code does
them (torch's counter) per second, over the rate of plain matrix products. ``python -m
benchmarks.ceilings``.

Of analyses, the ceiling is the best of products of the shapes that the main job's model has, in
float32, on one thread: [n,128] x [128,1024] and back. Of training, it is that of large square
matrices in its precision, on all threads. What elementwise operations, attention, hooks and Python
take is all that lies below it.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from benchmarks import scaling
from benchmarks.common import random_gpt2, small_dataset
from benchmarks.counting import operations
from benchmarks.gpu import ceiling, operations_per_token
from benchmarks.result import Result, as_table
from benchmarks.training import Job, ours, setup
from coemerge.app.instances import quiet_libraries
from coemerge.scoring.forward import Question, score_prompts
from coemerge.scoring.probe import make_probe, select_prompts

SHAPE = (4, 128, 1024)  # layers, residual, neurons: the main job's
N_REPEATS = 3
PRODUCTS = ((1024, 128, 1024), (1024, 1024, 128), (4096, 128, 1024))
SIDE = 2048  # of square matrices
MEMORY = 64 << 20  # numbers that are copied: far more than any cache holds


@dataclass(frozen=True)
class Ceiling:
    """Operations and bytes per second of one thread."""

    operations: float
    bytes: float


def run() -> Iterator[Result]:
    yield _of_training()
    torch.set_num_threads(1)
    model = random_gpt2(*SHAPE, scaling.n_vocab())
    most = measure_ceiling()
    jobs: dict[str, tuple[Callable[[nn.Module], int], str]] = {
        "scoring": (scored, "prompt"),
        "attribution": (scaling.attributed, "prompt"),
        "causal tracing": (scaling.traced, "prompt"),
        "rank-one edits": (scaling.edited, "edit"),
    }
    for name, (work, unit) in jobs.items():
        yield _share(name, unit, partial(work, model), most)


def _of_training() -> Result:
    quiet_libraries()
    job = Job(*small_dataset())
    speeds = [1 / ours(job) for _ in range(N_REPEATS)]
    per_token = operations_per_token(job)
    precision = setup(job).precision  # which also chooses the number of threads
    most = ceiling("cpu", SIDE, torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
    told = (
        f"{per_token / 1e6:.1f} million operations per token, {precision}, "
        f"{torch.get_num_threads()} threads; ceiling {most / 1e9:,.0f} GFLOP/s"
    )
    shares = [100 * speed * per_token / most for speed in speeds]
    return Result("of the machine: training", "matrix products alone", shares, unit="%", note=told)


def scored(model: nn.Module) -> int:
    score_prompts(model, asked_at_checkpoints())
    return len(asked_at_checkpoints())


@cache
def asked_at_checkpoints() -> Sequence[Question]:
    _, dataset = small_dataset()
    prompts = select_prompts(dataset.prompts, ["held_out_templates"], ["fresh"], 1)
    return make_probe(prompts).questions


def measure_ceiling() -> Ceiling:
    """The best of a few."""
    rates = []
    for m, k, n in PRODUCTS:
        a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        seconds = min(_seconds(partial(torch.mm, a, b, out=out)) for _ in range(50))
        rates.append(2 * m * k * n / seconds)
    source, target = torch.ones(MEMORY), torch.empty(MEMORY)
    seconds = min(_seconds(partial(target.copy_, source)) for _ in range(5))
    return Ceiling(max(rates), 2 * 4 * MEMORY / seconds)


def _share(name: str, unit: str, work: Callable[[], int], most: Ceiling) -> Result:
    n_operations = operations(work)
    n = work()
    rates = [n_operations / _seconds(work) for _ in range(N_REPEATS)]
    told = (
        f"{n_operations / n / 1e6:,.0f} million operations per {unit}, one thread; ceiling "
        f"{most.operations / 1e9:.0f} GFLOP/s, memory {most.bytes / 1e9:.0f} GB/s"
    )
    shares = [100 * rate / most.operations for rate in rates]
    return Result(f"of the machine: {name}", "matrix products alone", shares, unit="%", note=told)


def _seconds(work: Callable[[], object]) -> float:
    """Of the processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
