"""Short real trainings of the smoke model, in process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import Logger

from coemerge.app import training
from coemerge.app.results import close_tables
from coemerge.app.settings import Settings
from coemerge.callbacks.base import ScheduledCallback
from coemerge.callbacks.schedule import StepSchedule
from coemerge.corpus.dataset import Dataset
from coemerge.lm.checkpoints import weights_sha256
from coemerge.tables.store import read_table
from tests.conftest import ComposeSettings

Extra = Callable[[training.Training], list[lightning.Callback]]


class Recorder(ScheduledCallback):
    """Notes at which steps it fires, and with which weights."""

    def __init__(self, job: training.Training, every: int = 1) -> None:
        super().__init__(job.run, StepSchedule(every=every))
        self.fired: list[int] = []
        self.hashes: list[str] = []

    def at_step(self, trainer: lightning.Trainer, module: Any, step: int) -> None:
        assert step == trainer.global_step
        self.fired.append(step)
        self.hashes.append(weights_sha256(module.model))


class Interrupt(lightning.Callback):
    """Ends the training with an error once this many micro-batches of a process are done."""

    def __init__(self, after: int) -> None:
        self._left = after

    def on_train_batch_end(self, *_: Any) -> None:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("interrupted by the test")


class ListLogger(Logger):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        return "list"

    @property
    def version(self) -> str:
        return "0"

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.logged.append(dict(metrics))


@dataclass
class Trained:
    """A finished (or interrupted) training and what it left behind."""

    directory: Path
    job: training.Training
    logged: list[dict[str, float]] = field(default_factory=list)

    @property
    def weights(self) -> str:
        return weights_sha256(self.job.module.model)

    def table(self, name: str) -> pd.DataFrame:
        return read_table(self.directory / "tables" / f"{name}.parquet").to_pandas()

    def metric(self, name: str) -> dict[int, float]:
        return {int(m["step"]): m[name] for m in self.logged if name in m}


@dataclass
class Trainer:
    """Trains the smoke model with overrides; ``extra`` callbacks come last, or first."""

    compose: ComposeSettings
    dataset: Dataset

    def settings(self, *overrides: str) -> Settings:
        quiet = () if "callbacks=none" in overrides else ("callbacks.progress=null",)
        return self.compose(
            "experiment=smoke",
            "logger=none",
            "trainer.threads=1",
            "trainer.batch_rows=4",
            *quiet,
            *overrides,
        )

    def __call__(
        self,
        directory: Path,
        *overrides: str,
        first: Extra | None = None,
        last: Extra | None = None,
        continues: bool = False,
    ) -> Trained:
        settings = self.settings(*overrides)
        return fit(settings, self.dataset, directory, first, last, continues)


def fit(
    settings: Settings,
    dataset: Dataset,
    directory: Path,
    first: Extra | None = None,
    last: Extra | None = None,
    continues: bool = False,
) -> Trained:
    """Trains as ``train.py`` does, in this process, on a data set that is there."""
    directory.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    run = training.prepare_run(settings, directory, "test", dataset)
    execution = training.choose_machine(settings, directory)
    job = training.assemble(settings, run, execution)
    job.trainer.callbacks[:0] = first(job) if first else []
    job.trainer.callbacks += last(job) if last else []
    logger = ListLogger()
    job.trainer.loggers = [logger]
    try:
        training.fit(job, continues)
        training.record_result(job)
        close_tables(run)
    finally:
        torch.set_num_threads(threads)
    return Trained(directory, job, logger.logged)


@pytest.fixture(scope="session")
def train(compose_settings: ComposeSettings, smoke_dataset: Dataset) -> Trainer:
    return Trainer(compose_settings, smoke_dataset)


def checkpoint_names(directory: Path) -> list[str]:
    """What lies in ``checkpoints/``, whatever it is."""
    return sorted(path.name for path in (directory / "checkpoints").iterdir())
