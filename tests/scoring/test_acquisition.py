"""From prompt scores to the acquisition table, emergence, and when it happens."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from coemerge.scoring.acquisition import (
    THETA,
    acquisition_frame,
    emerged,
    prompt_score_columns,
    step_of_share,
)
from coemerge.scoring.forward import Answers
from coemerge.scoring.metrics import PromptScores
from coemerge.tables.store import make_table

FACTS = pd.DataFrame(
    {
        "fact_id": ["f1", "f2"],
        "relation": ["birthplace", "language"],
        "arm": ["A0_full", "A5_never"],
        "subject": ["x", "y"],
    }
)
NO_EXPOSURES = pd.DataFrame(
    {
        "step": np.array([], np.int64),
        "fact_id": np.array([], object),
        "task": np.array([], object),
        "template_id": np.array([], np.int64),
        "form": np.array([], object),
        "n_documents": np.array([], np.int64),
    }
)


def score_row(fact_id: str, template_id: int, score: float, **other: object) -> dict[str, object]:
    row = {
        "step": 10,
        "fact_id": fact_id,
        "task": "mcqa",
        "template_id": template_id,
        "split": "held_out_templates",
        "options": "fresh",
        "n_rotations": 4,
        "p_first": 0.5,
        "p_full": 0.5,
        "nll": 1.0,
        "chance": 0.25,
        "score": score,
        "accuracy": 1.0,
    }
    return {**row, **other}


def frame_of(rows: list[dict[str, object]], exposures: pd.DataFrame = NO_EXPOSURES) -> pd.DataFrame:
    steps = {int(r["step"]): 100 * int(r["step"]) for r in rows}  # type: ignore[call-overload]
    return acquisition_frame(pd.DataFrame(rows), FACTS, exposures, steps, "run-a", 3)


def test_scores_average_over_rotations_then_paraphrases():
    """A paraphrase with one prompt weighs as much as one with four rotations."""
    metric = PromptScores(2)
    p = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.25])
    answers = Answers(p, p, -p.log(), p, torch.zeros(5).long(), p > 0.5)
    metric.update(torch.tensor([0, 0, 0, 0, 1]), answers, torch.full((5,), 0.25))
    cells = pa.table(
        {
            "fact_id": ["f1", "f1"],
            "task": ["mcqa", "mcqa"],
            "template_id": [7, 8],
            "split": ["held_out_templates"] * 2,
            "options": ["fresh"] * 2,
        }
    )
    columns = prompt_score_columns(10, cells, np.full(2, 0.25), metric.compute())
    scores = make_table("prompt_scores", columns).to_pandas()

    frame = acquisition_frame(scores, FACTS, NO_EXPOSURES, {10: 1000}, "run-a", 3)

    assert frame["score"].tolist() == pytest.approx([0.5])  # not 0.8, the mean over five prompts
    assert frame["accuracy"].tolist() == [0.5]
    assert frame["n_prompts"].tolist() == [5]


def test_a_row_per_step_fact_task_split_and_option_sets():
    rows = [
        score_row("f1", 7, 0.2),
        score_row("f1", 8, 0.4),
        score_row("f1", 8, 0.9, options="seen"),
        score_row("f1", 1, 0.7, split="seen_templates"),
        score_row("f1", 7, 0.3, step=20),
        score_row("f1", 7, 0.6, task="openqa", options="none", n_rotations=1),
        score_row("f2", 7, 0.1),
    ]

    frame = frame_of(rows)

    keys = ["step", "fact_id", "task", "split", "options"]
    assert not frame.duplicated(keys).any()
    found = frame.set_index(keys)["score"].to_dict()
    assert found == {
        (10, "f1", "mcqa", "held_out_templates", "fresh"): pytest.approx(0.3),
        (10, "f1", "mcqa", "held_out_templates", "seen"): 0.9,
        (10, "f1", "mcqa", "seen_templates", "fresh"): 0.7,
        (20, "f1", "mcqa", "held_out_templates", "fresh"): 0.3,
        (10, "f1", "openqa", "held_out_templates", "none"): 0.6,
        (10, "f2", "mcqa", "held_out_templates", "fresh"): 0.1,
    }


def test_rows_carry_run_seed_arm_relation_and_tokens():
    frame = frame_of([score_row("f1", 7, 0.2), score_row("f2", 7, 0.2, step=20)])

    by_fact = frame.set_index("fact_id")
    assert by_fact.loc["f1", ["relation", "arm", "tokens_seen"]].tolist() == [
        "birthplace",
        "A0_full",
        1000,
    ]
    assert by_fact.loc["f2", ["relation", "arm", "tokens_seen"]].tolist() == [
        "language",
        "A5_never",
        2000,
    ]
    assert set(frame["run_id"]) == {"run-a"}
    assert set(frame["seed"]) == {3}


def test_exposures_are_those_of_the_same_step_fact_and_task():
    exposures = pd.DataFrame(
        [
            (10, "f1", "mcqa", 0, "direct", 3),
            (10, "f1", "mcqa", 1, "direct", 4),  # another paraphrase: adds up
            (10, "f1", "mcqa", 1, "cot", 5),  # another form: adds up
            (10, "f1", "openqa", 0, "direct", 90),
            (20, "f1", "mcqa", 0, "direct", 50),
        ],
        columns=["step", "fact_id", "task", "template_id", "form", "n_documents"],
    )
    rows = [
        score_row("f1", 7, 0.2),
        score_row("f1", 8, 0.2),
        score_row("f1", 7, 0.2, step=20),
        score_row("f2", 7, 0.2),
    ]

    frame = frame_of(rows, exposures)

    found = frame.set_index(["step", "fact_id"])["exposures"].to_dict()
    assert found == {(10, "f1"): 12, (20, "f1"): 50, (10, "f2"): 0}
    assert frame["exposures"].dtype == np.int64


def test_emergence_is_strict():
    scores = pd.Series([THETA, np.nextafter(THETA, 1), THETA - 0.1, 1.0, np.nan])

    assert emerged(scores).tolist() == [False, True, False, True, False]
    assert emerged(scores, theta=0.4).tolist() == [True, True, True, True, False]


def test_raising_theta_never_adds_emerged_facts():
    scores = pd.Series(np.random.default_rng(0).normal(0.5, 0.4, 500))

    lower, upper = emerged(scores, 0.4), emerged(scores, 0.8)

    assert not (upper & ~lower).any()  # T-B3


@pytest.fixture
def four_facts() -> pd.DataFrame:
    """0, 1, 2, 1 and 4 of four facts have emerged at steps 0, 10, 20, 30 and 40."""
    counts = {0: 0, 10: 1, 20: 2, 30: 1, 40: 4}
    rows = [(s, 0.9 if fact < n else 0.1) for s, n in counts.items() for fact in range(4)]
    return pd.DataFrame(rows, columns=["step", "score"]).sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    ("share", "step"), [(0.25, 10), (0.3, 20), (0.5, 20), (0.51, 40), (0.9, 40), (1.0, 40)]
)
def test_first_step_at_which_a_share_has_emerged(four_facts: pd.DataFrame, share: float, step: int):
    assert step_of_share(four_facts, share) == step


def test_a_share_that_is_never_reached_has_no_step(four_facts: pd.DataFrame):
    assert step_of_share(four_facts[four_facts["step"] < 40], 0.9) is None


def test_the_threshold_of_a_share_can_be_set(four_facts: pd.DataFrame):
    assert step_of_share(four_facts, 1.0, theta=0.05) == 0
