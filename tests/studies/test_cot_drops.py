"""Drops over facts and the floors beside them (methods 3.7, T-T1), on made-up effects."""

import numpy as np
import pandas as pd
import pytest

from coemerge.studies.chain_of_thought.config import ChainOfThoughtConfig
from coemerge.studies.chain_of_thought.drops import ALL, STATISTICS, cot_drops
from coemerge.studies.chain_of_thought.summary import summary_rows
from coemerge.tables.store import make_table, table_schema

TASKS = ("completion", "openqa", "mcqa", "verification")
ROUTES = {"mcqa": "completion", "verification": "openqa"}
CONFIG = ChainOfThoughtConfig(bootstrap_draws=200)
# (prompting, answered task, mask task) -> drop of every fact; nothing else does any harm
DROPS = {
    ("direct", "mcqa", "mcqa"): 0.8,
    ("cot", "mcqa", "mcqa"): 0.6,
    ("cot", "mcqa", "completion"): 0.4,
    ("cot", "mcqa", "verification"): 0.1,
    ("cot", "verification", "openqa"): 0.2,
}


def effects(n_facts: int = 4, draws: int = 20, seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for seed in seeds:
        for fact in range(n_facts):
            for (task, route), prompting, mask in (
                (item, p, m) for item in ROUTES.items() for p in ("direct", "cot") for m in TASKS
            ):
                names = {"seed": seed, "fact_id": f"fact-{fact}", "task": task, "route": route,
                         "prompting": prompting, "mask_task": mask}  # fmt: skip
                drop = DROPS.get((prompting, task, mask), 0.0)
                rows.append({**names, "control": "none", "draw": 0, "drop": drop})
                for draw in range(draws):
                    noise = float(rng.normal(0, 0.05))
                    rows.append({**names, "control": "random", "draw": draw, "drop": noise})
    frame = pd.DataFrame(rows).assign(n=4, accuracy_base=1.0, restated_base=1.0, restated_after=1.0)
    return frame.assign(accuracy_after=1.0 - frame["drop"])


def find(rows: list[dict], **values: str) -> dict:
    (row,) = [row for row in rows if all(row[k] == v for k, v in values.items())]
    return row


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return cot_drops(effects(), CONFIG)


def test_rows_are_those_of_the_tables(rows):
    frame = pd.DataFrame(rows)
    made = effects()[table_schema("cot_effects").names]

    make_table("cot_drops", {name: frame[name].to_numpy() for name in frame})
    make_table("cot_effects", {name: made[name].to_numpy() for name in made})
    assert set(frame["masks"]) == set(STATISTICS)


def test_every_drop_carries_a_floor_of_twenty_draws_that_is_not_negative(rows):
    """T-T1."""
    assert all(row["floor"] >= 0 and row["n_draws"] >= 20 for row in rows)
    assert all(row["floor_high"] >= row["floor"] - 1e-12 for row in rows)


@pytest.mark.parametrize(
    ("masks", "prompting", "task", "drop"),
    [
        ("own", "direct", "mcqa", 0.8),
        ("own", "cot", "mcqa", 0.6),
        ("route", "cot", "mcqa", 0.4),
        ("route", "direct", "mcqa", 0.0),
        ("other_worst", "cot", "mcqa", 0.4),
        ("other_mean", "cot", "mcqa", 0.5 / 3),
        ("other_worst", "cot", "verification", 0.2),
        ("other_worst", "cot", ALL, 0.3),
        ("own", "direct", ALL, 0.4),
    ],
)
def test_drops_are_those_of_the_masks_named(rows, masks, prompting, task, drop):
    row = find(rows, masks=masks, prompting=prompting, task=task, route=ALL)

    assert row["drop"] == pytest.approx(drop)
    assert (row["low"], row["high"]) == pytest.approx((drop, drop))
    assert row["n"] == 4


def test_a_task_has_a_row_by_its_route(rows):
    by_route = find(rows, masks="own", prompting="cot", task="mcqa", route="completion")
    over_all = find(rows, masks="own", prompting="cot", task="mcqa", route=ALL)

    assert by_route["drop"] == over_all["drop"]


def test_the_floor_of_the_worst_is_the_worst_of_as_many_random_masks():
    """Of three other tasks' random masks that do +0.3, 0 and -0.3 the worst is 0.3, the mean 0."""
    frame = effects()
    harm = frame["mask_task"].map({"completion": 0.3, "openqa": 0.0, "verification": -0.3})
    random = (frame["control"] == "random") & (frame["task"] == "mcqa")
    frame.loc[random, "drop"] = harm[random].fillna(0.0)

    rows = cot_drops(frame[frame["task"] == "mcqa"], CONFIG)

    for prompting in ("direct", "cot"):
        worst = find(rows, masks="other_worst", prompting=prompting, task=ALL, route=ALL)
        mean = find(rows, masks="other_mean", prompting=prompting, task=ALL, route=ALL)
        assert worst["floor"] == pytest.approx(0.3)
        assert mean["floor"] == pytest.approx(0.0)


def test_a_floor_below_zero_is_zero():
    frame = effects()
    frame.loc[frame["control"] == "random", "drop"] = -0.2

    assert all(row["floor"] == 0 for row in cot_drops(frame, CONFIG))


def test_facts_of_all_seeds_count():
    rows = cot_drops(effects(n_facts=3, seeds=(0, 1)), CONFIG)

    assert {row["n"] for row in rows} == {6}


def test_the_summary_takes_up_drops_and_floors(rows):
    summary = summary_rows({"cot_drops": rows}, [0], "a-run")
    own = find(summary, name="cot/own/direct/all")
    other = find(summary, name="cot/other_worst/cot/all")

    assert own["value"] == pytest.approx(0.4)
    assert other["value"] == pytest.approx(0.3)
    assert all(row["floor"] is not None for row in summary)
    assert {row["id"] for row in summary} == {"P1-g", "P1-h"}
