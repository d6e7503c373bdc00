"""How often and when is each fact shown? Randomised within relations, and closed under links."""

import copy
import dataclasses
from collections import Counter, defaultdict

import numpy as np
import pytest

from coemerge.corpus.plan import (
    CELL_DTYPE,
    TASK_NAMES,
    TIMINGS,
    Plan,
    answer_counts,
    available_tasks,
    build_plan,
    check_plan_config,
    document_times,
)
from coemerge.prompts.tasks import get_task
from coemerge.worlds.facts import World
from tests.tolerances import FLOAT32_TIME, STANDARD_ERRORS

ORIGINS = ("birthplace", "occupation", "capital")


@pytest.fixture
def config(smoke_spec):
    return copy.deepcopy(smoke_spec.corpus.plan)


@pytest.fixture(scope="module")
def world(smoke_spec) -> World:
    """46 subjects, as in the main job."""
    config = copy.deepcopy(smoke_spec.world)
    config.types["person"].size = 46
    return config.build()


@pytest.fixture(scope="module")
def linked(linked_spec) -> tuple[World, Plan]:
    world = linked_spec.world.build()
    return world, build_plan(world, linked_spec.corpus.plan, linked_spec.seed)


def shown_tasks(plan: Plan) -> dict[int, list[str]]:
    """Tasks with at least one document, per fact."""
    shown = defaultdict(list)
    for cell in plan.cells:
        if cell["n_documents"]:
            shown[int(cell["fact"])].append(TASK_NAMES[cell["task"]])
    return shown


def arms_of(world: World, plan: Plan, relation: str) -> list[str]:
    return [plan.arm(i) for i in world.positions[relation]]


def test_arms_get_their_shares_within_each_relation(world, config):
    config.arms.shares = {
        "A0_full": 8,
        "A1_withheld_target": 12,
        "A2_single_source": 18,
        "A5_never": 8,
    }
    plan = build_plan(world, config, seed=0)
    for relation in world.main_relations():
        sizes = Counter(arms_of(world, plan, relation))
        assert all(abs(sizes[arm] - share) <= 1 for arm, share in config.arms.shares.items())


def test_an_arm_without_a_share_gets_no_fact(world, config):
    config.arms.shares = {"A0_full": 1, "A1_withheld_target": 0}
    plan = build_plan(world, config, seed=0)
    assert Counter(plan.arm(i) for i in range(len(world.facts))) == {"A0_full": len(world.facts)}


def test_listing_arms_without_a_share_changes_nothing(world, config):
    """All arms are listed in the configuration, most of them with 0."""
    plain = build_plan(world, config, seed=0)
    config.arms.shares = {"A3_dose": 0, **config.arms.shares, "A8_wordings": 0.0}
    listed = build_plan(world, config, seed=0)
    assert listed.cells.tobytes() == plain.cells.tobytes()
    facts = range(len(world.facts))
    assert [listed.arm(i) for i in facts] == [plain.arm(i) for i in facts]
    assert not {"A3_dose", "A8_wordings"} & set(listed.arms)


def test_facts_of_one_object_are_spread_over_the_arms(world, config):
    """Else an object would belong to one arm, and its base rate would tell."""
    config.arms.shares = {"A0_full": 1, "A5_never": 1}
    plan = build_plan(world, config, seed=0)
    for relation in world.main_relations():
        arms = defaultdict(Counter)
        for i in world.positions[relation]:
            arms[world.facts[i].object][plan.arm(i)] += 1
        assert all(abs(c["A0_full"] - c["A5_never"]) <= 1 for c in arms.values())


def test_the_same_seed_gives_the_same_plan(world, config):
    first, second = (build_plan(world, config, seed=3) for _ in range(2))
    assert first.cells.tobytes() == second.cells.tobytes()


def test_another_seed_assigns_other_facts(world, config):
    first, second = (build_plan(world, config, seed) for seed in (0, 1))
    assert (first.arm_codes != second.arm_codes).mean() > 0.3


def test_another_seed_keeps_the_sizes_of_the_arms(world, config):
    for relation in world.main_relations():
        sizes = [
            Counter(arms_of(world, build_plan(world, config, seed), relation)) for seed in (0, 1)
        ]
        assert all(abs(sizes[0][arm] - sizes[1][arm]) <= 1 for arm in config.arms.shares)


def test_relations_are_randomised_independently(world, config):
    plan = build_plan(world, config, seed=0)
    first, second = (arms_of(world, plan, r) for r in ("birthplace", "occupation"))
    assert first != second


def test_each_arm_shows_exactly_its_cells(world, config):
    plan = build_plan(world, config, seed=0)
    shown = shown_tasks(plan)
    expected = {
        "A0_full": lambda detail: config.tasks,
        "A1_withheld_target": lambda detail: [t for t in config.tasks if t != detail],
        "A2_single_source": lambda detail: [detail],
        "A5_never": lambda detail: [],
    }
    for fact in range(len(world.facts)):
        assert shown[fact] == expected[plan.arm(fact)](plan.detail(fact))


def test_a_shown_cell_has_the_configured_number_of_documents(world, config):
    plan = build_plan(world, config, seed=0)
    planned = {(TASK_NAMES[c["task"]], int(c["n_documents"])) for c in plan.cells}
    assert planned == set(config.documents.items())


def test_the_total_is_the_sum_over_cells(world, config):
    plan = build_plan(world, config, seed=0)
    assert plan.n_documents == sum(int(c["n_documents"]) for c in plan.cells)


def test_doses_are_planned_exactly(world, config):
    config.arms.shares = {"A3_dose": 1}
    config.arms.doses, config.arms.dose_sources = [1, 3], ["openqa"]
    plan = build_plan(world, config, seed=0)
    for cell in plan.cells:
        detail = plan.detail(int(cell["fact"]))
        assert detail == f"openqa:{cell['n_documents']}"


def test_doses_and_sources_are_dealt_evenly_beyond_a_whole_round(world, config):
    config.arms.shares = {"A3_dose": 1}
    config.arms.doses, config.arms.dose_sources = [1, 3], ["openqa", "mcqa", "fitb"]
    plan = build_plan(world, config, seed=0)
    for relation in world.main_relations():
        sizes = Counter(plan.detail(i) for i in world.positions[relation])
        assert len(sizes) == 6
        assert max(sizes.values()) - min(sizes.values()) <= 1
        assert sum(sizes.values()) == 46


def test_cells_come_fact_by_fact_in_the_order_of_their_tasks(world, config):
    plan = build_plan(world, config, seed=0)
    for relation in world.main_relations():
        positions = world.positions[relation]
        own = plan.cells["fact"][np.isin(plan.cells["fact"], positions)]
        assert (np.diff(own) >= 0).all()
    order = [config.tasks.index(TASK_NAMES[task]) for task in plan.cells["task"]]
    same = np.diff(plan.cells["fact"]) == 0
    assert (np.diff(order)[same] > 0).all()


def test_a_relation_with_formats_of_its_own_is_shown_in_these_alone(linked_spec):
    world = linked_spec.world.build()
    some = dataclasses.replace(world.relations["occupation"], formats=("completion", "mcqa"))
    world = dataclasses.replace(world, relations={**world.relations, "occupation": some})
    tasks = linked_spec.corpus.plan.tasks
    plan = build_plan(world, linked_spec.corpus.plan, linked_spec.seed)
    shown = shown_tasks(plan)
    asked = {task for i in world.positions["occupation"] for task in shown[i]}
    assert asked == {"completion", "mcqa", "cot_completion_mcqa"} == {*available_tasks(some, tasks)}
    targets = {
        plan.detail(i)
        for i in world.positions["occupation"]
        if plan.arm(i) in ("A1_withheld_target", "A2_single_source")
    }
    assert targets == {"completion", "mcqa"}
    others = {task for i in world.positions["birthplace"] for task in shown[i]}
    assert others == set(tasks)


def test_auxiliary_relations_are_shown_without_an_arm(linked):
    world, plan = linked
    shown = shown_tasks(plan)
    positions = world.positions["located_in"]
    assert {plan.arm(i) for i in positions} == {"auxiliary"}
    assert all(shown[i] == ["completion", "openqa"] for i in positions)


@pytest.mark.parametrize("relation", ["field", "capital_of"])
def test_a_restatement_follows_the_arm_of_what_it_restates(linked, relation):
    world, plan = linked
    index_of = {f.fact_id: i for i, f in enumerate(world.facts)}
    for i in world.positions[relation]:
        root = index_of[world.facts[i].root_id]
        assert (plan.arm(i), plan.detail(i)) == (plan.arm(root), plan.detail(root))


@pytest.mark.parametrize("relation", ["field", "capital_of"])
def test_what_is_withheld_of_a_fact_is_withheld_of_its_restatement(linked, relation):
    world, plan = linked
    shown = shown_tasks(plan)
    index_of = {f.fact_id: i for i, f in enumerate(world.facts)}
    for i in world.positions[relation]:
        assert set(shown[i]) <= set(shown[index_of[world.facts[i].root_id]])


@pytest.mark.parametrize("relation", ["field", "capital_of"])
def test_a_fully_shown_fact_is_restated_in_all_its_formats(linked, relation):
    world, plan = linked
    shown = shown_tasks(plan)
    full = [i for i in world.positions[relation] if plan.arm(i) == "A0_full"]
    assert full
    assert all({"completion", "openqa", "mcqa"} <= set(shown[i]) for i in full)


@pytest.mark.parametrize("arm", ["A6_one_direction", "A7_one_synonym"])
@pytest.mark.parametrize("relation", ["field", "capital_of"])
def test_half_of_the_restatements_are_withheld(linked, relation, arm):
    world, plan = linked
    shown = shown_tasks(plan)
    restated = [bool(shown[i]) for i in world.positions[relation] if plan.arm(i) == arm]
    assert len(restated) >= 3
    assert abs(2 * sum(restated) - len(restated)) <= 1


@pytest.mark.parametrize("arm", ["A6_one_direction", "A7_one_synonym"])
@pytest.mark.parametrize("relation", ["occupation", "capital"])
def test_the_original_is_shown_whether_or_not_it_is_restated(linked, relation, arm):
    world, plan = linked
    shown = shown_tasks(plan)
    assert all(shown[i] for i in world.positions[relation] if plan.arm(i) == arm)


def test_a_never_shown_fact_has_no_two_hop_question_either(linked):
    world, plan = linked
    shown = shown_tasks(plan)
    never = [i for i in world.positions["birthplace"] if plan.arm(i) == "A5_never"]
    assert never
    assert not any(shown[i] for i in never)


def test_two_hop_questions_are_planned_only_where_there_is_a_bridge(linked):
    world, plan = linked
    asked = {
        world.facts[i].relation_id for i, tasks in shown_tasks(plan).items() if "multihop" in tasks
    }
    assert asked == {"birthplace"}


def test_a_two_step_form_is_shown_only_with_both_of_its_formats(linked):
    _, plan = linked
    with_cot = [tasks for tasks in shown_tasks(plan).values() if "cot_completion_mcqa" in tasks]
    assert with_cot
    assert all({"completion", "mcqa"} <= set(tasks) for tasks in with_cot)


def test_every_single_source_fact_is_shown(linked):
    """Two-step forms cannot stand alone, so they are no sources."""
    world, plan = linked
    shown = shown_tasks(plan)
    for relation in ORIGINS:
        single = [i for i in world.positions[relation] if plan.arm(i) == "A2_single_source"]
        assert single
        assert all(len(shown[i]) == 1 for i in single)


def test_two_step_forms_leave_targets_and_sources_as_they_were(world, config):
    """A chain-of-thought run continues another run: what that one withheld stays withheld."""
    before = build_plan(world, config, seed=0)
    config.tasks.append("cot_openqa_mcqa")
    config.documents["cot_openqa_mcqa"] = 5
    after = build_plan(world, config, seed=0)
    facts = range(len(world.facts))
    assert [after.detail(i) for i in facts] == [before.detail(i) for i in facts]


def test_answer_counts_add_up_the_planned_documents_per_object(linked):
    world, plan = linked
    expected = Counter()
    for cell in plan.cells:
        fact = world.facts[int(cell["fact"])]
        task = get_task(TASK_NAMES[cell["task"]]).base
        expected[fact.relation_id, task, fact.object] += int(cell["n_documents"])
    found = {
        (relation, task, obj): int(n)
        for (relation, task), column in answer_counts(world, plan).items()
        for obj, n in zip(world.candidates[relation], column, strict=True)
        if n
    }
    assert found == {key: n for key, n in expected.items() if n}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda c: c.tasks.append("multihop"), r"corpus\.plan\.documents\.multihop"),
        (lambda c: c.documents.update(mcqa=0), r"corpus\.plan\.documents\.mcqa"),
        (lambda c: c.tasks.append("riddle"), "riddle"),
        (lambda c: c.tasks.clear(), r"corpus\.plan\.tasks"),
        (lambda c: c.arms.shares.update(A0_full=-1), r"arms\.shares\.A0_full"),
        (lambda c: c.arms.shares.update(A9=1), r"arms\.shares.*'A9'"),
        (lambda c: c.arms.shares.clear(), r"corpus\.plan\.arms\.shares"),
        (lambda c: setattr(c.timing, "kind", "daily"), r"corpus\.plan\.timing\.kind"),
        (lambda c: setattr(c.timing, "stop", 1.5), r"corpus\.plan\.timing"),
        (lambda c: c.arms.doses.append(0), r"corpus\.plan\.arms\.doses"),
        (lambda c: c.auxiliary.update(riddle=3), r"corpus\.plan\.auxiliary.*riddle"),
        (lambda c: c.auxiliary.update(mcqa=-3), r"corpus\.plan\.auxiliary"),
    ],
)
def test_a_faulty_plan_is_refused_by_its_key(config, change, key):
    change(config)
    with pytest.raises(ValueError, match=key):
        check_plan_config(config)


@pytest.mark.parametrize(
    ("arm", "change", "key"),
    [
        ("A3_dose", lambda a: setattr(a, "dose_sources", ["riddle"]), r"arms\.dose_sources"),
        ("A3_dose", lambda a: setattr(a, "doses", []), r"arms\.doses"),
        ("A4_order", lambda a: setattr(a, "order_pairs", [["mcqa", "multihop"]]), r"order_pairs"),
        ("A4_order", lambda a: setattr(a, "order_pairs", [["mcqa"]]), r"arms\.order_pairs"),
        ("A8_wordings", lambda a: setattr(a, "wordings_source", "riddle"), r"wordings_source"),
    ],
)
def test_the_parameters_of_an_arm_in_use_are_checked(config, arm, change, key):
    """An order pair needs tasks that have documents, else its facts would never be shown."""
    config.arms.shares = {arm: 1}
    change(config.arms)
    with pytest.raises(ValueError, match=key):
        check_plan_config(config)


def cells_of(timing: str, counts: list[int], start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    cells = np.zeros(len(counts), dtype=CELL_DTYPE)
    cells["fact"] = range(len(counts))
    cells["n_documents"] = counts
    cells["timing"] = TIMINGS.index(timing)
    cells["start"], cells["stop"] = start, stop
    return cells


def times_by_cell(cells: np.ndarray, seed: int = 0) -> dict[int, np.ndarray]:
    owners, times = document_times(cells, np.random.default_rng(seed))
    return {cell: times[owners == cell] for cell in range(len(cells))}


@pytest.mark.parametrize("timing", TIMINGS)
def test_every_document_gets_a_time(timing):
    counts = [3, 0, 5]
    found = [len(times) for times in times_by_cell(cells_of(timing, counts)).values()]
    assert found == counts


@pytest.mark.parametrize("timing", TIMINGS)
def test_documents_are_in_order_of_time(timing):
    _, times = document_times(cells_of(timing, [40, 40]), np.random.default_rng(0))
    assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize("timing", TIMINGS)
def test_documents_stay_in_their_window(timing):
    _, times = document_times(cells_of(timing, [50] * 20, 0.25, 0.5), np.random.default_rng(0))
    assert times.min() >= 0.25 - FLOAT32_TIME
    assert times.max() <= 0.5 + FLOAT32_TIME


@pytest.mark.parametrize("timing", ["uniform", "window"])
def test_uniform_documents_fill_the_window(timing):
    times = times_by_cell(cells_of(timing, [4000]))[0]
    counts, _ = np.histogram(times, bins=4, range=(0, 1))
    assert (np.abs(counts - 1000) < STANDARD_ERRORS * (4000 * 0.25 * 0.75) ** 0.5).all()


def test_a_burst_falls_at_one_moment():
    assert all(
        len(set(t.tolist())) == 1 for t in times_by_cell(cells_of("burst", [9] * 8)).values()
    )


def test_bursts_of_different_cells_fall_at_different_moments():
    moments = {float(t[0]) for t in times_by_cell(cells_of("burst", [9] * 8)).values()}
    assert len(moments) == 8


def test_spaced_documents_keep_equal_distances():
    times = times_by_cell(cells_of("spaced", [10]))[0]
    assert np.allclose(np.diff(times), 0.1, atol=FLOAT32_TIME)


def test_spaced_cells_have_phases_of_their_own():
    first = {float(t[0]) for t in times_by_cell(cells_of("spaced", [10] * 8)).values()}
    assert len(first) == 8


def test_injections_fall_at_the_same_moments_for_all_cells():
    times = list(times_by_cell(cells_of("injections", [5] * 8, 0.2, 0.7)).values())
    assert all(np.array_equal(other, times[0]) for other in times)
    assert np.allclose(times[0], [0.25, 0.35, 0.45, 0.55, 0.65], atol=FLOAT32_TIME)


@pytest.mark.parametrize("count", [2, 7, 10])
def test_injected_facts_are_shown_together_once_with_the_first(world, config, count):
    """The k-th documents of all facts of the arm at the same time."""
    config.arms.shares = {"A0_full": 1, "A8_wordings": 2}
    config.arms.wordings_documents, config.arms.wordings_window = count, [0.25, 0.75]
    plan = build_plan(world, config, seed=0)
    owners, times = document_times(plan.cells, np.random.default_rng(0))
    of_fact = defaultdict(list)
    for owner, time in zip(owners, times, strict=True):
        of_fact[int(plan.cells["fact"][owner])].append(float(time))
    injected = [i for i in of_fact if plan.arm(i) == "A8_wordings"]
    moments = [0.25 + 0.5 * (k + 0.5) / count for k in range(count)]
    expected = {"once": moments[:1], "repeated": moments, "reworded": moments}
    assert {plan.detail(i) for i in injected} == set(expected)
    for fact in injected:
        assert of_fact[fact] == pytest.approx(expected[plan.detail(fact)], abs=FLOAT32_TIME)


def test_injected_facts_keep_one_wording_unless_they_are_reworded(world, config):
    config.arms.shares = {"A8_wordings": 1}
    plan = build_plan(world, config, seed=0)
    wordings = {(plan.detail(int(c["fact"])), int(c["wording"])) for c in plan.cells}
    assert wordings == {("once", 0), ("repeated", 0), ("reworded", -1)}


def test_once_plans_a_single_document(world, config):
    config.timing.kind = "once"
    plan = build_plan(world, config, seed=0)
    assert set(plan.cells["n_documents"].tolist()) == {1}


def test_a_window_of_the_plan_bounds_every_cell(world, config):
    config.timing.kind, config.timing.start, config.timing.stop = "window", 0.2, 0.6
    plan = build_plan(world, config, seed=0)
    assert np.allclose(plan.cells["start"], 0.2)
    assert np.allclose(plan.cells["stop"], 0.6)


def test_the_first_half_of_an_order_precedes_the_second(world, config):
    config.arms.shares = {"A4_order": 1}
    plan = build_plan(world, config, seed=0)
    owners, times = document_times(plan.cells, np.random.default_rng(0))
    last, first = {}, {}
    for owner, time in zip(owners, times, strict=True):
        cell = plan.cells[owner]
        leading = plan.detail(int(cell["fact"])).split(">")[0] == TASK_NAMES[cell["task"]]
        fact = int(cell["fact"])
        if leading:
            last[fact] = float(time)
        else:
            first.setdefault(fact, float(time))
    assert all(last[fact] <= first[fact] for fact in last)


def test_another_generator_gives_other_times():
    cells = cells_of("uniform", [20])
    assert not np.array_equal(times_by_cell(cells, 0)[0], times_by_cell(cells, 1)[0])
