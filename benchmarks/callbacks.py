"""What all callbacks of the main job add to its training, as its run measured it: ``python -m
benchmarks.callbacks``. Needs the run, alone on its machine."""

import sys
from collections.abc import Iterator

import pyarrow.parquet as pq

from benchmarks.common import finished_run
from benchmarks.result import Result, as_table


def run() -> Iterator[Result]:
    job = finished_run("callbacks")
    if job is None:
        return
    n_checkpoints = len(list((job.directory / "checkpoints").glob("step-*")))
    localized = pq.read_table(job.directory / "tables/localization.parquet", columns=["step"])
    n_localized = len(set(localized["step"].to_pylist()))
    parts = sorted(job.callbacks_s.items(), key=lambda part: -part[1])
    told = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts if seconds >= 1)
    yield Result(
        "callbacks of fact_injection",
        "training alone",
        [100 * sum(job.callbacks_s.values()) / job.training_s],
        15,
        at_most=True,
        unit="%",
        note=f"{n_checkpoints} checkpoints, {n_localized} localizations with masks; training "
        f"{job.training_s:,.0f} s, {told}",
    )


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
