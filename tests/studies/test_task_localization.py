"""The study of task localization on a planted model, and its tables on effects made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from coemerge.localization.selection import asked_directly
from coemerge.localization.trained import TrainedMasks
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.drops import drop_matrix, mask_measures
from coemerge.studies.task_localization.localize import Localized, Subject, asked_tasks, localize
from coemerge.studies.task_localization.order import order_rows
from coemerge.studies.task_localization.sharing import entanglement_rows, layer_rows, overlap_rows
from coemerge.studies.task_localization.tables import task_localization_tables
from coemerge.tables.records import describe
from coemerge.tables.store import make_table, table_schema
from tests.localization.models import (
    FACTS,
    PLACEHOLDER,
    TASKS,
    neuron_of,
    planted_model,
    planted_prompts,
)

QUICK = {"bootstrap_draws": 50, "random_draws": 2, "min_facts": 2}
PLANTED = TaskLocalizationConfig(
    **QUICK,
    train_prompts=2,
    references=["zero"],
    masks={
        "steps": 60,
        "lr": 0.1,
        "precision": "float32",
        "reference": "zero",
        "corruption": "placeholder",  # another subject would bring its own answer
        "rows_facts": 3,
        "rows_tasks": 2,
    },
)


@pytest.fixture(autouse=True)
def known_tasks(monkeypatch):
    """The planted model's tasks count as generative ones."""
    from coemerge.prompts import tasks

    planted = {name: tasks.Task(name, "statement", "generative") for name in TASKS}
    monkeypatch.setattr(tasks, "TASKS", {**tasks.TASKS, **planted})


def subject() -> Subject:
    return Subject(
        model=planted_model(),
        seed=0,
        prompts=planted_prompts(),
        candidates=FACTS,
        shown=None,
        placeholder=PLACEHOLDER,
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Localized:
    return localize(subject(), PLANTED, tmp_path_factory.mktemp("cache"))


def value(rows: list[dict], name: str = "value", **wanted) -> float:
    found = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0][name]


def test_planted_neurons_are_found_and_a_second_mask_finds_nothing(planted: Localized):
    for variant in ("exclusive", "free"):
        masks = planted.masks[variant]
        for (fact, task), neurons in zip(masks.cells, masks.neurons, strict=True):
            expected = neuron_of(FACTS.index(fact), TASKS.index(task))
            assert np.flatnonzero(neurons[0]).tolist() == [expected]
    taken = planted.masks["free"].neurons & planted.masks["remask"].neurons
    assert not taken.any(), "a second mask excludes the first one's units"


def test_tables_of_the_planted_model(planted: Localized):
    tables = task_localization_tables([planted], PLANTED)

    for name, rows in tables.items():
        frame = pd.DataFrame(rows, columns=table_schema(name).names)
        make_table(name, {column: frame[column].to_numpy() for column in frame})
        for row in rows[:1]:
            assert set(row) == set(describe(name)), name
    filled = {name for name, rows in tables.items() if rows}
    assert filled == set(tables) - {"order_effect"}, "masks that are all alike have no order"
    measures = tables["mask_measures"]
    of = {"variant": "exclusive", "masks": "all", "reference": "zero", "task": "all"}
    assert value(measures, **of, control="none", measure="target_drop") > 0.7
    assert value(measures, **of, control="none", measure="tasks_drop") == 0
    assert value(measures, **of, control="none", measure="facts_drop") == 0
    assert value(measures, **of, control="none", measure="recovery") == 1
    assert value(measures, **of, control="none", measure="n_neurons") == 1
    assert value(measures, **of, control="none", measure="valid") > 0.7
    assert value(measures, **of, control="mismatched", measure="target_drop") == 0
    again = {**of, "variant": "remask"}
    assert value(measures, **again, control="none", measure="recovery") == 0
    drops = tables["drop_matrix"]
    for row in drops:
        if row["mask_task"] != row["eval_task"] or row["eval_facts"] == "other":
            assert row["drop"] == 0
    assert all(row["value"] == 0 for row in tables["entanglement"])
    assert all(row["jaccard"] == 0 for row in tables["mask_overlap"])
    assert len(tables["mask_units"]) >= 2 * len(FACTS) * len(TASKS)


def test_seeds_are_taken_together(planted: Localized):
    other = replace(planted, seed=1, effects=planted.effects.assign(seed=1))

    tables = task_localization_tables([planted, other], PLANTED)

    assert {row["seed"] for row in tables["masks"]} == {0, 1}
    of = {"variant": "free", "masks": "all", "reference": "zero", "control": "none"}
    n_facts = value(tables["mask_measures"], "n", **of, task="all", measure="target_drop")
    assert n_facts == 2 * len(FACTS)


def test_a_second_analysis_trains_and_evaluates_nothing(planted: Localized, tmp_path, monkeypatch):
    first = localize(subject(), PLANTED, tmp_path)
    for place in ("chunks.train_facts", "effects._Evaluation"):
        monkeypatch.setattr(f"coemerge.localization.{place}", None)

    second = localize(subject(), PLANTED, tmp_path)

    pd.testing.assert_frame_equal(first.effects, second.effects)
    for variant, masks in first.masks.items():
        assert (masks.neurons == second.masks[variant].neurons).all()


def test_two_step_forms_are_no_tasks():
    table = planted_prompts().to_pydict()
    table["task"] = ["cot_fitb_mcqa", *table["task"][1:]]
    prompts = make_table("prompts", table)

    assert asked_tasks(asked_directly(prompts), None) == TASKS
    assert asked_tasks(prompts, ["task-1", "task-0"]) == ["task-0", "task-1"]


def test_option_sets_that_training_showed_are_not_asked_where_there_are_fresh_ones():
    table = planted_prompts().to_pydict()
    table["options"] = ["seen", "fresh", *["none"] * (len(table["options"]) - 2)]
    prompts = make_table("prompts", table)

    assert asked_directly(prompts)["options"].to_pylist() == table["options"][1:]


def effects(rows: list[tuple]) -> pd.DataFrame:
    """(fact, mask task, asked task, whose facts, control, relative drop) ablations of one run."""
    names = ["fact_id", "mask_task", "eval_task", "eval_facts", "control", "relative_drop"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(
        seed=0,
        intervention="ablate",
        reference="mean",
        variant="exclusive",
        draw=0,
        valid=frame["fact_id"] == "a",
        recovery=np.nan,
    )


BY_HAND = effects(
    [
        ("a", "fitb", "fitb", "own", "none", 0.8),
        ("a", "fitb", "mcqa", "own", "none", 0.1),
        ("a", "fitb", "fitb", "other", "none", 0.2),
        ("b", "fitb", "fitb", "own", "none", 0.4),
        ("b", "fitb", "mcqa", "own", "none", -0.1),
        ("b", "fitb", "fitb", "other", "none", 0.0),
        ("a", "fitb", "fitb", "own", "random", 0.2),
        ("a", "fitb", "fitb", "own", "random", 0.0),
    ]
)
CONFIG = TaskLocalizationConfig(**QUICK)
ALL = {"masks": "all", "reference": "mean"}


def test_drops_are_means_over_facts():
    rows = drop_matrix(BY_HAND, CONFIG)

    target = {"mask_task": "fitb", "eval_task": "fitb", "eval_facts": "own"}
    assert value(rows, "drop", **ALL, **target) == pytest.approx(0.6)
    assert value(rows, "sd", **ALL, **target) == pytest.approx(0.4 / 2**0.5)
    assert value(rows, "n", **ALL, **target) == 2
    valid = {**ALL, "masks": "valid"}
    assert value(rows, "drop", **valid, **target) == pytest.approx(0.8)
    others = {**target, "eval_facts": "other"}
    assert value(rows, "drop", **ALL, **others) == pytest.approx(0.1)


def test_controls_stand_beside_masks():
    masks = pd.DataFrame(
        {"seed": 0, "fact_id": ["a", "b"], "task": "fitb", "variant": "exclusive",
         "n_heads": [1, 3], "n_neurons": [10, 20]}
    )  # fmt: skip
    rows = mask_measures(BY_HAND, masks, CONFIG)

    of = {**ALL, "task": "all"}
    assert value(rows, **of, control="none", measure="target_drop") == pytest.approx(0.6)
    assert value(rows, **of, control="none", measure="tasks_drop") == pytest.approx(0.0)
    assert value(rows, **of, control="none", measure="facts_drop") == pytest.approx(0.1)
    assert value(rows, **of, control="none", measure="valid") == pytest.approx(0.5)
    assert value(rows, **of, control="none", measure="n_heads") == pytest.approx(2)
    assert value(rows, **of, control="random", measure="target_drop") == pytest.approx(0.1)


def masks_by_hand(variant: str = "free") -> Localized:
    """Two facts x two tasks, four neurons: a shares one of three neurons, b none."""
    neurons = np.zeros((4, 1, 4), bool)
    for j, units in enumerate([[0, 1], [1, 2], [0], [3]]):
        neurons[j, 0, units] = True
    masks = TrainedMasks(
        fact_id=np.array(["a", "a", "b", "b"], dtype=object),
        task=np.array(["fitb", "mcqa"] * 2, dtype=object),
        heads=np.zeros((4, 1, 2), bool),
        neurons=neurons,
        order_index=np.array([0, 1, 1, 0]),
        losses=np.zeros((4, 4)),
        n_steps=np.ones(4, int),
        wall_s=np.zeros(4),
    )
    return Localized(0, {"a": "r", "b": "r"}, {variant: masks}, BY_HAND, None)  # type: ignore[arg-type]


def test_overlap_of_tasks_and_of_facts():
    rows = overlap_rows([masks_by_hand()], CONFIG)

    pair = {"task": "fitb", "other_task": "mcqa"}
    assert value(rows, "jaccard", between="tasks", **pair) == pytest.approx((1 / 3 + 0) / 2)
    same = {"task": "fitb", "other_task": "fitb"}
    assert value(rows, "jaccard", between="facts", **same) == pytest.approx(1 / 2)
    assert overlap_rows([masks_by_hand("exclusive")], CONFIG) == []


def test_entanglement_by_overlap_and_by_kind():
    rows = entanglement_rows([masks_by_hand()], BY_HAND.iloc[:0], CONFIG)

    for task in ("fitb", "mcqa", "generative", "discriminative"):
        assert value(rows, reading="overlap", task=task) == pytest.approx(1 / 6)


def test_densities_by_layer():
    rows = layer_rows([masks_by_hand()], CONFIG)

    of = {"variant": "free", "layer": 0}
    assert value(rows, "density", **of, kind="neuron", task="fitb") == pytest.approx(3 / 8)
    assert value(rows, "density", **of, kind="head", task="fitb") == 0


def test_coming_first_is_measured_within_facts():
    keys = {"seed": 0, "variant": "exclusive", "control": "none", "eval_facts": "own", "draw": 0}
    drops = {("a", "fitb"): 0.9, ("a", "mcqa"): 0.3, ("b", "fitb"): 0.2, ("b", "mcqa"): 0.8}
    frame = pd.DataFrame(
        [
            {**keys, "fact_id": f, "mask_task": t, "eval_task": t, "intervention": i,
             "reference": r, "relative_drop": drop, "recovery": 1.0, "valid": True}
            for (f, t), drop in drops.items()
            for i, r in (("ablate", "mean"), ("patch", "corrupted"))
        ]
    )  # fmt: skip
    masks = pd.DataFrame(
        {"seed": 0, "variant": "exclusive", "fact_id": ["a", "a", "b", "b"],
         "task": ["fitb", "mcqa"] * 2, "order_index": [0, 1, 1, 0],
         "n_heads": [1, 1, 1, 1], "n_neurons": [4, 2, 2, 4]}
    )  # fmt: skip

    rows = order_rows(frame, masks, CONFIG)

    assert value(rows, "rho", measure="target_drop") == pytest.approx(-1)
    assert value(rows, "first", measure="target_drop") == pytest.approx(0.85)
    assert value(rows, "last", measure="target_drop") == pytest.approx(0.25)
    assert [row["measure"] for row in rows] == ["target_drop", "n_neurons"], "heads do not vary"
