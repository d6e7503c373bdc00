"""What stands beside published figures of masks and of reasoning, on tables made by hand."""

import json
from typing import Any

import pytest

from coemerge.studies.chain_of_thought.summary import summary_rows as reasoning_rows
from coemerge.studies.shared.summarised import estimate, spread
from coemerge.studies.task_localization.summary import summary_rows as mask_rows

NAN = float("nan")
Row = dict[str, Any]


def measure(name: str, value: float, **changes: Any) -> Row:
    usual = {"variant": "exclusive", "masks": "all", "reference": "mean", "control": "none",
             "task": "all", "measure": name, "value": value, "sd": 0.1}  # fmt: skip
    return {**usual, "low": value - 0.1, "high": value + 0.1, "n": 12, **changes}


MEASURES = [
    measure("target_drop", 0.5),
    measure("target_drop", 0.9, reference="zero"),
    measure("target_drop", 0.7, task="fitb"),
    measure("tasks_drop", 0.05),
    measure("facts_drop", 0.06),
    measure("recovery", 0.8),
    measure("valid", 0.4, low=0.2, high=0.6),
    measure("target_drop", 0.6, masks="valid", n=5),
    measure("target_drop", 0.02, control="random"),
    measure("target_drop", 0.04, control="mismatched"),
    measure("recovery", 0.1, control="random"),
    measure("recovery", 0.45, variant="remask"),
    measure("target_drop", 0.3, variant="remask"),
]


def cell(one: str, other: str, drop: float, **changes: Any) -> Row:
    usual = {"variant": "exclusive", "masks": "all", "reference": "mean", "eval_facts": "own"}
    return {**usual, "mask_task": one, "eval_task": other, "drop": drop, **changes}


MATRIX = [
    cell("fitb", "fitb", 0.4),
    cell("mcqa", "mcqa", 0.6),
    cell("fitb", "mcqa", 0.0),
    cell("mcqa", "fitb", NAN),
    cell("fitb", "fitb", 0.3, eval_facts="other"),
    cell("fitb", "fitb", 0.99, variant="free"),
    cell("fitb", "fitb", 0.99, masks="valid"),
]
ENTANGLEMENT = [
    {"reading": "drop", "task": "generative", "value": 0.11, "low": 0.1, "high": 0.2, "n": 9},
    {"reading": "drop", "task": "fitb", "value": 0.3, "low": 0.1, "high": 0.4, "n": 9},
]


def summary(seeds: tuple[int, ...] = (0,), **tables: list[Row]) -> dict[str, Row]:
    given = {"mask_measures": MEASURES, "drop_matrix": MATRIX, "entanglement": ENTANGLEMENT}
    return {row["name"]: row for row in mask_rows({**given, **tables}, list(seeds), "a, b")}


def test_masks_stand_with_their_controls():
    rows = summary()

    assert {name: row["value"] for name, row in rows.items() if name.startswith("mask/")} == {
        "mask/exclusive/all/none/target_drop": 0.5,
        "mask/exclusive/all/none/tasks_drop": 0.05,
        "mask/exclusive/all/none/facts_drop": 0.06,
        "mask/exclusive/valid/none/target_drop": 0.6,
        "mask/exclusive/valid/none/tasks_drop": None,
        "mask/exclusive/valid/none/facts_drop": None,
        "mask/exclusive/all/random/target_drop": 0.02,
        "mask/exclusive/all/mismatched/target_drop": 0.04,
        "mask/exclusive/all/none/valid": 0.4,
        "mask/exclusive/all/none/recovery": 0.8,
        "mask/exclusive/all/random/recovery": 0.1,
        "mask/exclusive/all/mismatched/recovery": None,
        "mask/remask/all/none/recovery": 0.45,
        "mask/remask/all/none/target_drop": 0.3,
    }
    assert {row["id"] for name, row in rows.items() if "/recovery" in name} == {"P1-e"}
    assert rows["mask/remask/all/none/target_drop"]["id"] == "P1-e"


def test_a_row_says_how_much_it_rests_on():
    row = summary()["mask/exclusive/valid/none/target_drop"]

    assert (row["n"], row["n_total"], row["seeds"], row["source"]) == (5, 12, [0], "a, b")
    assert (row["low"], row["high"]) == pytest.approx((0.5, 0.7))
    assert row["interval"] == "95 %, bootstrap over facts, one seed"
    several = summary((0, 1))["mask/exclusive/valid/none/target_drop"]
    assert several["interval"] == "95 %, bootstrap over seeds then facts"


def test_the_matrix_gives_the_range_over_its_diagonal_and_over_the_rest():
    rows = summary()
    own, spared = rows["matrix/own"], rows["matrix/spared"]

    assert [own[name] for name in ("value", "low", "high", "n")] == pytest.approx(
        [0.5, 0.4, 0.6, 2]
    )
    assert [spared[name] for name in ("value", "low", "high")] == pytest.approx([0.15, 0.0, 0.3])
    assert (own["id"], own["interval"]) == ("P1-d", "range over formats")


def test_the_reference_is_that_of_training_which_comes_first():
    first = [measure("target_drop", 0.9, reference="zero"), *MEASURES]

    assert summary(mask_measures=first)["mask/exclusive/all/none/target_drop"]["value"] == 0.9


def test_both_readings_of_entanglement_for_both_kinds():
    rows = {name: row for name, row in summary().items() if row["id"] == "P1-f"}

    assert list(rows) == [
        f"entanglement/{reading}/{kind}"
        for reading in ("drop", "overlap")
        for kind in ("discriminative", "generative")
    ]
    assert rows["entanglement/drop/generative"]["value"] == 0.11
    assert rows["entanglement/overlap/generative"]["interval"] == "not measured"


def test_where_no_mask_is_valid_or_nothing_was_measured_there_is_no_value():
    none_valid = [row for row in MEASURES if row["masks"] == "all"]
    row = summary(mask_measures=none_valid)["mask/exclusive/valid/none/target_drop"]
    assert (row["value"], row["n"], row["n_total"]) == (None, 0, 12)
    assert row["interval"] == "no mask is valid"

    rows = mask_rows({}, [0], "a")
    assert {row["value"] for row in rows} == {None}
    assert {row["id"] for row in rows} == {"P1-d", "P1-e", "P1-f"}
    json.dumps(rows, allow_nan=False)


def drop(masks: str, prompting: str, value: float, **changes: Any) -> Row:
    usual = {"task": "all", "route": "all", "masks": masks, "prompting": prompting, "drop": value}
    bounds = {"sd": 0.1, "low": value - 0.05, "high": value + 0.05, "n": 30}
    return {**usual, **bounds, "floor": 0.01, "floor_high": 0.03, "n_draws": 20, **changes}


DROPS = [
    drop("own", "direct", 0.5),
    drop("own", "cot", 0.2),
    drop("own", "cot", 0.25, task="mcqa"),
    drop("own", "cot", 0.9, task="mcqa", route="fitb"),
    drop("other_worst", "direct", 0.06, floor=0.05),
    drop("other_worst", "cot", 0.3, floor=0.04),
    drop("other_mean", "cot", 0.1),
    drop("route", "cot", 0.28),
]


def test_reasoning_stands_beside_direct_answers_over_all_routes():
    rows = {row["name"]: row for row in reasoning_rows({"cot_drops": DROPS}, [0], "a")}

    assert rows["cot/own/direct/all"]["value"] == 0.5
    assert rows["cot/own/cot/mcqa"]["value"] == 0.25
    assert rows["cot/own/direct/mcqa"]["value"] is None
    assert rows["cot/route/cot/all"]["value"] == 0.28
    assert {row["id"] for name, row in rows.items() if "/own/" in name} == {"P1-g"}
    assert {row["id"] for name, row in rows.items() if "/own/" not in name} == {"P1-h"}


def test_every_drop_carries_its_floor():
    """T-T1."""
    rows = {row["name"]: row for row in reasoning_rows({"cot_drops": DROPS}, [0], "a")}
    measured = [row for row in rows.values() if row["value"] is not None]

    assert all(row["floor"] >= 0 and row["n_draws"] >= 20 for row in measured)
    assert (rows["cot/other_worst/cot/all"]["floor"]) == 0.04
    assert rows["cot/other_worst/cot/all"]["floor_high"] == 0.03


def test_without_drops_there_are_rows_without_values():
    rows = reasoning_rows({"cot_drops": []}, [0], "a")

    assert {row["value"] for row in rows} == {None}
    assert {row["floor"] for row in rows} == {None}
    json.dumps(rows, allow_nan=False)


def test_an_estimate_says_in_words_why_it_has_no_interval():
    row = {"value": 0.5, "low": NAN, "high": NAN, "n": 1}

    assert estimate(row, "value", False)["interval"] == "no interval (n = 1)"
    assert estimate({**row, "value": NAN}, "value", False)["interval"] == "nothing to measure"
    same = estimate({"value": 0.0, "low": 0.0, "high": 0.0, "n": 4}, "value", True)
    assert same["interval"] == "no spread: alike in all 4 facts"


def test_a_spread_leaves_out_what_is_not_defined():
    assert spread([0.2, NAN, 0.4], "formats") == {
        "value": pytest.approx(0.3), "low": 0.2, "high": 0.4, "interval": "range over formats"
    }  # fmt: skip
    assert spread([NAN], "formats")["value"] is None
