"""Which prompts masks train on (T-M5), and the corrupted versions of prompts."""

import numpy as np
import pyarrow.compute as pc
import pytest

from coemerge.localization.config import preset
from coemerge.localization.corruption import with_placeholder, with_subject
from coemerge.localization.examples import Examples
from coemerge.localization.prompts import read_prompts
from coemerge.tables.store import make_table
from tests.localization.models import FACTS, FIRST_SUBJECT, PLACEHOLDER, TASKS, planted_prompts

PROMPTS = read_prompts(planted_prompts())
PROMPTS_WITHOUT_ONE = read_prompts(
    planted_prompts().filter(~((pc.field("fact_id") == FACTS[0]) & (pc.field("task") == TASKS[2])))
)


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


def donor_table(rows: list[tuple[str, str, str, list[str]]]):
    """(fact, task, answer, options) each; the subject is token 1, and named after the fact."""
    table = planted_prompts().slice(0, len(rows)).to_pydict()
    for i, (fact, task, answer, options) in enumerate(rows):
        changes = {
            "prompt_id": f"{fact}/{task}",
            "fact_id": fact,
            "task": task,
            "template_id": 0,
            "answer": answer,
            "text": f"subject of {fact}: {' '.join(options)}",
            "option_order": options,
            "ids": [0, FIRST_SUBJECT + int(fact[-1]), 1],
        }
        for name, value in changes.items():
            table[name][i] = value
    return make_table("prompts", table)


def test_a_swapped_subject_has_an_answer_among_the_options_if_there_is_one():
    donors = [(f"f{i}", "completion", name, []) for i, name in enumerate(["red", "blue", "green"])]
    lettered = [(f"f{i}", "mcqa", "A", ["red", "green"]) for i in range(3)]
    prompts = read_prompts(donor_table([*donors, *lettered]))

    subject = {
        p: ids[1] - FIRST_SUBJECT
        for p, ids in zip(prompts.prompt_ids, prompts.corrupted, strict=True)
    }
    assert subject["f0/mcqa"] == 2, "f2 is green, which is an option; f1 is blue"
    assert subject["f2/mcqa"] == 0
    assert subject["f1/mcqa"] in (0, 2)
    assert subject["f0/completion"] in (1, 2)


def test_donors_may_be_others_than_the_facts_asked_about():
    everything = donor_table([*[(f"f{i}", "completion", f"object {i}", []) for i in range(4)]])
    asked, donors = everything.slice(0, 2), everything.slice(3, 1)

    prompts = read_prompts(asked, donors=donors)

    assert [ids[1] for ids in prompts.corrupted] == [FIRST_SUBJECT + 3] * 2
    with pytest.raises(ValueError, match="no other subject"):
        read_prompts(asked, donors=everything.slice(0, 1))


def test_in_two_hop_questions_the_answers_must_differ_too():
    rows = [("f0", "completion", "Rome", []), ("f1", "completion", "Milan", []),
            ("f2", "completion", "Paris", []), ("f0", "multihop", "Italy", []),
            ("f1", "multihop", "Italy", []), ("f2", "multihop", "France", [])]  # fmt: skip
    prompts = read_prompts(donor_table(rows))

    subject = dict(zip(prompts.prompt_ids, (ids[1] for ids in prompts.corrupted), strict=True))
    assert subject["f0/multihop"] == subject["f1/multihop"] == FIRST_SUBJECT + 2


def test_facts_may_have_different_tasks():
    fewer = PROMPTS_WITHOUT_ONE
    given = Examples(fewer, FACTS, TASKS, preset())

    assert given.tasks_of(FACTS[0]) == TASKS[:2]
    assert given.tasks_of(FACTS[1]) == TASKS
    assert (FACTS[0], TASKS[2]) not in given.cells
    assert set(given.task_order(FACTS[0])) == set(TASKS[:2])
    with pytest.raises(ValueError, match=r"fact-0.*alone"):
        Examples(fewer, FACTS, TASKS[1:], preset())
