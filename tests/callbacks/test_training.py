"""What callbacks do during real, short trainings of the smoke model."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from coemerge.app.run_directory import read_run_manifest
from coemerge.lm.checkpoint_manifest import list_checkpoints, read_manifest
from coemerge.lm.config import OptimizerConfig
from coemerge.lm.module import lr_factor
from tests.callbacks.conftest import Interrupt, Recorder, Trained, Trainer, checkpoint_names
from tests.tolerances import FLOAT32_LOSS

MAX_STEPS = 12
SCHEDULE = (
    f"trainer.max_steps={MAX_STEPS}",
    "callbacks.exposure.schedule.count=3",
    "callbacks.exposure.schedule.log_spaced=2",
    "callbacks.acquisition.full_templates_per_cell=1",
    "trainer.log_every=4",
    "trainer.resume_every=4",
)
STEPS = [0, 1, 2, 4, 8, 12]
PARAPHRASE = ["fact_id", "task", "template_id", "split", "options"]


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda n: f"accumulate={n}")
def trained(request: pytest.FixtureRequest, train: Trainer, tmp_path_factory) -> Trained:
    """A training with all callbacks, a recorder firing at every step, and a logger."""
    directory = tmp_path_factory.mktemp("run")
    accumulate = f"trainer.accumulate={request.param}"
    result = train(directory, *SCHEDULE, accumulate, last=lambda job: [Recorder(job)])
    result.accumulate = request.param  # type: ignore[attr-defined]
    return result


def test_checkpoints_are_exactly_the_scheduled_ones(trained: Trained):
    assert checkpoint_names(trained.directory) == [f"step-{step:08d}" for step in STEPS]
    manifests = [read_manifest(d) for d in list_checkpoints(trained.directory / "checkpoints")]
    assert [m.step for m in manifests] == STEPS


def test_no_two_checkpoints_share_their_weights(trained: Trained):
    found = list_checkpoints(trained.directory / "checkpoints")

    assert len({read_manifest(d).weights_sha256 for d in found}) == len(STEPS)


def test_checkpoints_hold_the_weights_of_their_step(trained: Trained):
    recorder = recorder_of(trained)

    for directory in list_checkpoints(trained.directory / "checkpoints"):
        manifest = read_manifest(directory)
        assert manifest.weights_sha256 == recorder.hashes[manifest.step]
        assert manifest.config_hash == trained.job.run.fingerprint
    assert recorder.hashes[-1] == trained.weights


def recorder_of(trained: Trained) -> Recorder:
    return next(c for c in trained.job.trainer.callbacks if isinstance(c, Recorder))


def test_callbacks_fire_once_per_step(trained: Trained):
    recorder = recorder_of(trained)

    assert recorder.fired == list(range(MAX_STEPS + 1))
    assert len(set(recorder.hashes)) == MAX_STEPS + 1  # each after its own optimizer step


def test_tables_hold_the_scheduled_steps(trained: Trained):
    for name in ("prompt_scores", "acquisition"):
        assert sorted(trained.table(name)["step"].unique()) == STEPS
    # nothing has been shown at step 0
    assert sorted(trained.table("exposure")["step"].unique()) == STEPS[1:]


def test_training_rows_come_every_few_steps_once_each(trained: Trained):
    rows = trained.table("training")

    assert rows["step"].tolist() == [4, 8, 12]
    assert (rows[["loss", "lr", "grad_norm", "tokens_per_s"]] > 0).all().all()
    assert rows["tokens_seen"].is_monotonic_increasing


def test_the_learning_rate_of_a_row_is_the_one_its_step_used(trained: Trained, train: Trainer):
    config: OptimizerConfig = train.settings(*SCHEDULE).config.optimizer
    factor = lr_factor(config, MAX_STEPS)

    rows = trained.table("training")

    for step, lr in zip(rows["step"], rows["lr"], strict=True):
        assert lr == pytest.approx(config.lr * factor(step - 1))


def test_exposures_are_those_of_the_rows_that_the_steps_used(trained: Trained):
    order, store = trained.job.run.order, trained.job.run.dataset.store
    shown = trained.table("exposure").groupby("step")["n_documents"].sum()

    for step in STEPS[1:]:
        n_rows = 4 * trained.accumulate * step  # type: ignore[attr-defined]
        assert order.rows_after(step) == n_rows
        assert shown[step] == (store.documents["row"] < n_rows).sum()


def test_tokens_seen_agree_between_tables_and_checkpoints(trained: Trained):
    by_step = trained.table("acquisition").groupby("step")["tokens_seen"].unique()
    manifests = [read_manifest(d) for d in list_checkpoints(trained.directory / "checkpoints")]

    assert {s: v.tolist() for s, v in by_step.items()} == {
        m.step: [m.tokens_seen] for m in manifests
    }
    rows = trained.table("training").set_index("step")["tokens_seen"]
    assert rows[8] == by_step[8][0]
    assert by_step[0][0] == 0


def test_a_full_scoring_asks_more_than_the_others(trained: Trained):
    rows = trained.table("prompt_scores")
    kinds = rows.groupby("step")[["split", "options"]].agg(lambda v: sorted(set(v)))

    assert kinds.loc[8, "split"] == ["held_out_templates"]
    assert kinds.loc[8, "options"] == ["fresh", "none"]
    assert kinds.loc[12, "split"] == ["held_out_templates", "seen_templates"]
    assert kinds.loc[12, "options"] == ["fresh", "none", "seen"]


def test_metrics_are_logged_on_both_axes_and_steps_never_go_back(trained: Trained):
    steps = [m["step"] for m in trained.logged]

    assert steps == sorted(steps)
    assert all("tokens_seen" in m for m in trained.logged)
    assert list(trained.metric("train/loss")) == [4, 8, 12]
    assert list(trained.metric("acquisition/mcqa/emerged_fraction")) == STEPS


def test_logged_metrics_are_named_as_design_7_says(trained: Trained, train: Trainer):
    tasks = train.settings(*SCHEDULE).config.corpus.plan.tasks
    arms = set(trained.job.run.dataset.facts["arm"].to_pylist()) - {"auxiliary"}
    expected = {"train/loss", "train/tokens_per_s"}
    expected |= {f"acquisition/{t}/{name}" for t in tasks for name in ("emerged_fraction", "score")}
    expected |= {f"acquisition/{a}/{t}/emerged_fraction" for a in arms for t in tasks}

    names = {name for m in trained.logged for name in m}

    assert expected <= names


def test_logged_scores_are_the_tables_on_held_out_paraphrases(trained: Trained):
    rows = trained.table("acquisition")
    held_out = rows[(rows["split"] == "held_out_templates") & (rows["options"] != "seen")]

    for task, step in (("mcqa", 12), ("openqa", 4)):
        chosen = held_out[(held_out["task"] == task) & (held_out["step"] == step)]
        logged = trained.metric(f"acquisition/{task}/score")[step]
        assert logged == pytest.approx(chosen["score"].mean())


def test_scores_are_those_of_the_whole_answer_over_uniform_guessing(trained: Trained):
    rows = trained.table("prompt_scores")
    prompts = trained.job.run.dataset.prompts.select([*PARAPHRASE, "chance"]).to_pandas()

    chance = rows[PARAPHRASE].merge(prompts.drop_duplicates(), on=PARAPHRASE)["chance"]

    assert rows["chance"].to_numpy() == pytest.approx(chance.to_numpy())
    scores = (rows["p_full"] - rows["chance"]) / (1 - rows["chance"])
    assert rows["score"].to_numpy() == pytest.approx(scores.to_numpy(), abs=FLOAT32_LOSS)


def test_chance_can_be_that_of_the_answers_frequencies(train: Trainer, tmp_path: Path):
    result = train(tmp_path, "trainer.max_steps=1", "score.chance=answer_prior")
    rows = result.table("prompt_scores")
    prompts = result.job.run.dataset.prompts.select([*PARAPHRASE, "prior"]).to_pandas()

    prior = rows[PARAPHRASE].merge(prompts.drop_duplicates(), on=PARAPHRASE)["prior"]

    assert rows["chance"].to_numpy() == pytest.approx(prior.to_numpy())
    scores = (rows["p_full"] - prior) / (1 - prior)
    assert rows["score"].to_numpy() == pytest.approx(scores.to_numpy(), abs=FLOAT32_LOSS)
    assert (read_run_manifest(tmp_path) or {})["score"] == {
        "base": "full",
        "chance": "answer_prior",
    }


def test_the_facts_lie_beside_the_runs_tables(trained: Trained):
    """So that a report needs nothing but the run's own directory."""
    assert trained.table("facts").equals(trained.job.run.dataset.facts.to_pandas())


def test_the_status_is_one_that_design_4_knows(trained: Trained):
    """Also between the last step and the summary, where a kill may find the run."""
    manifest = read_run_manifest(trained.directory) or {}

    assert manifest["status"] in {"running", "finished", "interrupted", "failed"}


def test_callbacks_change_nothing_about_the_training(train: Trainer, tmp_path: Path):
    every_step = ("trainer.max_steps=4", "callbacks.exposure.schedule.count=4")

    watched = train(tmp_path / "all", *every_step, "callbacks.acquisition.full.count=4")
    alone = train(tmp_path / "none", "trainer.max_steps=4", "callbacks=none")

    assert checkpoint_names(watched.directory) == [f"step-{step:08d}" for step in range(5)]
    assert not (alone.directory / "checkpoints").exists()
    assert watched.weights == alone.weights


def test_random_states_are_put_back_after_a_callback(train: Trainer, tmp_path: Path):
    class Noisy(Recorder):
        def at_step(self, trainer, module, step: int) -> None:
            torch.manual_seed(step)
            torch.rand(3)

    torch.manual_seed(5)
    quiet = train(tmp_path / "quiet", *SCHEDULE, "trainer.max_steps=2")
    after_quiet = torch.get_rng_state()
    torch.manual_seed(5)
    noisy = train(
        tmp_path / "noisy", *SCHEDULE, "trainer.max_steps=2", first=lambda job: [Noisy(job)]
    )

    assert torch.get_rng_state().equal(after_quiet)
    assert noisy.weights == quiet.weights


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_training_rows_are_one_per_step_when_accumulating(
    train: Trainer, tmp_path: Path, accumulate: int
):
    result = train(
        tmp_path,
        "trainer.max_steps=6",
        f"trainer.accumulate={accumulate}",
        "trainer.log_every=2",
        "trainer.batch_rows=2",
        "callbacks.acquisition=null",
        "callbacks.checkpoints=null",
    )

    assert result.table("training")["step"].tolist() == [2, 4, 6]
    assert list(result.metric("train/loss")) == [2, 4, 6]


PLAIN = (
    "trainer.max_steps=6",
    "trainer.batch_rows=2",
    "trainer.resume_every=2",
    "trainer.log_every=2",
    "callbacks.acquisition=null",
    "callbacks.exposure.schedule.count=6",
)


def interrupted(train: Trainer, directory: Path, after: list[int], *overrides: str) -> Trained:
    """Ended by an error after so many micro-batches of each process, then run to the end."""
    for index, n_batches in enumerate(after):
        with pytest.raises(RuntimeError, match="interrupted by the test"):
            train(
                directory,
                *overrides,
                continues=index > 0,
                last=lambda job, n=n_batches: [Interrupt(n)],
            )
    return train(directory, *overrides, continues=True)


@pytest.mark.parametrize(
    ("accumulate", "after"),
    [
        (1, [3]),
        (1, [2, 1, 1, 1]),
        (2, [1]),  # in the middle of the first step
        (2, [5]),  # in the middle of the third step
        (2, [5, 1]),  # and again right after resuming
        (3, [7, 2, 1]),
    ],
)
def test_an_interrupted_training_equals_an_uninterrupted_one(
    train: Trainer, tmp_path: Path, accumulate: int, after: list[int]
):
    overrides = (*PLAIN, f"trainer.accumulate={accumulate}")
    whole = train(tmp_path / "whole", *overrides)

    resumed = interrupted(train, tmp_path / "resumed", after, *overrides)

    assert resumed.weights == whole.weights
    assert checkpoint_names(resumed.directory) == checkpoint_names(whole.directory)
    for name in ("training", "exposure"):
        left, right = (
            result.table(name).drop(columns="tokens_per_s", errors="ignore")
            for result in (whole, resumed)
        )
        pd.testing.assert_frame_equal(left, right, check_exact=True)


DROPOUT = "model.config.resid_pdrop=0.3"


def test_a_model_with_dropout_goes_on_exactly_too(train: Trainer, tmp_path: Path):
    """Its masks are a function of seed, step and micro-batch, whatever was drawn before."""
    overrides = (*PLAIN, "trainer.accumulate=2", DROPOUT)
    whole = train(tmp_path / "whole", *overrides)
    torch.manual_seed(99)

    resumed = interrupted(train, tmp_path / "resumed", [5, 2], *overrides)

    assert resumed.weights == whole.weights


def test_dropout_is_switched_on(train: Trainer, tmp_path: Path):
    """The test above can fail."""
    short = ("trainer.max_steps=1", "callbacks=none")

    dropping = train(tmp_path / "with", *short, DROPOUT)
    plain = train(tmp_path / "without", *short)

    assert dropping.weights != plain.weights


def test_a_resumed_training_does_not_repeat_its_first_step(train: Trainer, tmp_path: Path):
    overrides = (*PLAIN, "trainer.accumulate=1")
    with pytest.raises(RuntimeError, match="interrupted"):
        train(tmp_path, *overrides, last=lambda job: [Interrupt(5)])
    before = (tmp_path / "checkpoints" / "step-00000004" / "manifest.json").stat().st_mtime_ns

    resumed = train(tmp_path, *overrides, continues=True, first=lambda job: [Recorder(job)])

    assert recorder_of(resumed).fired[0] >= 4
    after = (tmp_path / "checkpoints" / "step-00000004" / "manifest.json").stat().st_mtime_ns
    assert after == before
