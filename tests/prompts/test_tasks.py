"""What chance is, per format, and which formats there are."""

import pytest

from coemerge.prompts.tasks import CORE_TASKS, TASKS, chance_level, get_task


@pytest.mark.parametrize(
    ("name", "chance"),
    [
        ("completion", 1 / 24),
        ("fitb", 1 / 24),
        ("openqa", 1 / 24),
        ("multihop", 1 / 24),
        ("mcqa", 1 / 4),
        ("negmcqa", 1 / 2),
        ("verification", 1 / 2),
        ("relation_naming", 1 / 24),
        ("cot_openqa_mcqa", 1 / 4),
        ("cot_fitb_negmcqa", 1 / 2),
        ("cot_completion_verification", 1 / 2),
    ],
)
def test_chance_is_one_over_the_allowed_answers(name, chance):
    assert chance_level(get_task(name), n_candidates=24) == chance


def test_the_six_core_tasks_are_half_generative_half_discriminative():
    kinds = [get_task(name).kind for name in CORE_TASKS]
    assert kinds == ["generative"] * 3 + ["discriminative"] * 3


def test_two_step_forms_cross_generative_routes_with_discriminative_tasks():
    routes, answers = ("completion", "fitb", "openqa"), ("mcqa", "negmcqa", "verification")
    expected = {f"cot_{route}_{task}" for route in routes for task in answers}
    assert {t.name for t in TASKS.values() if t.route} == expected


def test_a_two_step_form_is_marked_as_such():
    assert (get_task("cot_fitb_mcqa").form, get_task("mcqa").form) == ("cot", "direct")


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'mcq'.*mcqa"):
        get_task("mcq")
