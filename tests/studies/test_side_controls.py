"""What stands beside edits of two sides: a third object, the subject's other facts, edits of other
facts and edits turned in a random direction."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from coemerge.studies.entity_relation.cases import ENTITY, ENTITY_THIRD, RELATION, SAME_SUBJECT
from coemerge.studies.entity_relation.judging import turned
from coemerge.studies.entity_relation.transfer import net_index, side_transfer
from tests.interventions.models import logits_of
from tests.studies.planted_sides import BOLD, LAYER, config, judge, model, some_cases


def rows(frame: pd.DataFrame, **values: str) -> pd.DataFrame:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame.set_index("fact_id")


def test_the_net_index_takes_off_what_a_third_object_gains():
    sums = 10 * np.array([[0.6, 0.1, 0.9, 0.3, 0.1, 0.2, 1.0]])
    assert net_index(sums) == pytest.approx([(0.5 - 0.2) / (0.8 - 0.1)])
    only_damage = 10 * np.array([[0.5, 0.0, 0.5, 0.5, 0.0, 0.5, 1.0]])
    assert np.isnan(net_index(only_damage)).all()


def test_without_a_third_object_the_net_index_is_not_defined_and_the_index_is():
    of = judge(some_cases())
    frames = [
        of.side_edits(side, of.edit("ft", side, LAYER, BOLD["ft"])) for side in (ENTITY, RELATION)
    ]
    edits = pd.concat(frames).assign(seed=0, editor="ft")
    documents = edits[["seed", "fact_id"]].drop_duplicates().assign(entity=1.0, relation_side=2.0)
    (row, *_) = side_transfer(edits, documents, config())
    assert np.isnan([row["net"], row["net_low"], row["net_high"]]).all()
    assert not np.isnan(row["index"])
    assert 0 <= row["n_none"] <= row["n"]


def test_a_third_object_is_judged_as_the_new_one_is():
    cases = some_cases()
    third = [replace(c.trials[ENTITY], new=[5], neighbours=()) for c in cases]
    pairs = zip(cases, third, strict=True)
    cases = [replace(c, trials={**c.trials, ENTITY_THIRD: t}) for c, t in pairs]
    of = judge(cases)
    frame = of.side_edits(ENTITY, of.edit("ft", ENTITY, LAYER, BOLD["ft"]))
    found = rows(frame, probe=ENTITY_THIRD, measure="efficacy", control="none")
    for case in cases:
        logits = logits_of(model(), torch.tensor([case.trials[ENTITY].rewrite]))[0, -1]
        (old,) = case.trials[ENTITY].true
        assert found.loc[case.fact_id, "pre"] == float(logits[5] > logits[old])


def test_other_facts_of_the_subject_stay_or_not():
    """The first says what it says now; of the second nothing is known."""
    first, *others = some_cases()
    prompts = [trial.rewrite for trial in (first.trials[ENTITY], others[0].trials[ENTITY])]
    said = [int(logits_of(model(), torch.tensor([ids]))[0, -1].argmax()) for ids in prompts]
    right, wrong = (prompts[0], said[0]), (prompts[1], said[1] + 1)
    cases = [replace(first, same_subject=[right, wrong]), *others]
    of = judge(cases)
    outcomes = of.edit("ft", ENTITY, LAYER, BOLD["ft"])
    found = rows(of.side_edits(ENTITY, outcomes), probe=SAME_SUBJECT)

    assert list(found.index) == [first.fact_id]
    assert found["pre"].item() == 0.5
    assert found["post"].item() == 0.0  # the edit was of the very prompt
    scores = of.scores(ENTITY, outcomes)
    assert (scores["ks"], scores["s"]) == (0, 0)
    assert np.isnan(judge(others).scores(ENTITY, outcomes[1:])["ks"])


def test_a_mismatched_edit_is_that_of_the_next_fact_of_the_relation():
    cases = some_cases(5)  # r0: 0, 2, 4; r1: 1, 3
    of = judge([replace(cases[3], relation="alone") if c is cases[3] else c for c in cases])
    outcomes = of.edit("ft", ENTITY, LAYER, BOLD["ft"])
    found = rows(of.side_edits(ENTITY, outcomes), probe=ENTITY, control="mismatched")
    assert sorted(found.index) == ["fact-0", "fact-2", "fact-4"]
    assert set(found["measure"]) == {"efficacy"}
    swapped = [outcomes[i] for i in (2, 1, 4, 3, 0)]
    expected = rows(
        of.side_edits(ENTITY, swapped), probe=ENTITY, control="none", measure="efficacy"
    )
    assert found["post"].to_dict() == expected.loc[found.index, "post"].to_dict()


def test_a_turned_edit_has_the_same_keys_and_the_same_size():
    of = judge(some_cases())
    for editor in ("rome", "ft"):
        edit = of.edit(editor, ENTITY, LAYER, BOLD[editor])[0].edit
        turn, _ = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(1)))
        both = edit, turned(edit, turn)
        before, after = (e.deltas[LAYER].left @ e.deltas[LAYER].right.T for e in both)
        assert float(after.norm()) == pytest.approx(float(before.norm()), rel=1e-5)
        assert torch.allclose(after.norm(dim=0), before.norm(dim=0), rtol=1e-3, atol=1e-6)
        assert not torch.allclose(after, before, atol=1e-3)


def test_random_controls_seldom_succeed_where_edits_do():
    of = judge(some_cases(6))
    outcomes = of.edit("rome", ENTITY, LAYER, BOLD["rome"])
    frame = of.side_edits(ENTITY, outcomes)
    edited = rows(frame, probe=ENTITY, control="none", measure="efficacy")["post"].mean()
    by_chance = rows(frame, probe=ENTITY, control="random")["post"].mean()
    assert edited > by_chance
