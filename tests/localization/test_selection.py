"""Which facts and phrasings are localized (methods 3.5, step 1), on tables made by hand."""

import numpy as np
import pyarrow as pa
import pytest

from coemerge.localization.prompts import EVAL, TRAIN
from coemerge.localization.selection import SelectionConfig, select_facts, with_eval_split
from tests.localization.models import FACTS, TASKS, planted_prompts

TWO = TASKS[:2]
SMALL = SelectionConfig(train_prompts=1, eval_prompts=1, min_facts=2)


def table(relations: dict[str, str] | None = None) -> pa.Table:
    """Facts of the planted prompts, with other relations where named."""
    prompts = planted_prompts()
    named = [(relations or {}).get(fact, "relation") for fact in prompts["fact_id"].to_pylist()]
    place = prompts.schema.get_field_index("relation")
    return prompts.set_column(place, prompts.schema.field("relation"), pa.array(named))


def right(prompts: pa.Table, *wrong: tuple[str, str, int]) -> np.ndarray:
    """All answered right, but for these (fact, task, template)."""
    rows = zip(*(prompts[c].to_pylist() for c in ("fact_id", "task", "template_id")), strict=True)
    return np.array([row not in wrong for row in rows])


def phrasings(selected, task: str, split: str) -> set[int]:
    frame = selected.prompts.to_pandas()
    return set(frame[(frame["task"] == task) & (frame["split"] == split)]["template_id"])


def test_the_phrasings_answered_best_are_kept():
    prompts = table()
    wrong = [(FACTS[0], TASKS[0], 0), (FACTS[1], TASKS[0], 3)]

    selected = select_facts(prompts, right(prompts, *wrong), TWO, SMALL)

    assert phrasings(selected, TASKS[0], TRAIN) == {1}
    assert phrasings(selected, TASKS[0], EVAL) == {2}
    assert phrasings(selected, TASKS[1], TRAIN) == {0}, "ties go to the earlier one"
    assert set(selected.prompts["task"].to_pylist()) == set(TWO)
    assert selected.known == sorted(FACTS), "what was wrong is not asked any more"


def test_a_fact_must_be_known_in_every_task():
    prompts = table()
    wrong = [(FACTS[2], TASKS[1], 2), (FACTS[2], TASKS[1], 3)]

    selected = select_facts(prompts, right(prompts, *wrong), TWO, SMALL)

    assert FACTS[2] not in selected.targets
    assert selected.accuracy.loc[FACTS[2]].tolist() == [1.0, 0.0]


def test_a_task_that_a_relation_does_not_have_is_not_asked_of_its_facts():
    prompts = table()
    facts, tasks = (np.array(prompts[c].to_pylist()) for c in ("fact_id", "task"))
    prompts = prompts.filter(pa.array(~((facts == FACTS[0]) & (tasks == TASKS[2]))))

    selected = select_facts(prompts, right(prompts), TASKS, SMALL)

    assert FACTS[0] in selected.targets
    assert np.isnan(selected.accuracy.loc[FACTS[0], TASKS[2]])


def test_relations_take_turns_and_a_lonely_fact_has_no_controls():
    prompts = table({FACTS[0]: "a", FACTS[1]: "a", FACTS[2]: "b", FACTS[3]: "b"})
    assert select_facts(prompts, right(prompts), TWO, SMALL).targets == [
        FACTS[0], FACTS[2], FACTS[1], FACTS[3],
    ]  # fmt: skip

    prompts = table({FACTS[3]: "alone"})
    assert FACTS[3] not in select_facts(prompts, right(prompts), TWO, SMALL).targets


def test_at_most_as_many_as_asked_for_and_all_that_are_named():
    prompts = table()
    few = SelectionConfig(train_prompts=1, eval_prompts=1, min_facts=2, n_facts=2)
    assert len(select_facts(prompts, right(prompts), TWO, few).targets) == 2

    named = SelectionConfig(facts=[FACTS[3], FACTS[1], FACTS[0]], n_facts=2)
    assert select_facts(prompts, right(prompts), TWO, named).targets == [
        FACTS[3], FACTS[1], FACTS[0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SelectionConfig(facts=["fact-9"]), ["study.facts", "fact-9", "fact-0"]),
        (SelectionConfig(facts=[FACTS[2]], eval_prompts=1), ["fact-2", "task-1 0.00", "threshold"]),
        (SelectionConfig(min_facts=4), ["3 facts", "4 are needed", "task-1 3 of 4"]),
    ],
)
def test_facts_that_are_not_known_are_refused_with_the_task(config: SelectionConfig, words):
    prompts = table()
    wrong = [(FACTS[2], TASKS[1], template) for template in range(4)]

    with pytest.raises(ValueError, match=words[0]) as error:
        select_facts(prompts, right(prompts, *wrong), TWO, config)

    for word in words:
        assert word in str(error.value)


def test_where_nothing_was_seen_phrasings_are_split_by_seed():
    prompts = table()
    place = prompts.schema.get_field_index("split")
    held_out = prompts.set_column(
        place, prompts.schema.field("split"), pa.array([EVAL] * len(prompts))
    )
    config = SelectionConfig(train_prompts=3, eval_prompts=1, min_facts=2)

    split = with_eval_split(held_out, config)

    frame = split.to_pandas().groupby(["task", "split"])["template_id"].nunique().unstack()
    assert (frame[EVAL] == 1).all()
    assert (frame[TRAIN] == 3).all()
    per_template = split.to_pandas().groupby(["task", "template_id"])["split"].nunique()
    assert (per_template == 1).all(), "a phrasing is one or the other for all facts"
    assert split == with_eval_split(held_out, config)
    assert with_eval_split(prompts, config) == prompts, "what has a split keeps it"
