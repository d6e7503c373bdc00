"""Every format and every arm that a run can have is drawn in a colour and told in words."""

import pytest

from coemerge.corpus.arms import ARMS, SIDES
from coemerge.prompts.tasks import CORE_TASKS, NAMING, TASKS
from coemerge.report import published
from coemerge.report.plotting import (
    arm_colour,
    arm_label,
    is_discriminative,
    task_colour,
    task_line,
)
from coemerge.report.style import ARM_COLOURS, TASK_COLOURS

OF_EXPERIMENTS = (
    ("A0_full", "A1_withheld_target", "A2_single_source", "A5_never"),
    ("A3_dose", "A4_order", "A5_never"),
    ("A0_full", "A6_one_direction", "A7_one_synonym"),
    (*SIDES, "A5_never"),
)


@pytest.mark.parametrize("task", [*CORE_TASKS, "multihop", NAMING])
def test_every_format_has_a_colour_of_its_own_and_the_line_of_its_kind(task: str):
    assert TASK_COLOURS[task] == task_colour(task)
    assert list(TASK_COLOURS.values()).count(task_colour(task)) == 1
    assert is_discriminative(task) == (TASKS[task].kind == "discriminative")
    assert task_line(task) == ("--" if is_discriminative(task) else "-")


@pytest.mark.parametrize("arm", ["all", published.UNKNOWN_ARM, *ARMS])
def test_every_arm_has_a_colour_and_words(arm: str):
    assert arm in ARM_COLOURS
    assert arm_label(arm) != arm
    assert arm == "all" or published.ARMS[arm]


@pytest.mark.parametrize("arms", OF_EXPERIMENTS, ids="-".join)
def test_arms_of_one_experiment_are_told_apart(arms: tuple[str, ...]):
    assert len({arm_colour(arm) for arm in ("all", *arms)}) == len(arms) + 1


def test_what_is_not_known_is_drawn_all_the_same():
    assert task_colour("new")
    assert arm_colour("new") == ARM_COLOURS["unknown"]
    assert arm_label("new") == "new"
