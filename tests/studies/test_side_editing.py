"""Editors on both sides of planted facts, how their edits are judged, and how settings are chosen;
then one model studied as a whole. Bad input of methods 2.10 on the way."""

import logging
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from coemerge.editing.counterfact_scores import counterfact_scores, harmonic_mean, trial_scores
from coemerge.editing.keys import KeyMoment
from coemerge.editing.neurons import update_each
from coemerge.editing.outcome import Outcome, warn_of
from coemerge.interventions.edits import Edit
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.neuron_sets import coarse_sets
from coemerge.prompts.pairs import Pairing
from coemerge.studies.entity_relation import judging
from coemerge.studies.entity_relation.cases import (
    ENTITY,
    RELATION,
    REMOVAL,
    SAME_SUBJECT,
    SIDES,
    Case,
    Cases,
)
from coemerge.studies.entity_relation.config import EDITORS, EntityRelationConfig
from coemerge.studies.entity_relation.judging import MEASURES, Judge
from coemerge.studies.entity_relation.settings import tried_settings
from coemerge.studies.entity_relation.study import Studied, Subject, study_model
from coemerge.studies.entity_relation.tables import entity_relation_tables
from coemerge.studies.shared.editors import ANY_LAYER, Editors, memit_layers
from coemerge.studies.shared.grids import Setting
from coemerge.studies.shared.split import split
from coemerge.tables.entity_relation_records import ENTITY_RELATION_RECORDS
from coemerge.tables.store import make_table
from tests.interventions.models import logits_of, n_hooks
from tests.localization.models import prompt_table
from tests.studies.planted_sides import (
    BOLD,
    D_VOCAB,
    LAYER,
    N_LAYERS,
    config,
    judge,
    make_model,
    model,
    some_cases,
)
from tests.tolerances import EXACT_IN_FLOAT64

SIZE = 1e-6  # relative: norms of float32 matrices, by products of factors and written out


def without_also(cases: list[Case]) -> list[Case]:
    """One value can hardly serve two prompts in a model of random MLPs."""
    return [
        replace(c, requests={side: replace(r, also=None) for side, r in c.requests.items()})
        for c in cases
    ]


def state_of(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_as_found(net: torch.nn.Module, before: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert (net.training, n_hooks(net)) == (False, 0)
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


# --- editors ---


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("editor", EDITORS)
def test_every_editor_changes_the_answer_on_its_side_and_leaves_the_model(editor: str, side: str):
    cases, before = without_also(some_cases()), state_of(model())
    of = judge(cases)

    outcomes = of.edit(editor, side, LAYER, BOLD[editor])

    trials = [case.trials[side] for case in cases]
    pre, post = counterfact_scores(model(), [o.edit for o in outcomes], trials)
    assert (pre.es.tolist(), post.es.tolist()) == ([0] * 4, [1] * 4)
    assert (post.em - pre.em > 0.3).all()
    assert not any(o.diverged or o.already_answered for o in outcomes)
    assert_as_found(model(), before)


def test_edits_are_made_where_they_should_be():
    of = judge(some_cases(2))
    layers = {
        editor: {tuple(o.edit.layers) for o in of.edit(editor, ENTITY, 2, BOLD[editor])}
        for editor in ("rome", "memit", "ft", "ft_l")
    }
    assert layers == {"rome": {(2,)}, "memit": {(1, 2)}, "ft": {(2,)}, "ft_l": {(2,)}}
    assert [memit_layers(last, 3) for last in (0, 1, 4)] == [[0], [0, 1], [2, 3, 4]]


def test_a_bounded_edit_changes_no_weight_by_more():
    for outcome in judge(some_cases(2)).edit("ft_l", ENTITY, LAYER, {**BOLD["ft_l"]}):
        (delta,) = outcome.edit.deltas.values()
        largest = float((delta.left @ delta.right.T).abs().max())
        assert largest == pytest.approx(BOLD["ft_l"]["max_change"], rel=1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_kn_is_the_update_of_the_neurons_that_the_present_answer_is_due_to(side: str):
    """By hand: joint attribution of what is right now, coarse sets, and ``update_each``."""
    cases = some_cases()
    requests = [case.requests[side] for case in cases]
    prompts = [tuple(request.goal.ids) for request in requests]

    outcomes = judge(cases).edit("kn", side, 3, {"tau": 0.1, "erased": 3.0, "written": 5.0})

    credited = attribute(
        model(), prompts, [tuple(r.target_true) for r in requests], AttributionConfig("joint", 4)
    )
    now = [int(logits_of(model(), torch.tensor([ids]))[0, -1].argmax()) for ids in prompts]
    new = [request.goal.target[0] for request in requests]
    by_hand = update_each(model(), coarse_sets(credited, 0.1), now, new, (3.0, 5.0))
    for outcome, expected in zip(outcomes, by_hand, strict=True):
        assert outcome.edit.layers == expected.layers
        assert outcome.edit.layers
        for layer, delta in expected.deltas.items():
            assert torch.equal(outcome.edit.deltas[layer].left, delta.left)
            assert torch.equal(outcome.edit.deltas[layer].right, delta.right)
        assert (outcome.n_steps, outcome.diverged, np.isnan(outcome.loss)) == (0, False, True)


def test_attributions_are_made_once_per_prompt_and_answer(monkeypatch: pytest.MonkeyPatch):
    from coemerge.studies.shared import editors

    asked: list[int] = []

    def counted(net, prompts, answers, settings):
        asked.append(len(prompts))
        return attribute(net, prompts, answers, settings)

    monkeypatch.setattr(editors, "attribute", counted)
    of = judge(some_cases())
    first = of.edit("kn", ENTITY, ANY_LAYER, {"tau": 0.1})
    again = of.edit("kn", ENTITY, ANY_LAYER, {"tau": 0.1})
    of.edit("kn", ENTITY, ANY_LAYER, {"tau": 0.3})
    of.edit("kn", RELATION, ANY_LAYER, {"tau": 0.3})
    assert asked == [4, 4]
    for one, other in zip(first, again, strict=True):
        assert one.edit.layers == other.edit.layers


def test_a_target_that_is_the_present_answer_is_told(caplog: pytest.LogCaptureFixture):
    (case,) = some_cases(1)
    said = int(logits_of(model(), torch.tensor([case.requests[ENTITY].goal.ids]))[0, -1].argmax())
    request = case.requests[ENTITY]
    same = replace(request, goal=replace(request.goal, target=[said]))
    of = judge([replace(case, requests={ENTITY: same}), *some_cases(2)[1:]])
    with caplog.at_level(logging.WARNING):
        for editor in ("ft", "kn"):
            outcomes = of.edit(editor, ENTITY, LAYER, BOLD[editor])
            warn_of(outcomes)
            rows = of.outcome_rows(ENTITY, outcomes)
            assert rows["already_answered"].tolist() == [True, False]
    assert caplog.text.count("1 of 2 requests") == 2


def test_an_edit_that_diverges_does_nothing_and_is_counted():
    of = judge(some_cases(2))
    outcomes = of.edit("ft", ENTITY, LAYER, {"lr": 1e30, "steps": 5})
    rows = of.outcome_rows(ENTITY, outcomes)
    assert rows["diverged"].tolist() == [True, True]
    assert rows["size"].tolist() == [0.0, 0.0]
    edits = of.side_edits(ENTITY, outcomes)
    assert (edits["pre"] == edits["post"]).all()
    assert (edits["magnitude_pre"] == edits["magnitude_post"]).all()


def test_a_singular_moment_of_keys_is_told_and_edits_go_on(caplog: pytest.LogCaptureFixture):
    """As from less text than a layer has neurons."""
    n = model().config.n_embd * 4
    few = torch.randn(3, n, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.WARNING):
        moment = KeyMoment.of(few.T @ few / 3)
    assert "C is singular" in caplog.text
    cases = without_also(some_cases())
    of = Judge(Editors(model(), config(), {0: moment, LAYER: moment}, start=0), cases)
    for editor in ("rome", "memit"):
        outcomes = of.edit(editor, ENTITY, LAYER, BOLD[editor])
        rows = of.outcome_rows(ENTITY, outcomes)
        assert not rows["diverged"].any()
        assert np.isfinite(rows["size"]).all()
        assert of.scores(ENTITY, outcomes)["es"] == 1


@pytest.mark.parametrize("editor", ["rome", "memit", "ft", "ft_l"])
def test_what_cannot_be_edited_is_refused_and_leaves_the_model(editor: str):
    (case,) = some_cases(1)
    request = case.requests[ENTITY]
    outside = replace(request, goal=replace(request.goal, subject=(2, 9)))
    before = state_of(model())
    with pytest.raises(ValueError, match=r"subject \(2, 9\) is not in the prompt"):
        judge([replace(case, requests={ENTITY: outside})]).edit(editor, ENTITY, LAYER, {})
    with pytest.raises(ValueError, match="0 to 3"):
        judge([case]).edit(editor, ENTITY, N_LAYERS, {})
    assert_as_found(model(), before)


# --- judging ---


@pytest.fixture(scope="module")
def judged() -> tuple[Judge, list[Outcome], pd.DataFrame]:
    of = judge(some_cases(arms=("entity_only", "both_sides")))
    outcomes = of.edit("ft", ENTITY, LAYER, BOLD["ft"])
    return of, outcomes, of.side_edits(ENTITY, outcomes)


def test_there_is_a_row_of_every_case_probe_and_measure(judged):
    of, _, frame = judged
    columns = {field.name for field in fields(ENTITY_RELATION_RECORDS[1])}
    assert ENTITY_RELATION_RECORDS[1].table == "side_edits"
    assert set(frame) == columns - {"seed", "editor"}
    keys = ["fact_id", "probe", "measure", "control"]
    assert not frame.duplicated(keys).any()
    n_controls = frame[frame["control"] != "none"].groupby(["control", "probe"]).size()
    assert n_controls.to_dict() == {(c, p): 4 for c in ("mismatched", "random") for p in SIDES}
    assert (frame["control"] == "none").sum() == len(of.cases) * 3 * len(MEASURES)
    assert set(frame["edit_side"]) == {ENTITY}
    told = frame.drop_duplicates("fact_id").set_index("fact_id")
    for case in of.cases:
        assert tuple(told.loc[case.fact_id, ["relation", "arm"]]) == (case.relation, case.arm)


def test_scores_before_are_of_the_untouched_model_and_scores_after_of_the_edit(judged):
    of, outcomes, frame = judged
    for probe in (ENTITY, RELATION, REMOVAL):
        trials = [case.trials[probe] for case in of.cases]
        pre, post = counterfact_scores(model(), [o.edit for o in outcomes], trials)
        for measure, (share, magnitude) in MEASURES.items():
            rows = frame[(frame["probe"] == probe) & (frame["measure"] == measure)]
            rows = rows[rows["control"] == "none"]
            rows = rows.set_index("fact_id").loc[[case.fact_id for case in of.cases]]
            assert rows["pre"].tolist() == getattr(pre, share).tolist()
            assert rows["post"].tolist() == getattr(post, share).tolist()
            np.testing.assert_allclose(rows["magnitude_pre"], getattr(pre, magnitude), atol=1e-6)
            np.testing.assert_allclose(rows["magnitude_post"], getattr(post, magnitude), atol=1e-6)


def efficacy(frame: pd.DataFrame, control: str, probe: str) -> pd.DataFrame:
    rows = frame[(frame["control"] == control) & (frame["probe"] == probe)]
    return rows[rows["measure"] == "efficacy"].set_index("fact_id").sort_index()


@pytest.mark.parametrize("probe", SIDES)
def test_mismatched_edits_are_those_of_the_next_fact_of_the_relation(judged, probe: str):
    of, outcomes, frame = judged
    assert [case.relation for case in of.cases] == ["r0", "r1", "r0", "r1"]
    others = [outcomes[place].edit for place in (2, 3, 0, 1)]
    _, post = counterfact_scores(model(), others, [case.trials[probe] for case in of.cases])
    found = efficacy(frame, "mismatched", probe)
    np.testing.assert_allclose(found["magnitude_post"], post.em, atol=1e-6)
    assert found["pre"].tolist() == efficacy(frame, "none", probe)["pre"].tolist()
    alone = judge([of.cases[0], of.cases[1]]).side_edits(ENTITY, outcomes[:2])
    assert set(alone["control"]) == {"none", "random"}


def test_random_edits_have_the_size_of_the_real_ones_and_not_their_effect(judged, monkeypatch):
    of, outcomes, frame = judged
    seen: list[Edit] = []

    def noted(net, trials, edits, *more):
        seen.extend(edits or ())
        return trial_scores(net, trials, edits, *more)

    monkeypatch.setattr(judging, "trial_scores", noted)
    of.side_edits(ENTITY, outcomes)
    for outcome, turned in zip(outcomes, seen[-4:], strict=True):
        ((layer, own),) = outcome.edit.deltas.items()
        change, other = (d.left @ d.right.T for d in (own, turned.deltas[layer]))
        assert float(other.norm()) == pytest.approx(float(change.norm()), rel=1e-5)
        assert not torch.allclose(other, change, atol=1e-2)
        torch.testing.assert_close(other.T @ other, change.T @ change, atol=1e-3, rtol=1e-3)
    real, random = (efficacy(frame, control, ENTITY) for control in ("none", "random"))
    assert real["post"].mean() == 1 > random["post"].mean()


def test_the_subjects_other_facts_are_scored_by_what_is_said(judged):
    """Prompts of a case with their answers: one that the model says, one that it does not."""
    of, outcomes, _ = judged
    asked = [case.requests[ENTITY].goal.ids for case in of.cases]
    said = [int(logits_of(model(), torch.tensor([ids]))[0, -1].argmax()) for ids in asked]
    own = [(asked[0], said[0]), (asked[0], said[0] + 1)], [(asked[1], said[1])], [], []
    cases = [replace(case, same_subject=s) for case, s in zip(of.cases, own, strict=True)]
    beside = judge(cases)
    frame = beside.side_edits(ENTITY, outcomes)
    found = frame[frame["probe"] == SAME_SUBJECT].set_index("fact_id")
    assert found["pre"].to_dict() == {"fact-0": 0.5, "fact-1": 1.0}
    assert found["post"].to_dict() == {"fact-0": 0.0, "fact-1": 0.0}  # now the new object
    assert set(found["measure"]) == {"specificity"}
    assert found["magnitude_post"].isna().all()
    scores = beside.scores(ENTITY, outcomes)
    assert (scores["ks"], scores["s"]) == (0.0, 0.0)
    alone = of.scores(ENTITY, outcomes)
    assert np.isnan(alone["ks"])
    assert alone["s"] == pytest.approx(harmonic_mean(*(alone[n] for n in ("es", "ps", "ns"))))


def test_t_r2_the_edit_that_does_nothing_leaves_every_score():
    of = judge(some_cases())
    nothing = [Outcome(Edit(), float("nan"), 0, diverged=False, already_answered=False)] * 4
    frame = of.side_edits(RELATION, nothing)
    assert frame["pre"].tolist() == frame["post"].tolist()
    assert frame["magnitude_pre"].tolist() == frame["magnitude_post"].tolist()


def test_cases_without_a_side_are_left_out_of_it():
    cases = some_cases()
    one_sided = replace(
        cases[1],
        requests={ENTITY: cases[1].requests[ENTITY]},
        trials={ENTITY: cases[1].trials[ENTITY]},
    )
    no_removal = replace(
        cases[2], trials={p: trial for p, trial in cases[2].trials.items() if p != REMOVAL}
    )
    of = judge([cases[0], one_sided, no_removal, cases[3]])
    assert [case.fact_id for case in of.of_side(RELATION)] == ["fact-0", "fact-2", "fact-3"]
    frame = of.side_edits(RELATION, of.edit("ft", RELATION, LAYER, BOLD["ft"]))
    asked = frame.groupby("probe")["fact_id"].agg(lambda names: sorted(set(names)))
    assert asked.to_dict() == {
        ENTITY: ["fact-0", "fact-2", "fact-3"],
        RELATION: ["fact-0", "fact-2", "fact-3"],
        REMOVAL: ["fact-0", "fact-3"],
    }
    other = of.side_edits(ENTITY, of.edit("ft", ENTITY, LAYER, BOLD["ft"]))
    assert "fact-1" in set(other["fact_id"][other["probe"] == ENTITY])
    assert "fact-1" not in set(other["fact_id"][other["probe"] == RELATION])


@pytest.mark.parametrize("editor", ["rome", "memit", "ft", "kn"])
def test_the_size_of_an_edit_is_that_of_its_change_written_out(editor: str):
    """Over the matrices that it changes, together."""
    cases = some_cases(2)
    of = judge(cases)
    outcomes = of.edit(editor, ENTITY, LAYER, BOLD[editor])
    rows = of.outcome_rows(ENTITY, outcomes)
    assert rows["fact_id"].tolist() == ["fact-0", "fact-1"]
    for size, outcome in zip(rows["size"], outcomes, strict=True):
        change = [d.left @ d.right.T for d in outcome.edit.deltas.values()]
        weights = [model().transformer.h[n].mlp.c_proj.weight for n in outcome.edit.deltas]
        above = torch.cat([c.flatten() for c in change]).double().norm()
        below = torch.cat([w.detach().flatten() for w in weights]).double().norm()
        assert size == pytest.approx(float(above / below), rel=SIZE)
        assert size > 0


def test_edits_that_change_nothing_have_no_size():
    of = judge(some_cases(1))
    (row,) = of.outcome_rows(
        ENTITY, [Outcome(Edit(), 1.5, 3, diverged=True, already_answered=False)]
    ).to_dict("records")
    assert (row["size"], row["loss"], row["n_steps"], row["diverged"]) == (0.0, 1.5, 3, True)


# --- settings ---


class Scored:
    """Stands for a judge: the scores of each (side, layer, learning rate) are given."""

    kept = None
    frames = Judge.frames

    def __init__(self, scores: dict[tuple[str, int, float], tuple[float, float, float]]) -> None:
        self._scores = scores

    def of_side(self, side: str) -> list[Case]:
        return some_cases(3) if any(key[0] == side for key in self._scores) else []

    def edit(self, editor: str, side: str, layer: int, setting: Setting) -> tuple:
        return (side, layer, setting["lr"])

    def scores(self, side: str, outcomes: tuple) -> dict[str, float]:
        assert outcomes[0] == side
        es, ps, ns = self._scores[outcomes]
        return {"es": es, "ps": ps, "ns": ns, "s": float(harmonic_mean(es, ps, ns))}


def test_the_highest_harmonic_mean_is_chosen_for_every_editor_and_side():
    """Not the highest efficacy, nor the highest sum."""
    of: Any = Scored({
        (ENTITY, 0, 1): (1.0, 1.0, 0.1), (ENTITY, 0, 2): (0.6, 0.6, 0.6),
        (ENTITY, 2, 1): (1.0, 1.0, 0.2), (ENTITY, 2, 2): (0.7, 0.5, 0.5),
        (RELATION, 0, 1): (0.2, 0.2, 0.9), (RELATION, 0, 2): (0.0, 1.0, 1.0),
        (RELATION, 2, 1): (0.5, 0.4, 0.3), (RELATION, 2, 2): (0.1, 0.1, 0.1),
    })  # fmt: skip
    tried, chosen = tried_settings(
        of, [0, 2], config(editors=("ft",), grids={"ft": [{"lr": [1, 2]}]})
    )
    assert chosen == {("ft", ENTITY): (0, {"lr": 2}), ("ft", RELATION): (2, {"lr": 1})}
    best = tried[tried["chosen"]].set_index("edit_side")
    assert best["s"].to_dict() == pytest.approx({ENTITY: 0.6, RELATION: 3 / (2 + 2.5 + 10 / 3)})
    assert best["setting"].to_dict() == {ENTITY: "lr=2", RELATION: "lr=1"}
    assert (len(tried), set(tried["n"])) == (8, {3})


def test_every_layer_and_setting_is_tried_and_what_is_told_of_it_holds():
    weak = {"lr": 1e-6, "steps": 1}
    grids = {"ft": [weak, BOLD["ft"]], "kn": [{"written": 0.0, "erased": 0.0}, BOLD["kn"]]}
    of = judge(some_cases())

    tried, chosen = tried_settings(of, [0, 2], config(editors=("ft", "kn"), grids=grids))

    layers = tried.groupby(["editor", "edit_side"])["layer"].agg(list).to_dict()
    assert layers == {
        (editor, side): at
        for side in SIDES
        for editor, at in (("ft", [0, 0, 2, 2]), ("kn", [ANY_LAYER, ANY_LAYER]))
    }
    assert tried["chosen"].sum() == len(chosen) == 4
    for row in tried[tried["chosen"]].to_dict("records"):
        side = row["edit_side"]
        layer, setting = chosen[row["editor"], side]
        own = of.scores(side, of.edit(row["editor"], side, layer, setting))
        assert row["layer"] == layer
        for name in ("es", "ps", "ns", "s"):
            assert row[name] == pytest.approx(own[name], abs=EXACT_IN_FLOAT64)


def test_of_equals_the_first_is_chosen_and_what_is_not_defined_plays_no_part():
    """No neighbours: no specificity."""
    bare = [
        replace(c, trials={p: replace(t, neighbours=[]) for p, t in c.trials.items()})
        for c in some_cases()
    ]
    nothing = {"written": 0.0, "erased": 0.0}
    grids = {"kn": [nothing, {**nothing, "tau": 0.1}, BOLD["kn"]]}
    tried, chosen = tried_settings(judge(bare), [0], config(editors=("kn",), grids=grids))
    assert tried["ns"].isna().all()
    assert tried["s"].tolist() == pytest.approx(harmonic_mean(tried["es"], tried["ps"]))
    assert chosen == {("kn", side): (ANY_LAYER, BOLD["kn"]) for side in SIDES}

    grids = {"kn": [nothing, {**nothing, "tau": 0.1}]}
    tried, chosen = tried_settings(judge(bare), [0], config(editors=("kn",), grids=grids))
    assert chosen == {("kn", side): (ANY_LAYER, nothing) for side in SIDES}
    assert tried["chosen"].tolist() == [True, False] * 2


def test_a_side_that_no_case_has_is_not_tried():
    one_sided = [replace(c, requests={ENTITY: c.requests[ENTITY]}) for c in some_cases(2)]
    tried, chosen = tried_settings(judge(one_sided), [LAYER], config(editors=("ft",)))
    assert set(chosen) == {("ft", ENTITY)}
    assert tried["setting"].tolist() == ["lr=0.05, steps=20"]
    published = config(editors=("kn",), grids={})
    assert tried_settings(judge(one_sided), [0], published)[0]["setting"][0] == "as published"


# --- one model ---


def subject(net: torch.nn.Module | None = None, **changes) -> Subject:
    """With prompts to trace by: none of them knows its answer."""
    facts = pd.DataFrame(
        [(f"fact-{f}", f"r{f % 2}", "both_sides", f"s{f // 2}", "b", 4.0, 6.0) for f in range(8)],
        columns=["fact_id", "relation", "arm", "subject", "object", "entity", "relation_side"],
    )
    asked = prompt_table((f % 4, 0, 0, [1, 2 + f, 3], f % 4) for f in range(4)).to_pydict()
    prompts: pa.Table = make_table("prompts", {**asked, "task": ["completion"] * 4})
    usual = {
        "model": net or model(), "identity": "planted", "seed": 3, "prompts": prompts,
        "facts": facts, "pairing": Pairing.__new__(Pairing), "text": (), "opening": None,
        "separator": [], "start": 0,
    }  # fmt: skip
    return Subject(**{**usual, **changes})


def counts(cases: list[Case]) -> pd.DataFrame:
    rows = [(case.relation, case.arm, "studied", 1) for case in cases]
    return pd.DataFrame(rows, columns=["relation", "arm", "reason", "n"])


def studied(tmp_path: Path, settings: EntityRelationConfig, **changes) -> Studied:
    cases = some_cases(8)
    return study_model(subject(**changes), Cases(cases, counts(cases)), settings, tmp_path)


FEW = config(editors=("ft", "kn"), grids={"ft": [{"lr": 0.05, "steps": 5}], "kn": [BOLD["kn"]]})


def test_settings_are_chosen_on_facts_that_no_edit_is_reported_of(tmp_path: Path, monkeypatch):
    from coemerge.studies.entity_relation import study

    dev: list[str] = []

    def seen(of, layers, settings):
        dev.extend(case.fact_id for case in of.cases)
        return tried_settings(of, layers, settings)

    monkeypatch.setattr(study, "tried_settings", seen)
    found = studied(tmp_path, FEW)
    test = set(found.side_edits["fact_id"])
    assert dev
    assert not set(dev) & test
    assert set(dev) | test == {f"fact-{f}" for f in range(8)}
    assert set(found.outcomes["fact_id"]) == test
    assert set(found.tried["n"]) == {len(dev)}
    whose = dict(zip(subject().facts["fact_id"], subject().facts["subject"], strict=True))
    assert not {whose[fact] for fact in dev} & {whose[fact] for fact in test}
    told = found.cases.counts.groupby("reason")["n"].sum().to_dict()
    assert told == {"studied": len(test), study.KEPT: len(dev)}
    assert set(found.side_edits["seed"]) == set(found.tried["seed"]) == {3}
    assert not found.tried["traced"].any()
    done = found.side_edits.drop_duplicates(["editor", "edit_side"])
    assert len(done) == 2 * len(FEW.editors)


def test_a_side_that_only_facts_kept_for_the_choice_have_is_not_reported(tmp_path: Path):
    cases = some_cases(8)
    dev, test = split([f"s{n}" for n in range(4)], FEW)
    for place in (place for n in test for place in (2 * n, 2 * n + 1)):
        entity = {ENTITY: cases[place].requests[ENTITY]}
        cases[place] = replace(cases[place], requests=entity)
    found = study_model(subject(), Cases(cases, counts(cases)), FEW, tmp_path)
    assert set(found.tried["edit_side"]) == set(SIDES)
    assert set(found.tried["n"]) == {2 * len(dev)}
    assert set(found.side_edits["edit_side"]) == set(found.outcomes["edit_side"]) == {ENTITY}
    assert "side_transfer" not in entity_relation_tables([found], FEW)


def test_facts_of_one_subject_are_not_enough(tmp_path: Path):
    alone = subject(facts=subject().facts.assign(subject="Ann"))
    cases = some_cases(8)
    with pytest.raises(ValueError, match=r"facts of Ann alone: .*study\.facts"):
        study_model(alone, Cases(cases, counts(cases)), FEW, tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_no_subject_is_on_both_sides_of_the_split_however_few_there_are(seed: int):
    from coemerge.studies.entity_relation.study import _apart

    two = subject(facts=subject().facts.assign(subject=["Ann", "Bea"] * 4))
    dev, test = _apart(two, some_cases(8), replace(FEW, seed=seed, dev_share=0.01))
    assert sorted(map(len, (dev, test))) == [4, 4]
    assert len({place % 2 for place in dev}) == len({place % 2 for place in test}) == 1


def test_rows_are_those_of_their_records_and_facts_are_split_alike_in_every_model(tmp_path: Path):
    runs = [studied(tmp_path, FEW), studied(tmp_path, FEW, seed=4)]
    tables = entity_relation_tables(runs, FEW)
    assert set(tables) == {
        "side_exclusions", "side_edits", "edit_outcomes", "cross_side", "side_transfer",
        "side_means", "edit_choice",
    }  # fmt: skip
    for name, rows in tables.items():
        make_table(name, pd.DataFrame(rows).to_dict("list"))
    edits = pd.DataFrame(tables["side_edits"])
    by_seed = edits.groupby("seed")["fact_id"].agg(set)
    assert by_seed[3] == by_seed[4]
    transfer = pd.DataFrame(tables["side_transfer"])
    assert set(transfer["n"]) == {2 * len(by_seed[3])}
    assert transfer.groupby("probe")["n_documents"].first().to_dict() == {ENTITY: 4, RELATION: 6}


def test_a_study_leaves_the_model_and_does_the_same_again(tmp_path: Path):
    net = make_model()
    before = state_of(net)
    text = torch.randint(D_VOCAB, (40, 12), generator=torch.Generator().manual_seed(0)).tolist()
    quick = {"rome": [{**BOLD["rome"], "steps": 5}], "memit": [{**BOLD["memit"], "steps": 5}]}
    settings = config(editors=("rome", "memit"), grids=quick)
    first = studied(tmp_path, settings, net=net, text=text)
    assert_as_found(net, before)
    assert len(list(tmp_path.iterdir())) == 2  # moments of keys: MEMIT spreads over two layers
    again = studied(tmp_path, settings, net=net, text=text)
    for name in ("side_edits", "outcomes", "tried"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
    other = studied(tmp_path / "plain", settings, net=net)
    assert not other.outcomes["size"].equals(first.outcomes["size"])


@pytest.mark.parametrize("layer", [N_LAYERS - 1, N_LAYERS, 99])
def test_layers_that_cannot_be_edited_are_refused_before_anything_runs(
    tmp_path: Path, layer: int, monkeypatch
):
    from coemerge.studies.entity_relation import study

    monkeypatch.setattr(study, "_traced", lambda *_: pytest.fail("traced"))
    with pytest.raises(ValueError, match=rf"study\.layers: \[{layer}\].* 0 to 3, and the last"):
        studied(tmp_path, config(layers=(LAYER, layer)))


def test_where_tracing_names_no_layer_the_remedy_is_told_and_the_model_left(tmp_path: Path):
    """Prompts whose noise takes nothing: TE near 0."""
    before = state_of(model())
    wanting = config(layers=None, edited_token="traced", traced_facts=4, editors=("ft",))
    with pytest.raises(ValueError, match=r"names no layer.*study\.layers=\[2\]"):
        studied(tmp_path, wanting)
    named = replace(wanting, layers=(LAYER,), edited_token="first")
    found = studied(tmp_path, named)
    assert found.traced is not None
    assert not found.traced.bare.kept["subject"].any()
    assert not found.tried["traced"].any()
    assert_as_found(model(), before)


def test_the_first_token_is_edited_where_it_is_asked_for(tmp_path: Path):
    settings = config(editors=("rome",), contexts=(), grids={"rome": [{"steps": 5}]})
    last = studied(tmp_path, settings)
    first = studied(tmp_path, replace(settings, edited_token="first"))
    assert not first.outcomes["size"].equals(last.outcomes["size"])
