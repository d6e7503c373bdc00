"""A hundred checkpoints of the main job's model: bytes of each against those of its weights, and
the time to write them against that of the training. ``python -m benchmarks.storage``.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import finished_run, small_dataset
from benchmarks.result import Result, as_table
from coemerge.lm.build import build_model
from coemerge.lm.checkpoint_manifest import CheckpointManifest
from coemerge.lm.checkpoints import save_checkpoint, weights_sha256

N_CHECKPOINTS, N_REPEATS = 100, 3


def run() -> Iterator[Result]:
    sizes, seconds = zip(*(_write() for _ in range(N_REPEATS)), strict=True)
    yield Result("checkpoint, bytes", "its weights", sizes, 1.05, at_most=True,
                 note=f"{N_CHECKPOINTS} checkpoints")  # fmt: skip
    job = finished_run("storage")
    if job is not None:
        shares = [100 * writing / job.training_s for writing in seconds]
        told = f"{N_CHECKPOINTS} checkpoints, {job.training_s:,.0f} s of training"
        yield Result("checkpoints, writing", "the main job's training", shares, 2, at_most=True,
                     unit="%", note=told)  # fmt: skip


def _write() -> tuple[float, float]:
    """(bytes of a checkpoint over those of its weights, seconds for all)."""
    chosen, dataset = small_dataset()
    tokenizer = dataset.tokenizer
    model = build_model(chosen.config.model, tokenizer, dataset.store.row_length, "sdpa", 0)
    n_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for step in range(N_CHECKPOINTS):
            manifest = CheckpointManifest(step, 0, weights_sha256(model), "")
            save_checkpoint(Path(folder), model, tokenizer, manifest)
        seconds = time.perf_counter() - started
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        kept = sum(path.stat().st_size for path in files)
    return kept / (N_CHECKPOINTS * n_bytes), seconds


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
