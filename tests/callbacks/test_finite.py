"""A loss that is no number ends the training before anything of it is kept, and names its cause."""

import json
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import pytest
import torch

from coemerge.callbacks.finite import NonFiniteError, StopAtNonFinite
from coemerge.corpus.patterns import TASK_NAMES
from tests.callbacks.conftest import Trained, Trainer, checkpoint_names

PLAIN = (
    "trainer.max_steps=6",
    "trainer.batch_rows=2",
    "trainer.resume_every=2",
    "trainer.log_every=2",
    "callbacks.acquisition=null",
    "callbacks.localization=null",
    "callbacks.exposure.schedule.count=6",
)


class Poison(lightning.Callback):
    """Makes a weight, or the gradient of one, no number, before or in a step, counted from 1."""

    def __init__(self, step: int, gradient: bool = False, value: float = float("nan")) -> None:
        self._step = step
        self._gradient = gradient
        self._value = value

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step + 1 == self._step and not self._gradient:
            with torch.no_grad():
                next(pl_module.parameters())[0, 0] = self._value

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_step + 1 == self._step and self._gradient:
            next(pl_module.parameters()).grad[0, 0] = self._value


def poisoned(train: Trainer, directory: Path, poison: Poison, *overrides: str) -> str:
    """The message."""
    with pytest.raises(NonFiniteError) as caught:
        train(directory, *PLAIN, *overrides, last=lambda job: [poison])
    return str(caught.value)


def tables(trained: Trained) -> dict[str, pd.DataFrame]:
    found = {name: trained.table(name) for name in ("training", "exposure")}
    return {name: t.drop(columns="tokens_per_s", errors="ignore") for name, t in found.items()}


@pytest.mark.parametrize("gradient", [False, True], ids=["loss", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_it_stops_at_the_step_and_the_state_before_it_goes_on(
    train: Trainer, tmp_path: Path, gradient: bool, value: float
):
    whole = train(tmp_path / "whole", *PLAIN)

    message = poisoned(train, tmp_path / "poisoned", Poison(4, gradient, value))
    kept = checkpoint_names(tmp_path / "poisoned")
    resumed = train(tmp_path / "poisoned", *PLAIN, continues=True)

    assert "at optimizer step 4" in message
    assert kept == [f"step-{step:08d}" for step in range(4)]  # none of step 4
    assert resumed.weights == whole.weights
    for name, table in tables(whole).items():
        pd.testing.assert_frame_equal(table, tables(resumed)[name], check_exact=True)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_names_the_documents_of_the_batch(train: Trainer, tmp_path: Path, accumulate: int):
    """The first micro-batch of the third step."""
    message = poisoned(train, tmp_path, Poison(3), f"trainer.accumulate={accumulate}")
    rows = range(2 * 2 * accumulate, 2 * 2 * accumulate + 2)

    found = json.loads((tmp_path / "not_finite.json").read_text())

    store, facts = train.dataset.store, train.dataset.facts["fact_id"].to_pylist()
    expected = [
        {"row": int(d["row"]), "fact_id": facts[d["fact"]], "task": TASK_NAMES[d["task"]]}
        for d in store.documents
        if d["row"] in rows
    ]
    assert found == {"step": 3, "rows": [rows.start, rows.stop], "documents": expected}
    assert len(expected) > 3
    assert f"rows {rows.start} to {rows.stop - 1} of the corpus: {len(expected)} doc" in message
    assert f"{expected[0]['fact_id']} ({expected[0]['task']})" in message
    assert "resume=true" in message


def test_without_callbacks_it_stops_too(train: Trainer, tmp_path: Path):
    plain = ("trainer.max_steps=3", "callbacks=none")

    with pytest.raises(NonFiniteError, match="step 2"):
        train(tmp_path, *plain, last=lambda job: [Poison(2)])


def test_on_other_devices_it_looks_where_something_is_due(
    train: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Seen two steps late the step is still told, and neither a checkpoint nor a state is kept."""
    monkeypatch.setattr("coemerge.callbacks.finite._answers_at_once", lambda flag: False)
    rare = (
        "trainer.log_every=5",
        "trainer.resume_every=5",
        "callbacks.exposure.schedule.count=1",
        "callbacks.exposure.schedule.log_spaced=0",
    )
    read: list[int] = []
    monkeypatch.setattr(
        StopAtNonFinite,
        "_read",
        lambda self, trainer, own=StopAtNonFinite._read: (
            read.append(trainer.global_step),
            own(self, trainer),
        ),
    )

    message = poisoned(train, tmp_path, Poison(3), *rare)

    assert read == [5]
    assert "at optimizer step 3" in message
    assert checkpoint_names(tmp_path) == ["step-00000000"]
    assert not (tmp_path / "resume").exists()
