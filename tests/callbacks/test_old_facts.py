"""A run continues another one: what becomes of the facts of the first."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from coemerge.app.run_directory import update_manifest
from coemerge.app.settings import Settings
from coemerge.app.training import prepare_run
from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.lm.checkpoint_manifest import list_checkpoints
from coemerge.report.old_facts import format_old_facts, old_facts
from tests.bases import make_base
from tests.callbacks.conftest import Trained, Trainer, checkpoint_names, fit
from tests.conftest import ComposeSettings

BASE_STEPS = 6
STEPS = [0, 2, 4]
CONTINUED = (
    "experiment=continue_pretraining",
    "world=synthetic_tiny",
    "world.use=[birthplace]",
    "corpus.plan.documents={completion:3,fitb:3,openqa:3,mcqa:3,negmcqa:3,verification:3}",
    "logger=none",
    "trainer.threads=1",
    "trainer.batch_rows=4",
    "trainer.max_steps=4",
    "optimizer.warmup_steps=1",
)
WATCHED = ("callbacks.exposure.schedule={count:2,log_spaced:0}", "callbacks.progress=null")
KEYS = ["fact_id", "task", "template_id", "split", "options"]


@pytest.fixture(scope="module")
def base(train: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A smoke run whose last step is scored as every other one, prompts and batches alike."""
    return train(
        tmp_path_factory.mktemp("base"),
        f"trainer.max_steps={BASE_STEPS}",
        "callbacks.exposure.schedule={count:2,log_spaced:0}",
        "callbacks.acquisition.full.count=null",
        "+callbacks.acquisition.full.last=false",
    )


@pytest.fixture(scope="module")
def settings(base: Trained, compose_settings: ComposeSettings) -> Settings:
    return compose_settings(*CONTINUED, *WATCHED, f"model.base={base.directory}")


@pytest.fixture(scope="module")
def dataset(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build_dataset(settings.dataset, tmp_path_factory.mktemp("data") / "x", progress=False)


@pytest.fixture(scope="module")
def continued(settings: Settings, dataset: Dataset, tmp_path_factory) -> Trained:
    return fit(settings, dataset, tmp_path_factory.mktemp("continued"))


def at_step(table: pd.DataFrame, step: int) -> pd.DataFrame:
    rows = table[table["step"] == step].drop(columns="step")
    return rows.sort_values(KEYS, ignore_index=True)


def test_training_goes_on_from_the_last_checkpoint(base: Trained, settings: Settings):
    assert settings.base is not None
    assert settings.base.directory == list_checkpoints(base.directory / "checkpoints")[-1]
    assert settings.base.run == base.directory
    assert settings.base.weights_sha256 == base.weights


def test_at_step_0_old_facts_have_the_scores_that_the_base_run_ended_with(
    base: Trained, continued: Trained
):
    """Of the same prompts, to the last bit: the same weights and the same tokens."""
    ended = at_step(base.table("prompt_scores"), BASE_STEPS)
    begun = at_step(continued.table("old_facts"), 0)

    assert len(begun) == 60 * 6  # one held-out paraphrase of every fact and task
    pd.testing.assert_frame_equal(begun, ended, check_exact=True)


def test_the_facts_scored_are_the_bases_not_those_trained_on_now(
    base: Trained, continued: Trained, dataset: Dataset
):
    scored = set(continued.table("old_facts")["fact_id"])

    assert scored == set(base.job.run.dataset.facts["fact_id"].to_pylist())
    assert not scored & set(dataset.facts["fact_id"].to_pylist())
    assert set(continued.table("prompt_scores")["fact_id"]) == set(
        dataset.facts["fact_id"].to_pylist()
    )


def test_old_facts_are_scored_at_every_scheduled_step(continued: Trained):
    rows = continued.table("old_facts")

    assert sorted(rows["step"].unique()) == STEPS
    assert rows.groupby("step").size().nunique() == 1
    assert not at_step(rows, 0)["score"].equals(at_step(rows, 4)["score"])
    logged = continued.metric("old_facts/openqa/emerged_fraction")
    assert list(logged) == STEPS


def test_the_report_tells_of_every_task(continued: Trained):
    tables = continued.directory / "tables"

    assert set(old_facts(tables)["task"]) == set(continued.table("old_facts")["task"])
    assert "before and after" in format_old_facts(tables)


def test_scoring_old_facts_changes_nothing_about_the_training(
    base: Trained,
    continued: Trained,
    dataset: Dataset,
    compose_settings: ComposeSettings,
    tmp_path: Path,
):
    quiet = compose_settings(*CONTINUED, "callbacks=none", f"model.base={base.directory}")

    alone = fit(quiet, dataset, tmp_path)

    assert alone.weights == continued.weights
    assert not (tmp_path / "tables" / "old_facts.parquet").exists()


def test_without_a_run_as_base_there_are_no_old_facts(
    smoke_dataset: Dataset, compose_settings: ComposeSettings, tmp_path: Path
):
    """A folder from elsewhere: nobody knows which facts it was shown."""
    texts = smoke_dataset.prompts["text"].to_pylist()[::50]
    folder = make_base(tmp_path / "gpt2", "gpt2", texts)
    settings = compose_settings(*CONTINUED, *WATCHED, f"model.base={folder}")
    dataset = build_dataset(settings.dataset, tmp_path / "data", progress=False)

    trained = fit(settings, dataset, tmp_path / "run")

    assert settings.base is not None
    assert settings.base.run is None
    assert trained.job.run.old is None
    assert not (tmp_path / "run" / "tables" / "old_facts.parquet").exists()
    assert format_old_facts(tmp_path / "run" / "tables") == ""
    assert not any(name.startswith("old_facts/") for m in trained.logged for name in m)
    assert checkpoint_names(trained.directory) == [f"step-{step:08d}" for step in STEPS]


@pytest.mark.parametrize("what", ["gone", "replaced"])
def test_a_base_run_without_its_data_is_continued_with_a_warning(
    what: str,
    dataset: Dataset,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    """The facts of another data set at the same place would be no old facts."""
    assert settings.base is not None
    directory = tmp_path / "gone" if what == "gone" else dataset.directory
    moved = tmp_path / "moved"
    moved.mkdir()
    update_manifest(moved, data_directory=str(directory), data_hash="c0ffee")
    base = dataclasses.replace(settings.base, run=moved)

    run = prepare_run(dataclasses.replace(settings, base=base), tmp_path, "test", dataset)

    assert run.old is None
    assert str(moved) in caplog.text
    assert str(directory) in caplog.text
    assert "facts are not scored" in caplog.text
