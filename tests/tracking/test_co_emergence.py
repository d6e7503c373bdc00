"""Which rows of the study's tables are logged."""

import math

import pytest

from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.tracking.co_emergence import co_emergence_metrics
from tests.studies.test_co_emergence import QUICK, TASKS, cell, made_up


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict]]:
    return co_emergence_tables([made_up(0), made_up(1)], QUICK)


def test_the_failure_rate_is_that_of_all_arms_to_the_end(tables):
    summary, _ = co_emergence_metrics(tables)
    usual = {"theta": 0.6, "window": -1, "sustained": "any", "arm": "all"}

    assert summary["co_emergence/failure_rate"] == cell(tables["failure"], **usual)["rate"]
    assert 0 < summary["co_emergence/failure_rate"] < 1


def test_transfer_is_that_of_facts_shown_in_one_task_alone(tables):
    summary, _ = co_emergence_metrics(tables)

    names = {f"co_emergence/{s}_to_{t}" for s in TASKS for t in TASKS if s != t}
    assert names == set(summary) - {"co_emergence/failure_rate"}
    assert summary["co_emergence/completion_to_fitb"] == 1
    assert summary["co_emergence/completion_to_mcqa"] == 0  # 1 by facts shown in all tasks


def surrounded(wanted: dict, **decoy) -> list[dict]:
    """The row between others, each of which differs in one key besides its value."""
    others = [{**wanted, key: "other" if isinstance(value, str) else value + 0.2, **decoy}
              for key, value in wanted.items() if key not in decoy]  # fmt: skip
    return [*others, wanted, *others]


def test_rows_of_other_kinds_are_passed_over():
    usual = {"theta": 0.6, "window": -1, "sustained": "any", "arm": "all", "rate": 0.25}
    alone = {"theta": 0.6, "basis": "exposed", "arm": "A2_single_source", "options": "fresh"}
    matrix = [
        {**row, "source": "fitb", "target": "mcqa"}
        for row in surrounded({**alone, "rate": 0.75}, rate=0.9)
    ]
    tables = {"failure": surrounded(usual, rate=0.9), "matrix": matrix, "variance": []}

    summary, series = co_emergence_metrics(tables)

    assert summary == {"co_emergence/failure_rate": 0.25, "co_emergence/fitb_to_mcqa": 0.75}
    assert series == []


def test_the_interaction_is_a_mean_over_seeds_at_every_step():
    usual = {"component": "interaction", "model": "plain", "scale": "raw", "denominator": "total"}
    variance = [
        {**usual, "step": 10, "eta_squared": 0.2},
        {**usual, "step": 10, "eta_squared": 0.4},
        {**usual, "step": 0, "eta_squared": math.nan},
        {**usual, "step": 20, "eta_squared": 0.5},
        *({**usual, key: "other", "step": 10, "eta_squared": 0.9} for key in usual),
    ]

    summary, series = co_emergence_metrics({"failure": [], "matrix": [], "variance": variance})

    assert summary == {}
    assert [row["step"] for row in series] == [0, 10, 20]
    shares = [row["co_emergence/interaction_share"] for row in series]
    assert math.isnan(shares[0])
    assert shares[1:] == pytest.approx([0.3, 0.5])


def test_every_step_of_the_study_has_a_share(tables):
    _, series = co_emergence_metrics(tables)

    assert [row["step"] for row in series] == [0, 10, 20, 30]


def test_a_study_of_other_thresholds_logs_only_the_interaction(tables):
    others = {**tables}
    for name in ("failure", "matrix"):
        others[name] = [row for row in tables[name] if row["theta"] != 0.6]
        assert others[name]

    summary, series = co_emergence_metrics(others)

    assert summary == {}
    assert len(series) == 4
