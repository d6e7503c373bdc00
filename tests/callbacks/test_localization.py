"""Masks trained while a model trains: what is recorded, and that training notices nothing."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from transformers import GPT2LMHeadModel

from coemerge.callbacks.localization import Localization, localization_metrics, mask_config
from coemerge.callbacks.localizing import FactLocalizer, Localized
from coemerge.callbacks.schedule import StepSchedule
from coemerge.localization import masks as mask_training
from coemerge.localization.config import MaskConfig
from coemerge.localization.selection import SelectionConfig
from tests.callbacks.conftest import Interrupt, Trained, Trainer
from tests.localization.models import (
    D_MLP,
    FACTS,
    FIRST_OBJECT,
    N_HEADS,
    TASKS,
    neuron_of,
    planted_model,
    planted_prompts,
)

# Every fact counts as known, right or wrong, so that the untrained smoke model gets masks too.
EVERYTHING = (
    "trainer.max_steps=4",
    "trainer.batch_rows=2",
    "trainer.resume_every=1",
    "trainer.log_every=1",
    "callbacks.acquisition=null",
    "callbacks.checkpoints=null",
    "callbacks.exposure.schedule.count=4",
    "callbacks.localization.threshold=0",
    "callbacks.localization.n_facts=1",
    "callbacks.localization.masks.steps=2",
    "callbacks.localization.masks.control_facts=2",
)
TABLES = ("localization", "localization_overlaps")


@pytest.fixture(scope="module")
def watched(train: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("watched"), *EVERYTHING)


# --- during a training -----------------------------------------------------------------------


def test_training_is_bit_identical_without_it(watched: Trained, train: Trainer, tmp_path: Path):
    alone = train(tmp_path, *EVERYTHING, "callbacks.localization=null")

    assert len(watched.table("localization"))
    assert watched.weights == alone.weights
    left, right = (run.table("training").drop(columns="tokens_per_s") for run in (watched, alone))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert not any((alone.directory / "tables" / f"{name}.parquet").exists() for name in TABLES)


def test_tables_hold_one_row_per_mask_and_per_pair_of_tasks(watched: Trained):
    masks, overlaps = (watched.table(name) for name in TABLES)

    assert masks.groupby("step").size().to_dict() == {2: 6, 4: 6}
    assert masks["fact_id"].nunique() == 1  # the same at both steps
    assert overlaps.groupby("step").size().to_dict() == {2: 15, 4: 15}
    assert overlaps["jaccard"].dropna().between(0, 1).all()
    assert masks["density"].between(0, 1).all()


def test_metrics_are_means_of_the_tables(watched: Trained):
    masks = watched.table("localization")
    rows = masks[masks["task"] == "mcqa"].set_index("step")

    assert watched.metric("localization/n_masks") == {2: 6, 4: 6}
    logged = watched.metric("localization/mcqa/density")
    assert logged == pytest.approx(rows["density"].to_dict())


def test_an_interrupted_training_has_the_same_rows(
    watched: Trained, train: Trainer, tmp_path: Path
):
    with pytest.raises(RuntimeError, match="interrupted by the test"):
        train(tmp_path, *EVERYTHING, last=lambda job: [Interrupt(3)])

    resumed = train(tmp_path, *EVERYTHING, continues=True)

    assert resumed.weights == watched.weights
    for name in TABLES:
        pd.testing.assert_frame_equal(resumed.table(name), watched.table(name), check_exact=True)


def test_where_nothing_is_known_nothing_is_written(train: Trainer, tmp_path: Path):
    result = train(tmp_path, *EVERYTHING, "callbacks.localization.threshold=0.8")

    assert result.metric("localization/n_masks") == {2: 0, 4: 0}
    assert not (tmp_path / "tables" / "localization.parquet").exists()


def test_an_arm_without_facts_is_said_once_and_left_alone(
    train: Trainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        result = train(tmp_path, *EVERYTHING, "callbacks.localization.arm=A3_dose")

    assert [r for r in caplog.messages if "A3_dose" in r] == [
        "no relation has two facts in A3_dose: callbacks.localization does nothing"
    ]
    assert not result.metric("localization/n_masks")


# --- on a planted model ----------------------------------------------------------------------

# Ablation to zero: to the mean, silent neurons of other facts would write wrong objects.
SETTINGS: dict[str, Any] = {
    "exclusive": False,
    "precision": "float32",
    "reference": "zero",
    "rows_facts": 3,
    "rows_tasks": 2,
    "steps": 3,
}


def planted(n_facts: int = 2, **changes: Any) -> FactLocalizer:
    columns = {"fact_id": FACTS, "arm": ["A0_full"] * len(FACTS)}
    cells = [(fact, task) for fact in FACTS for task in TASKS]
    dataset: Any = SimpleNamespace(
        tokenizer=None,
        facts=pa.table(columns),
        prompts=planted_prompts(),
        plan=pa.table({"fact_id": [f for f, _ in cells], "task": [t for _, t in cells]}),
    )
    selection = SelectionConfig(n_facts=n_facts, min_facts=0)
    return FactLocalizer(dataset, "A0_full", MaskConfig(**SETTINGS | changes), selection)


def without(model: GPT2LMHeadModel, *cells: tuple[int, int]) -> GPT2LMHeadModel:
    """The model after it has forgotten some (fact, task); it then answers the next fact's."""
    wrong = torch.zeros_like(model.transformer.h[0].mlp.c_proj.weight[0])
    for fact, task in cells:
        wrong[FIRST_OBJECT + fact + 1] = 40.0
        with torch.no_grad():
            model.transformer.h[0].mlp.c_proj.weight[neuron_of(fact, task)] = wrong
        wrong = torch.zeros_like(wrong)
    return model


def localized(model: GPT2LMHeadModel, **changes: Any) -> Localized:
    found = planted(**changes)(model)
    assert found is not None
    return found


def test_planted_facts_are_found():
    found = localized(planted_model(), steps=60)

    masks = found.masks.set_index(["fact_id", "task"])
    assert list(masks.index) == [(fact, task) for fact in FACTS[:2] for task in TASKS]
    assert (masks["necessity"] == 1).all()
    assert (masks[["specificity_facts", "specificity_tasks"]] == 0).all().all()
    assert (masks["sufficiency"] > 0).all()  # the donor's own neuron answers too: ties
    assert masks["density"].to_numpy() == pytest.approx(
        (masks["n_heads"] + masks["n_neurons"]).to_numpy() / (N_HEADS + D_MLP)
    )
    assert (masks["n_neurons"] == 1).all()
    assert found.overlaps["jaccard"].tolist() == [0.0] * 6


def test_the_same_model_gives_the_same_bits():
    first, second = (localized(planted_model()) for _ in range(2))

    pd.testing.assert_frame_equal(first.masks, second.masks, check_exact=True)
    pd.testing.assert_frame_equal(first.overlaps, second.overlaps, check_exact=True)


def test_only_what_is_known_by_then_gets_a_mask():
    """fact-0 knows two tasks of three, fact-1 a single one."""
    model = without(planted_model(), (0, 2), (1, 0), (1, 1))

    found = localized(model)

    cells = list(zip(found.masks["fact_id"], found.masks["task"], strict=True))
    assert cells == [("fact-0", "task-0"), ("fact-0", "task-1")]
    assert found.overlaps[["task", "other_task"]].to_numpy().tolist() == [["task-0", "task-1"]]


def test_a_task_that_no_other_fact_is_known_in_has_no_control():
    forgotten = [(fact, 0) for fact in (1, 2, 3)]

    found = localized(without(planted_model(), *forgotten))

    masks = found.masks
    assert set(masks.loc[masks["fact_id"] == "fact-0", "task"]) == {"task-1", "task-2"}


def test_a_model_that_knows_nothing_has_no_masks():
    everything = [(fact, task) for fact in range(3) for task in range(3)]

    assert planted()(without(planted_model(), *everything)) is None


def test_weights_gradients_and_modes_are_left_alone():
    model = planted_model()
    state = prepared(model)

    localized(model)

    assert_as_prepared(model, state)


def test_nothing_is_left_behind_when_mask_training_raises(monkeypatch: pytest.MonkeyPatch):
    model = planted_model()
    state = prepared(model)
    step = mask_training._step

    def fail_late(*arguments: Any) -> None:
        step(*arguments)
        raise RuntimeError("in the middle")

    monkeypatch.setattr(mask_training, "_step", fail_late)

    with pytest.raises(RuntimeError, match="in the middle"):
        planted()(model)

    assert_as_prepared(model, state)


def prepared(model: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """In training mode, one weight frozen, the others with gradients; a copy of its weights."""
    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    model.lm_head.weight.requires_grad_(False)
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_as_prepared(model: GPT2LMHeadModel, before: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(bool((p.grad == 0.5).all()) for p in model.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in model.parameters())
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"lm_head.weight"}
    assert all(module.training for module in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.is_grad_enabled()


def test_a_subject_without_a_double_falls_back_on_placeholders(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A single fact is shown, so that nobody can stand in for its subject."""
    monkeypatch.setattr("coemerge.callbacks.localizing._shown", lambda d: d.prompts.slice(0, 0))
    monkeypatch.setattr("coemerge.callbacks.localizing.placeholder_token", lambda _: 3)

    localizer = planted()

    assert "no other subject to swap with" in caplog.text
    assert localizer._masks.corruption == "placeholder"


# --- metrics and settings --------------------------------------------------------------------


def test_undefined_measures_are_not_logged():
    row = {"fact_id": "f", "task": "mcqa", "necessity": np.nan, "specificity_facts": 0.2,
           "specificity_tasks": np.nan, "sufficiency": 1.0, "density": 0.1}  # fmt: skip
    pair = {"fact_id": "f", "task": "mcqa", "other_task": "fitb", "jaccard": 0.3}

    metrics = localization_metrics(Localized(pd.DataFrame([row]), pd.DataFrame([pair])))

    assert metrics == pytest.approx(
        {
            "localization/mcqa/specificity": 0.2,
            "localization/mcqa/sufficiency": 1.0,
            "localization/mcqa/density": 0.1,
            "localization/overlap/fitb_mcqa": 0.3,
        }
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 5}, r"callbacks.localization.masks: there is no 'step' \(did you mean 'steps'"),
        ({"lr": 0}, "callbacks.localization.masks.lr: must be positive, got 0"),
    ],
)
def test_settings_of_masks_are_checked(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        mask_config("small", changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_facts": 0}, "callbacks.localization.n_facts: must be a whole number from 1, got 0"),
        ({"threshold": 80}, r"callbacks.localization.threshold: must be in \[0, 1\], got 80"),
    ],
)
def test_settings_are_checked(watched: Trained, settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Localization(watched.job.run, StepSchedule(count=1), **settings)


def callback(watched: Trained) -> Localization:
    callbacks = watched.job.trainer.callbacks  # type: ignore[attr-defined]
    return next(c for c in callbacks if isinstance(c, Localization))


def test_an_architecture_that_gates_do_not_know_is_refused_with_the_remedy(watched: Trained):
    module: Any = SimpleNamespace(model=torch.nn.Linear(2, 2))

    with pytest.raises(ValueError, match=r"'Linear'.*callbacks\.localization=null"):
        callback(watched).setup(watched.job.trainer, module, "fit")


@pytest.mark.parametrize("is_first", [True, False])
def test_one_process_works_and_all_wait(
    watched: Trained, monkeypatch: pytest.MonkeyPatch, is_first: bool
):
    happened: list[str] = []
    trainer: Any = SimpleNamespace(
        is_global_zero=is_first,
        loggers=[],
        strategy=SimpleNamespace(barrier=lambda name: happened.append(f"wait: {name}")),
    )
    mine = callback(watched)
    localize: Any = lambda model: happened.append(f"localize {model}")  # noqa: E731
    localize.facts = ["f"]
    monkeypatch.setattr(mine, "_localize", localize)

    mine.at_step(trainer, SimpleNamespace(model="the model"), 4)  # type: ignore[arg-type]

    work = ["localize the model"] if is_first else []
    assert happened == [*work, "wait: localization"]
