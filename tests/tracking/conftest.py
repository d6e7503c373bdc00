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
from coemerge.app.settings import Settings
from coemerge.callbacks.context import RunContext
from coemerge.corpus.dataset import Dataset
from tests.conftest import ComposeSettings
from tests.tracking.standin import Server, standing_in

WANDB = Path(sys.executable).parent / "wandb"
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


KEEPING = (
    *(o for o in SHORT if "checkpoints" not in o),
    "trainer.max_steps=4",
    "trainer.resume_every=3",
    "callbacks.exposure.schedule.count=4",
    "callbacks.acquisition=null",
    "callbacks.localization=null",
)
KEY = "5afe" * 10  # of the length that W&B's keys have


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
    records = records_of(fragment)
    last = json.loads(_inspect(fragment, "--summary"))
    axes = [r["metric"] for r in records if r["type"] == "metric"]
    return Logged(
        run=next(r["run"] for r in records if r["type"] == "run"),
        rows=[r["history"]["item"] for r in records if r["type"] == "history"],
        summary=last["summary"],
        metrics={m["glob_name"]: m["step_metric"] for m in axes if m.get("glob_name")},
        exit_code=last.get("exit_code"),
    )


def records_of(fragment: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _inspect(fragment).splitlines() if line.strip()]


def _inspect(fragment: Path, *options: str) -> str:
    command = [WANDB, "leet", "inspect", *options, "--json", fragment]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def online(server: Server, home: Path) -> dict[str, str]:
    """The environment of somebody who is logged in to a server, and can reach no other."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "COEMERGE"))}
    dead_end = "http://127.0.0.1:9"  # nothing listens
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    no_network = {**dict.fromkeys(proxies, dead_end), "NO_PROXY": "127.0.0.1,localhost"}
    login = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": server.key, "HOME": str(home)}
    return {**kept, **no_network, **login}


@pytest.fixture
def server() -> Iterator[Server]:
    with standing_in(KEY) as server:
        yield server
        assert server.unknown == []
        assert server.refused == 0


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
    train(compose_settings("experiment=smoke", *SHORT), directory, smoke_dataset)
    return read_back(directory)


@pytest.fixture(scope="package")
def kept_training(
    compose_settings: ComposeSettings,
    smoke_dataset: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The directory of a run of four steps that keeps checkpoints, and went on from the third once
    more: two fragments."""
    directory = tmp_path_factory.mktemp("kept")
    settings = compose_settings("experiment=smoke", *KEEPING, "logger.wandb.tags=[a,b]")
    for continues in (False, True):
        train(settings, directory, smoke_dataset, continues)
    return directory


def train(
    settings: Settings, directory: Path, dataset: Dataset, continues: bool = False
) -> RunContext:
    threads = torch.get_num_threads()
    run = training.prepare_run(settings, directory, "smoke-seed0", dataset)
    try:
        job = training.assemble(settings, run, training.choose_machine(settings, directory))
        training.fit(job, continues=continues)
    finally:
        torch.set_num_threads(threads)
    return run
