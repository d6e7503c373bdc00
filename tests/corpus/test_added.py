"""Formats that a continued run adds for a share of the facts: arms stay, the rest is held out."""

import copy
from collections import defaultdict

import numpy as np
import pytest

from coemerge.corpus.dataset import build_dataset
from coemerge.corpus.ledger import ExposureLedger
from coemerge.corpus.plan import TASK_NAMES, Plan, build_plan
from coemerge.corpus.plan_config import PlanConfig, check_plan_config
from coemerge.prompts.tasks import get_task

COT = "cot_openqa_mcqa"
SHARES = {"A0_full": 0.5, "A1_withheld_target": 1.0}


def with_added(config: PlanConfig, **added: dict[str, float]) -> PlanConfig:
    config = copy.deepcopy(config)
    config.tasks = [*config.tasks, *added]
    config.documents = {**config.documents, **dict.fromkeys(added, 4)}
    config.added = added
    return config


@pytest.fixture(scope="module")
def world(smoke_spec):
    """46 subjects, as in the main job."""
    config = copy.deepcopy(smoke_spec.world)
    config.types["person"].size = 46
    return config.build()


@pytest.fixture(scope="module")
def before(world, smoke_spec) -> Plan:
    return build_plan(world, smoke_spec.corpus.plan, seed=0)


@pytest.fixture(scope="module")
def after(world, smoke_spec) -> Plan:
    return build_plan(world, with_added(smoke_spec.corpus.plan, **{COT: SHARES}), seed=0)


def tasks_of(plan: Plan) -> dict[int, set[str]]:
    shown = defaultdict(set)
    for cell in plan.cells:
        shown[int(cell["fact"])].add(TASK_NAMES[cell["task"]])
    return shown


def test_every_fact_keeps_its_arm_its_detail_and_its_cells(world, before, after):
    facts = range(len(world.facts))
    assert [after.arm(i) for i in facts] == [before.arm(i) for i in facts]
    assert [after.detail(i) for i in facts] == [before.detail(i) for i in facts]
    then, now = tasks_of(before), tasks_of(after)
    assert {i: tasks - {COT} for i, tasks in now.items()} == then


def test_the_share_of_an_arm_is_shown_and_the_rest_is_held_out(world, after):
    shown = tasks_of(after)
    for relation in world.main_relations():
        full = [i for i in world.positions[relation] if after.arm(i) == "A0_full"]
        assert abs(2 * sum(COT in shown[i] for i in full) - len(full)) <= 1


def test_arms_that_are_not_named_are_not_shown_in_it(world, after):
    reasoned = {after.arm(i) for i, tasks in tasks_of(after).items() if COT in tasks}
    assert reasoned == {"A0_full", "A1_withheld_target"}


def test_reasoning_does_not_reveal_a_withheld_format(world, after):
    shown = tasks_of(after)
    for i, tasks in shown.items():
        if after.arm(i) == "A1_withheld_target":
            assert (COT in tasks) == ({"openqa", "mcqa"} <= tasks)


def test_which_facts_are_held_out_depends_on_the_seed(world, smoke_spec):
    config = with_added(smoke_spec.corpus.plan, **{COT: SHARES})
    config.arms.shares = {"A0_full": 1}
    plans = [tasks_of(build_plan(world, config, seed)) for seed in (0, 0, 1)]
    first, again, other = ({i for i, tasks in plan.items() if COT in tasks} for plan in plans)
    assert first == again
    assert first != other


def test_forms_with_equal_shares_are_shown_for_the_same_facts(world, smoke_spec):
    forms = {COT: SHARES, "cot_completion_verification": SHARES}
    plan = build_plan(world, with_added(smoke_spec.corpus.plan, **forms), seed=0)
    full = [tasks for i, tasks in tasks_of(plan).items() if plan.arm(i) == "A0_full"]
    assert all((COT in tasks) == ("cot_completion_verification" in tasks) for tasks in full)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1 / 3, 0.7, 1.0])
def test_shares_are_met_as_nearly_as_can_be(world, smoke_spec, share):
    config = with_added(smoke_spec.corpus.plan, **{COT: {"A0_full": share}})
    config.arms.shares = {"A0_full": 1}
    shown = tasks_of(build_plan(world, config, seed=0))
    for relation in world.main_relations():
        n = sum(COT in shown[i] for i in world.positions[relation])
        assert n == pytest.approx(46 * share, abs=1)


def test_the_ledger_has_no_reasoning_about_held_out_facts(smoke_spec, tmp_path):
    """T-X3, of the documents as they were stored."""
    spec = copy.deepcopy(smoke_spec)
    spec.world.use = ["birthplace", "employer"]
    spec.prompts.facts_per_relation = 1
    spec.corpus.plan.tasks = ["openqa", "mcqa"]
    spec.corpus.plan = with_added(spec.corpus.plan, **{COT: SHARES})
    dataset = build_dataset(spec, tmp_path / "data", progress=False)
    ledger = ExposureLedger(dataset.store, dataset.facts["fact_id"].to_pylist())
    ledger.advance_to(dataset.store.n_rows)
    columns = ledger.columns(0)
    forms = np.array([get_task(task).form for task in columns["task"]])
    reasoned = {f for f, form in zip(columns["fact_id"], forms, strict=True) if form == "cot"}
    assert set(np.array(columns["form"])[forms == "cot"]) == {"cot"}
    facts = dataset.facts.select(["fact_id", "arm"]).to_pandas()
    full = set(facts["fact_id"][facts["arm"] == "A0_full"])
    assert full & reasoned
    assert full - reasoned
    asked = set(columns["fact_id"])
    assert full <= asked


def test_without_added_formats_a_data_set_is_what_it_was(smoke_spec):
    spec = copy.deepcopy(smoke_spec)
    before = spec.fingerprint()
    spec.corpus.plan.tasks = [*spec.corpus.plan.tasks, COT]
    with_task = spec.fingerprint()
    spec.corpus.plan.added = {COT: SHARES}
    assert len({before, with_task, spec.fingerprint()}) == 3
    assert before == smoke_spec.fingerprint()


@pytest.mark.parametrize(
    ("added", "culprit"),
    [
        ({"multihop": {"A0_full": 1.0}}, r"corpus\.plan\.added\.multihop.*corpus\.plan\.tasks"),
        ({"mcqa": {"A77": 1.0}}, r"corpus\.plan\.added\.mcqa.*A77"),
        ({"mcqa": {"A0_full": 1.5}}, r"corpus\.plan\.added\.mcqa\.A0_full.*1\.5"),
        ({"mcqa": {"A0_full": -0.1}}, r"corpus\.plan\.added\.mcqa\.A0_full"),
    ],
)
def test_faulty_settings_are_named(smoke_spec, added, culprit):
    config = copy.deepcopy(smoke_spec.corpus.plan)
    config.added = added
    with pytest.raises(ValueError, match=culprit):
        check_plan_config(config)


def test_one_format_must_be_left_that_is_not_added(smoke_spec):
    config = copy.deepcopy(smoke_spec.corpus.plan)
    config.added = {task: {"A0_full": 1.0} for task in config.tasks}
    with pytest.raises(ValueError, match=r"corpus\.plan\.added.*one must be left"):
        check_plan_config(config)
