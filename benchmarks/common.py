"""What the benchmarks share: the real configuration, and a small data set built from it."""

import functools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from transformers import GPT2Config, GPT2LMHeadModel

from coemerge.app.cli import ROOT
from coemerge.app.run_directory import read_run_manifest
from coemerge.app.schema import register
from coemerge.app.settings import Settings, read_settings
from coemerge.corpus.dataset import Dataset, build_dataset


def settings(overrides: Sequence[str]) -> Settings:
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("train", [*overrides, f"paths.root={ROOT}"])
    return read_settings(composed, list(overrides))


@dataclass(frozen=True)
class FinishedRun:
    """The main job, from its manifest. Seconds by the clock; ``callbacks_s`` by callback."""

    directory: Path
    training_s: float
    callbacks_s: Mapping[str, float]


def finished_run(needed_by: str) -> FinishedRun | None:
    """None, and a line that says so, where ``make train`` has not been through."""
    directory = ROOT / "artifacts/runs/fact_injection-seed0"
    manifest = read_run_manifest(directory)
    if manifest is None or manifest["status"] != "finished":
        sys.stderr.write(f"{needed_by}: no finished run in {directory} (make train)\n")
        return None
    callbacks = manifest["callbacks_wall_s"]
    return FinishedRun(directory, manifest["wall_s"] - sum(callbacks.values()), callbacks)


@functools.cache
def small_dataset() -> tuple[Settings, Dataset]:
    """A tenth of the main job's documents."""
    counts = "completion:20,fitb:14,openqa:12,mcqa:70,negmcqa:55,verification:65"
    chosen = settings(["experiment=fact_injection", f"corpus.plan.documents={{{counts}}}"])
    directory = Path(tempfile.mkdtemp(prefix="coemerge-bench-")) / "data"
    return chosen, build_dataset(chosen.dataset, directory, progress=False)


def random_gpt2(n_layers: int, d_model: int, d_mlp: int, n_vocab: int) -> GPT2LMHeadModel:
    """Of the shape of our models, with weights that make its answers depend on the prompt."""
    config = GPT2Config(
        vocab_size=n_vocab,
        n_positions=128,
        n_embd=d_model,
        n_layer=n_layers,
        n_head=d_model // 32,
        n_inner=d_mlp,
        initializer_range=0.06,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    return GPT2LMHeadModel(config).eval().requires_grad_(False)
