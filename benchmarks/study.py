"""The co-emergence study at four sizes, facts times checkpoints: seconds should grow with their
product. ``python -m benchmarks.study``.

All of it but drawing: checkpoints are read and scored, answers arranged, all tables computed. The
models are random, which changes nothing in what there is to do.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from benchmarks.common import small_dataset
from benchmarks.result import Result, as_table
from coemerge.lm.build import build_model
from coemerge.lm.checkpoint_manifest import CheckpointManifest
from coemerge.lm.checkpoints import save_checkpoint, weights_sha256
from coemerge.lm.series import Member, run_series
from coemerge.scoring.config import ScoreConfig
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.dynamics import dynamics_tables
from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.studies.co_emergence.transfer import Transfer
from coemerge.studies.shared.scored import arrange
from coemerge.studies.shared.scoring import Questions, SeriesScorer

SIZES = ((46, 3), (46, 6), (92, 6), (92, 12))  # facts, checkpoints: each has twice the last's
N_REPEATS = 3
CONFIG = CoEmergenceConfig(paraphrases=2)


def run() -> Iterator[Result]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        members = _random_checkpoints(Path(folder), max(n for _, n in SIZES))
        found = np.array(
            [
                [_seconds(members[:n], n_facts, Path(folder) / f"{repeat}") for n_facts, n in SIZES]
                for repeat in range(N_REPEATS)
            ]
        )
    products = np.prod(SIZES, axis=1)
    each = ", ".join(
        f"{facts} x {n} {seconds:.1f} s"
        for (facts, n), seconds in zip(SIZES, np.median(found, axis=0), strict=True)
    )
    slopes = [float(np.polyfit(products, seconds, 1)[0]) for seconds in found]
    yield Result("co-emergence study, slope", "per fact and checkpoint", [1e3 * s for s in slopes],
                 unit="ms", note=f"facts x checkpoints: {each}")  # fmt: skip
    powers = [float(np.log2(seconds[-1] / seconds[-2])) for seconds in found]
    told = f"from {products[-2]} to {products[-1]}; 1 is linear"
    yield Result("co-emergence study, growth", "power of facts x checkpoints", powers, 1.05,
                 at_most=True, unit="", note=told)  # fmt: skip


def _random_checkpoints(root: Path, n: int) -> Sequence[Member]:
    chosen, dataset = small_dataset()
    for step in range(n):
        model = build_model(
            chosen.config.model, dataset.tokenizer, dataset.store.row_length, "sdpa", step
        )
        manifest = CheckpointManifest(step, 0, weights_sha256(model), "")
        save_checkpoint(root / "checkpoints", model, dataset.tokenizer, manifest)
    return run_series(root)


def _seconds(members: Sequence[Member], n_facts: int, cache: Path) -> float:
    """Of the processor."""
    _, dataset = small_dataset()
    facts = dataset.facts.select(["fact_id", "relation", "arm"]).slice(0, n_facts)
    asked = dataset.prompts.filter(
        pc.is_in(dataset.prompts["fact_id"], pa.array(facts["fact_id"].to_pylist()))
    )
    if len(facts) < n_facts:
        raise ValueError(f"the data set has {len(facts)} facts, {n_facts} are to be studied")
    questions = Questions(asked, dataset.tokenizer, ScoreConfig(), CONFIG.paraphrases)
    cache = cache / f"{n_facts}-{len(members)}"
    cache.mkdir(parents=True)
    started = time.process_time()
    rows = SeriesScorer(questions, cache, "cpu").scores(members)
    scores = [arrange("benchmark", 0, facts.to_pandas(), rows)]
    co_emergence_tables(scores, CONFIG)
    Transfer(scores, CONFIG).by_kind()
    dynamics_tables(scores, [None])
    return time.process_time() - started


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
