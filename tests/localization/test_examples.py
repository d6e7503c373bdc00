"""Which prompts masks train on (T-M5), and the corrupted versions of prompts."""

import numpy as np
import pytest

from coemerge.localization.config import preset
from coemerge.localization.corruption import with_placeholder, with_subject
from coemerge.localization.examples import Examples
from coemerge.localization.prompts import read_prompts
from tests.localization.models import FACTS, FIRST_SUBJECT, PLACEHOLDER, TASKS, planted_prompts

PROMPTS = read_prompts(planted_prompts())


def examples(**changes) -> Examples:
    return Examples(PROMPTS, FACTS, TASKS, preset(**changes))


def test_training_and_evaluation_share_no_prompt():
    """T-M5."""
    given = examples()
    train = {PROMPTS.prompt_ids[i] for cell in given.cells for i in given.train(*cell)}
    held_out = {PROMPTS.prompt_ids[i] for cell in given.cells for i in given.eval(*cell)}

    assert train
    assert held_out
    assert not train & held_out


def test_every_kind_of_row_is_what_it_says():
    drawn = examples().schedule(("fact-1", "task-2"))

    def cells(rows: np.ndarray) -> set[tuple[str, str, str]]:
        flat = rows.ravel()
        return set(zip(PROMPTS.facts[flat], PROMPTS.tasks[flat], PROMPTS.splits[flat], strict=True))

    seen = "seen_templates"
    assert cells(drawn.nec) == cells(drawn.suf) == {("fact-1", "task-2", seen)}
    assert cells(drawn.facts) == {(f, "task-2", seen) for f in FACTS if f != "fact-1"}
    assert cells(drawn.tasks) == {("fact-1", t, seen) for t in TASKS if t != "task-2"}


def test_prompts_take_turns():
    drawn = examples(steps=10, rows_nec=1).schedule(("fact-0", "task-0"))

    assert all(len(set(pair)) == 2 for pair in drawn.nec.reshape(5, 2).tolist())


def test_what_is_drawn_depends_on_seed_and_cell_alone():
    few = Examples(PROMPTS, FACTS[:1], TASKS, preset())
    cell = ("fact-0", "task-1")

    assert np.array_equal(few.schedule(cell).facts, examples().schedule(cell).facts)
    assert not np.array_equal(few.schedule(cell).facts, examples(seed=1).schedule(cell).facts)


def test_missing_prompts_and_controls_are_named():
    with pytest.raises(ValueError, match=r"fact-9.*task-0"):
        Examples(PROMPTS, ["fact-9"], TASKS, preset())
    with pytest.raises(ValueError, match=r"fact-0: no other fact"):
        Examples(PROMPTS, ["fact-0"], TASKS, preset(), pool=["fact-0"])
    with pytest.raises(ValueError, match=r"two or more"):
        Examples(PROMPTS, FACTS, TASKS[:1], preset())


def test_a_swapped_subject_is_another_one_and_nothing_else_changes():
    for ids, corrupted in zip(PROMPTS.ids, PROMPTS.corrupted, strict=True):
        assert corrupted[1] != ids[1]
        assert FIRST_SUBJECT <= corrupted[1] < FIRST_SUBJECT + len(FACTS)
        assert (corrupted[0], corrupted[2]) == (ids[0], ids[2])
    assert read_prompts(planted_prompts(), seed=1).corrupted != PROMPTS.corrupted


def test_placeholders_replace_the_subject_token_by_token():
    with_none = read_prompts(planted_prompts(), "placeholder", PLACEHOLDER)

    assert with_none.corrupted[0] == [PROMPTS.ids[0][0], PLACEHOLDER, PROMPTS.ids[0][2]]
    assert with_placeholder([5, 6, 7, 8], (1, 3), 0) == [5, 0, 0, 8]
    with pytest.raises(ValueError, match="placeholder"):
        read_prompts(planted_prompts(), "placeholder")


def test_subjects_of_unequal_length_are_refused_by_name():
    with pytest.raises(ValueError, match=r"'Ann Lee' has 2 tokens.* one of 3"):
        with_subject([5, 6, 7, 8], (1, 3), [1, 2, 3], "Ann Lee")


@pytest.mark.parametrize(
    ("key", "value"),
    [("gate", "soft"), ("steps", 0), ("lambda_nec", -1), ("sparsity_ramp", 2), ("stretch_low", 0)],
)
def test_settings_are_checked_by_name(key: str, value):
    with pytest.raises(ValueError, match=f"masks.{key}"):
        preset(**{key: value}).check()


def test_presets_pass_their_own_check():
    preset("small").check()
    preset("published").check()
    with pytest.raises(ValueError, match="preset"):
        preset("large")
