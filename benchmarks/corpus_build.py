"""Documents per second of the corpus stream at three sizes: flat if memory and work are."""

import itertools
import time
from collections.abc import Iterator

from benchmarks.common import settings
from coemerge.corpus.dataset import DatasetBuilder

SIZES = (10_000, 30_000, 100_000)


def run() -> Iterator[str]:
    rates = []
    for size in SIZES:
        builder = DatasetBuilder(settings(["experiment=fact_injection"]).dataset)
        started = time.perf_counter()
        count = sum(1 for _ in itertools.islice(builder.documents(), size))
        rates.append(count / (time.perf_counter() - started))
    shown = ", ".join(f"{n:,}: {r:,.0f}/s" for n, r in zip(SIZES, rates, strict=True))
    yield f"corpus stream   {shown}; largest / smallest rate {rates[-1] / rates[0]:.2f}"
