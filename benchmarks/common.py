"""What the benchmarks share: the real configuration, and a small data set built from it."""

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir

from coemerge.app.cli import ROOT
from coemerge.app.schema import register
from coemerge.app.settings import Settings, read_settings
from coemerge.corpus.dataset import Dataset, build_dataset


def settings(overrides: Sequence[str]) -> Settings:
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("train", [*overrides, f"paths.root={ROOT}"])
    return read_settings(composed, list(overrides))


@functools.cache
def small_dataset() -> tuple[Settings, Dataset]:
    """A tenth of the main job's documents."""
    counts = "completion:20,fitb:14,openqa:12,mcqa:70,negmcqa:55,verification:65"
    chosen = settings(["experiment=fact_injection", f"corpus.plan.documents={{{counts}}}"])
    directory = Path(tempfile.mkdtemp(prefix="coemerge-bench-")) / "data"
    return chosen, build_dataset(chosen.dataset, directory, progress=False)
