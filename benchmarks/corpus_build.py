"""Documents per second and memory of a whole data-set build, facts and documents growing together.

Each size runs in a process of its own: facts computed on access, documents streamed, tables written
part by part. Flat rates and flat memory mean that nothing holds the corpus.
"""

import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.result import Result

SIZES = {10_000: 5, 100_000: 3, 1_000_000: 1}  # repeated so often: short runs vary most
_RELATIONS = 5


def run() -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    rates, memory = {}, {}
    for size, repeats in SIZES.items():
        with context.Pool(1, maxtasksperchild=1) as pool:
            builds = pool.map(build, [size] * repeats, chunksize=1)
        _, n_documents, _, memory[size] = builds[0]
        rates[size] = [rate for _, _, rate, _ in builds]
        told = f"peak memory {memory[size]:,.0f} MiB"
        yield Result("corpus build", f"{n_documents:,} documents", rates[size], unit="documents/s",
                     note=told)  # fmt: skip
    slowest, fastest = (pick(map(statistics.median, rates.values())) for pick in (min, max))
    yield Result("corpus build, rate", "slowest size over fastest", [slowest / fastest], 0.9)
    growth = max(memory.values()) / min(memory.values())
    yield Result("corpus build, memory", "largest size over smallest", [growth], 1.1, at_most=True)


def build(size: int) -> tuple[int, int, float, float]:
    """(facts, documents, documents per second of the stream to disk, peak memory in MiB)."""
    from benchmarks.common import settings
    from coemerge.corpus.builder import DatasetBuilder
    from coemerge.corpus.dataset import build_dataset

    chosen = settings(
        [
            "experiment=fact_injection",
            f"world.types.person.size={size // _RELATIONS}",
            "corpus.plan.tasks=[completion]",
            "corpus.plan.documents={completion:1}",
            "corpus.plan.arms.shares={A0_full:1,A1_withheld_target:0,A2_single_source:0,"
            "A5_never:0}",
        ]
    )
    seconds = []
    write_rows = DatasetBuilder.write_rows

    def timed(*arguments: object, **named: object) -> object:
        started = time.perf_counter()
        result = write_rows(*arguments, **named)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - started)
        return result

    DatasetBuilder.write_rows = timed  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as folder:
        dataset = build_dataset(chosen.dataset, Path(folder) / "data", progress=False)
        counts = dataset.manifest["counts"]
    n_documents = counts["documents"] + counts["background_documents"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return counts["facts"], n_documents, n_documents / seconds[0], peak
