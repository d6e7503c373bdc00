"""Offline W&B runs, and what ``wandb leet`` reads back from their files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb

from coemerge.app import training
from coemerge.corpus.dataset import Dataset
from tests.conftest import ComposeSettings

SHORT = (
    "trainer.max_steps=2",
    "trainer.batch_rows=4",
    "trainer.threads=1",
    "trainer.log_every=1",
    "callbacks.progress=null",
    "callbacks.checkpoints=null",
    "callbacks.exposure.schedule.count=1",
    "callbacks.exposure.schedule.log_spaced=0",
    "callbacks.acquisition.full_templates_per_cell=1",
)


@dataclass
class Logged:
    """An offline run. ``rows`` are its history, ``summary`` its last values."""

    run: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    metrics: dict[str, str]
    exit_code: int | None

    @property
    def keys(self) -> set[str]:
        return set(self.summary).union(*self.rows)

    def values(self, name: str) -> dict[int, float]:
        return {int(row["step"]): row[name] for row in self.rows if name in row}


def fragments(directory: Path) -> list[Path]:
    return sorted(directory.glob("wandb/offline-run-*"))


def read_back(directory: Path) -> Logged:
    """The only offline run below ``directory/wandb``, read by W&B's own program."""
    (fragment,) = fragments(directory)
    program = Path(sys.executable).parent / "wandb"

    def inspect(*options: str) -> str:
        command = [program, "leet", "inspect", *options, "--json", fragment]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    records = [json.loads(line) for line in inspect().splitlines() if line.strip()]
    last = json.loads(inspect("--summary"))
    axes = [r["metric"] for r in records if r["type"] == "metric"]
    return Logged(
        run=next(r["run"] for r in records if r["type"] == "run"),
        rows=[r["history"]["item"] for r in records if r["type"] == "history"],
        summary=last["summary"],
        metrics={m["glob_name"]: m["step_metric"] for m in axes if m.get("glob_name")},
        exit_code=last.get("exit_code"),
    )


@pytest.fixture(autouse=True, scope="package")
def environment() -> Iterator[None]:
    """W&B changes the environment, and its service outlives a run."""
    before = dict(os.environ)
    yield
    wandb.teardown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="package")
def training_log(
    compose_settings: ComposeSettings,
    smoke_dataset: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Logged:
    """A training of two steps with the smoke experiment's callbacks and the usual logger."""
    directory = tmp_path_factory.mktemp("training")
    settings = compose_settings("experiment=smoke", *SHORT)
    threads = torch.get_num_threads()
    run = training.prepare_run(settings, directory, "smoke-seed0", smoke_dataset)
    try:
        job = training.assemble(settings, run, training.choose_machine(settings, directory))
        training.fit(job, continues=False)
    finally:
        torch.set_num_threads(threads)
    return read_back(directory)
