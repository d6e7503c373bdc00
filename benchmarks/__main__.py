"""``python -m benchmarks [NAME ...]``: runs the benchmarks, all or those named, and prints one
table with medians, ranges and goals."""

import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import (
    attribution,
    callbacks,
    ceilings,
    corpus_build,
    editing,
    gpu,
    masks,
    scoring,
    stalls,
    storage,
    study,
    tracing,
    training,
)
from benchmarks.result import Result, as_table

BENCHMARKS: dict[str, Callable[[], Iterator[Result]]] = {
    module.__name__.removeprefix("benchmarks."): module.run
    for module in (
        training,
        callbacks,
        scoring,
        attribution,
        tracing,
        masks,
        editing,
        corpus_build,
        study,
        storage,
        ceilings,
        stalls,
        gpu,
    )
}


def main(names: list[str]) -> None:
    """Raises SystemExit for a name that there is not."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"error: no benchmark {', '.join(unknown)}: {', '.join(BENCHMARKS)}")
    results: list[Result] = []
    for name in names or BENCHMARKS:
        sys.stderr.write(f"{name} ...\n")
        started = time.perf_counter()
        for result in BENCHMARKS[name]():
            results.append(result)
            told = (*result.cells, result.note)
            sys.stderr.write(f"  {' | '.join(cell for cell in told if cell)}\n")
        sys.stderr.write(f"  {time.perf_counter() - started:.0f} s\n")
    sys.stdout.write(f"\n{as_table(results)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
