"""Which cells each arm shows, as a function of a fact's rank."""

import pytest

from coemerge.corpus.arms import ARMS, SIDES, ArmsConfig, Cell, get_arm, period
from coemerge.prompts.tasks import CORE_TASKS

TASKS = list(CORE_TASKS)


def assign(arm: str, rank: int, config: ArmsConfig | None = None):
    return get_arm(arm)(rank, TASKS, config or ArmsConfig())


def shown(arm: str, rank: int, config: ArmsConfig | None = None) -> list[str]:
    return [cell.task for cell in assign(arm, rank, config).cells]


def test_there_are_nine_arms_and_three_for_the_two_sides():
    plain = [name for name in ARMS if name not in SIDES]
    assert [name.split("_")[0] for name in plain] == [f"A{i}" for i in range(9)]
    assert list(SIDES) == ["entity_only", "relation_only", "both_sides"]


def test_a0_shows_every_task():
    assert shown("A0_full", 5) == TASKS


@pytest.mark.parametrize("rank", range(7))
def test_a1_withholds_one_target_and_shows_the_rest(rank):
    target = assign("A1_withheld_target", rank).detail
    assert shown("A1_withheld_target", rank) == [t for t in TASKS if t != target]


def test_a1_targets_rotate_over_all_tasks():
    assert [assign("A1_withheld_target", rank).detail for rank in range(6)] == TASKS


@pytest.mark.parametrize("rank", range(7))
def test_a2_shows_its_source_alone(rank):
    assert shown("A2_single_source", rank) == [assign("A2_single_source", rank).detail]


def test_a2_sources_rotate_over_all_tasks():
    assert [assign("A2_single_source", rank).detail for rank in range(6)] == TASKS


def test_a3_crosses_doses_with_sources():
    config = ArmsConfig(doses=[1, 10], dose_sources=["completion", "openqa"])
    cells = [assign("A3_dose", rank, config).cells for rank in range(4)]
    assert [(c.task, c.n_documents) for (c,) in cells] == [
        ("completion", 1),
        ("completion", 10),
        ("openqa", 1),
        ("openqa", 10),
    ]


def test_a4_shows_both_orders_in_the_halves_of_training():
    config = ArmsConfig(order_pairs=[["completion", "mcqa"]])
    cells = [assign("A4_order", rank, config).cells for rank in range(2)]
    assert [[(c.task, c.window) for c in pair] for pair in cells] == [
        [("completion", (0.0, 0.5)), ("mcqa", (0.5, 1.0))],
        [("mcqa", (0.0, 0.5)), ("completion", (0.5, 1.0))],
    ]


def test_a4_has_the_same_totals_in_both_orders():
    forward, backward = (sorted(shown("A4_order", rank)) for rank in range(2))
    assert forward == backward


def test_a5_shows_nothing():
    assert shown("A5_never", 3) == []


def test_a5_withholds_restatements_too():
    assert not assign("A5_never", 3).restated


@pytest.mark.parametrize("arm", ["A6_one_direction", "A7_one_synonym"])
def test_a6_and_a7_withhold_the_restatement_for_every_other_fact(arm):
    assert [assign(arm, rank).restated for rank in range(4)] == [True, False, True, False]


@pytest.mark.parametrize("arm", ["A6_one_direction", "A7_one_synonym"])
def test_a6_and_a7_show_the_fact_itself_in_every_task(arm):
    assert shown(arm, 0) == shown(arm, 1) == TASKS


def test_a8_contrasts_once_repeated_and_reworded():
    config = ArmsConfig(wordings_source="fitb", wordings_documents=8, wordings_window=[0.25, 0.75])
    assignments = [assign("A8_wordings", rank, config) for rank in range(3)]
    assert [assignment.detail for assignment in assignments] == ["once", "repeated", "reworded"]
    whole, first = (0.25, 0.75), (0.25, 0.3125)  # the first of eight parts
    assert [assignment.cells for assignment in assignments] == [
        (Cell("fitb", 1, first, wording=0, timing="injections"),),
        (Cell("fitb", 8, whole, wording=0, timing="injections"),),
        (Cell("fitb", 8, whole, timing="injections"),),
    ]


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("entity_only", ["completion", "fitb", "openqa", "mcqa", "negmcqa"]),
        ("relation_only", ["relation_naming"]),
        ("both_sides", ["completion", "fitb", "openqa", "mcqa", "negmcqa", "relation_naming"]),
    ],
)
def test_the_arms_of_the_two_sides_leave_out_what_asks_for_neither(arm, expected):
    """A verification names subject, relation and object, and asks for none of them."""
    assignment = get_arm(arm)(4, [*TASKS, "relation_naming"], ArmsConfig())
    assert [cell.task for cell in assignment.cells] == expected
    assert assignment.restated


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("tasks", [TASKS, [*TASKS[:4], "cot_openqa_mcqa"]], ids=len)
def test_ranks_a_period_apart_are_assigned_alike(arm, tasks):
    config = ArmsConfig(
        doses=[1, 3, 10],
        dose_sources=["completion", "openqa"],
        order_pairs=[["completion", "mcqa"], ["openqa", "verification"], ["fitb", "negmcqa"]],
    )
    rule, lap = get_arm(arm), period(tasks, config)
    assert [rule(rank, tasks, config) for rank in range(lap)] == [
        rule(lap + rank, tasks, config) for rank in range(lap)
    ]


def test_an_unknown_arm_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"corpus\.plan\.arms\.shares.*'A9_all'.*A0_full"):
        get_arm("A9_all")
