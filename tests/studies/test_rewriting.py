"""Edits of syntax and facts: what is edited into what, how settings are chosen, and what is
reported (methods 6.5)."""

import logging
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coemerge.editing.counterfact_scores import trial_scores
from coemerge.editing.requests import Goal, Request, edited_at
from coemerge.interventions.guard import unchanged
from coemerge.studies.knowledge_neurons.rewrite_plans import make_plan
from coemerge.studies.knowledge_neurons.rewrites import Rewrite, make_rewrites
from coemerge.studies.knowledge_neurons.rewriting import (
    MEASURES,
    Rewriting,
    rewrite,
    rewrite_rows,
)
from coemerge.studies.knowledge_neurons.subject import FACTS, SYNTAX, Pool, Prompt
from coemerge.studies.knowledge_neurons.tracing import Traced
from coemerge.studies.shared.grids import told
from coemerge.tables.knowledge_edits_records import RewriteChoiceRecord, RewritesRecord
from coemerge.tables.store import make_table
from tests.interventions.models import n_hooks
from tests.studies.asked_pools import (
    NEW_FRAMES,
    SEEN,
    config,
    fact_pool,
    pool,
    subject,
    syntax_pool,
)
from tests.studies.planted_sides import LAYER, model
from tests.studies.test_neuron_tracing import some_kind

NOT_TRACED = Traced(0, {})
ids_of = iter(range(1000))


def asked(item: str, about: str, answer: int, **changes: Any) -> Prompt:
    """One prompt that stands nowhere else."""
    usual: dict[str, Any] = {"foil": 50, "span": (1, 2), "split": SEEN}
    ids = (next(ids_of), 1, 2)
    return Prompt(str(ids), item, about, ids, (answer,), **{**usual, **changes})


# --- what is edited into what ---


def test_a_word_that_decides_is_to_be_followed_by_the_form_that_does_not_agree():
    dog = [asked("walks", "dog", 7, split=split) for split in (NEW_FRAMES, SEEN, SEEN, SEEN)]
    sleeps = asked("sleeps", "dog", 8)
    cats = [asked("walks", "cat", 7) for _ in range(3)]
    cow = asked("walks", "cow", 7)
    one, *others = make_rewrites(
        [pool(SYNTAX, "verbs", "singular", [*dog, sleeps, *cats, cow], wrong=[1, 6])], config()
    )
    found = {made.item: made for made in [one, *others]}
    assert set(found) == {"dog walks", "dog sleeps", "cat walks", "cow walks"}
    edited = found["dog walks"]
    # of what training showed, the first that is answered right
    assert edited.request == Request(Goal(dog[2].ids, (1, 2), (50,)), target_true=(7,))
    assert (edited.topic, edited.kind, edited.about) == ("verbs", SYNTAX, "dog")
    # new sentences first, right or wrong
    assert edited.trial.paraphrases == [dog[0].ids, dog[1].ids, dog[3].ids]
    neighbours = edited.trial.neighbours
    assert set(neighbours) == {cats[0].ids, cats[2].ids, cow.ids}
    assert cow.ids in neighbours[:2]  # words in turn
    assert not found["dog sleeps"].trial.neighbours
    assert not found["dog sleeps"].trial.paraphrases


def facts(relation: str, *rows: tuple[str, str, int], wordings: int = 1) -> Pool:
    prompts = [
        asked(name, about, answer, foil=None, wording=w)
        for name, about, answer in rows
        for w in range(wordings)
    ]
    return pool(FACTS, relation, relation, prompts)


def test_a_fact_gets_an_object_that_is_not_true_of_its_subject_in_any_relation():
    born = facts("born", ("b0", "ann", 5), ("b1", "bob", 6), ("b2", "cy", 7), wordings=3)
    lives = facts("lives", ("l0", "ann", 6), ("l1", "bob", 5))
    for seed in range(5):
        found = {made.item: made for made in make_rewrites([born, lives], config(seed=seed))}
        assert found["b0"].request.goal.target == (7,)
        assert found["b1"].request.goal.target == (7,)
        assert found["b2"].request.goal.target in {(5,), (6,)}
        assert "l0" not in found  # 5 and 6 are both true of ann
    assert found["b0"].request.target_true == (5,)
    assert len(found["b0"].trial.paraphrases) == 2
    drawn = {make_rewrites([born], config(seed=seed))[0].request.goal.target for seed in range(20)}
    assert len(drawn) > 1


def test_neighbours_of_a_fact_are_other_subjects_with_its_object():
    born = facts("born", *((f"b{i}", f"p{i}", i % 2) for i in range(8)), wordings=2)
    found = make_rewrites([born], config(neighbours=2))
    about = {one.ids: (one.about, one.answer) for one in born.prompts}
    for made in found:
        near = [about[ids] for ids in made.trial.neighbours]
        assert len({name for name, _ in near}) == 2
        assert made.about not in {name for name, _ in near}
        assert {answer for _, answer in near} == {made.request.target_true}


def test_topics_give_so_many_edits_their_classes_and_words_in_turn():
    pools = [syntax_pool("verbs", "singular", 0), syntax_pool("verbs", "plural", 10, n=2)]
    found = make_rewrites([*pools, fact_pool("born", 20)], config(edits=3))
    assert [made.topic for made in found] == ["verbs"] * 3 + ["born"] * 3
    of_class = ["plural" if int(made.about[5:]) >= 10 else "singular" for made in found[:3]]
    assert of_class == ["singular", "plural", "singular"]
    assert len({made.about for made in found}) == 6
    assert make_rewrites([*pools, fact_pool("born", 20)], config(edits=3)) == found


def test_words_that_nobody_knows_are_not_edited():
    made = syntax_pool("verbs", "singular", 0)
    blind = replace(made, prompts=tuple(replace(one, span=None) for one in made.prompts))
    assert make_rewrites([blind], config()) == []


def test_an_edit_may_be_at_either_end_of_a_subject_or_at_that_of_the_prompt():
    request = Request(Goal([3, 4, 5, 6, 7], (1, 4), [8]), [9], also=Goal([3, 4, 5], (0, 2), [8]))
    assert edited_at(request, "last") is request
    for token, spans in (("first", [(1, 2), (0, 1)]), ("end", [(4, 5), (2, 3)])):
        found = edited_at(request, token)
        assert [goal.subject for goal in found.goals] == spans
        assert [goal.ids for goal in found.goals] == [goal.ids for goal in request.goals]


# --- where ---


def rewrites(n: int = 12) -> list[Rewrite]:
    return make_rewrites([syntax_pool("verbs", "singular", 0, n=n, texts=1)], config())


def test_tracing_of_words_kept_for_the_choice_names_layer_and_token(
    caplog: pytest.LogCaptureFixture,
):
    made = rewrites()
    plan = make_plan(SYNTAX, made, None, config())
    assert plan is not None
    kept, others = plan.dev[0].about, plan.test[0].about
    kind = some_kind([0.0, 0.0])
    prompts = [
        replace(one, about=name) for one, name in zip(kind.prompts, (kept, others), strict=True)
    ]
    kind.result.effects["mlp"][:] = 0
    kind.result.effects["mlp"][0, 0] = [0.1, 0.2, 0.3]
    kind.result.effects["mlp"][1, 0] = [5.0, 0.0, 0.0]
    traced = replace(kind, prompts=prompts)
    for edited_token, expected, span in (
        ("traced", "end", (3, 4)), ("last", "last", (1, 3)), ("first", "first", (1, 2)),
    ):  # fmt: skip
        settings = config(layers=None, edited_token=edited_token)
        found = make_plan(SYNTAX, made, traced, settings)
        assert found is not None
        assert (found.token, found.layers) == (expected, [0])
        spans = {one.request.goal.subject for one in [*found.dev, *found.test]}
        assert spans == {span}
    named = make_plan(SYNTAX, made, traced, config(layers=[1, 2], edited_token="traced"))
    assert named is not None
    assert (named.token, named.layers) == ("end", [1, 2])
    strangers = replace(kind, prompts=[replace(one, about=others) for one in prompts])
    settings = config(layers=None, edited_token="traced")
    with caplog.at_level(logging.WARNING):  # no prompt is about what is kept for the choice
        assert make_plan(SYNTAX, made, strangers, settings) is None
    assert "of the 2 prompts traced that tell where an edit belongs none is" in caplog.text


def test_a_kind_that_tracing_says_nothing_of_is_told_and_not_edited(
    caplog: pytest.LogCaptureFixture,
):
    settings = config(layers=None, edited_token="traced")
    nothing = some_kind([0.1, 0.2])
    nothing.kept[:] = False
    with caplog.at_level(logging.WARNING):
        assert make_plan(SYNTAX, rewrites(), nothing, settings) is None
        assert make_plan(SYNTAX, rewrites(), None, settings) is None
        assert make_plan(SYNTAX, rewrites(1), nothing, config()) is None
    for words in ("none is answered right", "study.layers", "1 words or subjects"):
        assert words in caplog.text


# --- edits of a model ---


@cache
def pools() -> tuple[Pool, ...]:
    return (
        syntax_pool("verbs", "singular", 0, n=5),
        syntax_pool("anaphors", "feminine", 10, n=5),
        fact_pool("born", 20, n=6),
    )


SETTINGS = config(
    grids={"rome": [{"lr": 1e-6, "steps": 1}, {"lr": 1.0, "steps": 20, "max_norm": 50,
                                               "weight_decay": 0}],
           "kn": [{"tau": 0.1, "erased": 10.0, "written": 10.0}]},
    editors=("rome", "kn"),
    layers=(0, LAYER),
)  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Rewriting:
    cache_dir = tmp_path_factory.mktemp("keys")
    before = n_hooks(model())
    with unchanged(model()):
        made = rewrite(subject(seed=3), pools(), NOT_TRACED, SETTINGS, cache_dir)
    assert n_hooks(model()) == before
    return made


def test_every_layer_and_setting_is_tried_and_the_best_is_chosen(found: Rewriting):
    assert list(found.tried.columns) == [field.name for field in fields(RewriteChoiceRecord)]
    for kind in (SYNTAX, FACTS):
        for editor, n in (("rome", 4), ("kn", 1)):
            tried = found.tried.query("kind == @kind and editor == @editor")
            assert len(tried) == n
            (best,) = tried[tried["chosen"]].to_dict("records")
            assert best["s"] == tried["s"].max()
            chosen = found.chosen[kind][editor]
            told_of = (chosen.layer, told(chosen.setting), chosen.token)
            assert told_of == (best["layer"], best["setting"], "last")
    assert set(found.tried["seed"]) == {3}
    make_table("rewrite_choice", found.tried.to_dict("list"))


def test_what_is_reported_is_what_the_chosen_edits_do_to_other_words(found: Rewriting):
    made = {(one.topic, one.item): one for one in make_rewrites(pools(), SETTINGS)}
    assert set(found.edits["kind"]) == {SYNTAX, FACTS}
    for (kind, editor), edits in found.edits.groupby(["kind", "editor"]):
        n_dev = int(found.tried.query("kind == @kind")["n"].iloc[0])
        assert 0 < n_dev < sum(one.kind == kind for one in made.values())
        assert len(edits) == sum(one.kind == kind for one in made.values()) - n_dev
        asked_of = [made[key] for key in zip(edits["topic"], edits["item"], strict=True)]
        by = found.chosen[kind][editor]
        outcomes = found.editors.outcomes(
            editor, [one.request for one in asked_of], by.layer, by.setting
        )
        trials = [one.trial for one in asked_of]
        for moment, under in (("pre", None), ("post", [o.edit for o in outcomes])):
            expected = trial_scores(model(), trials, under)
            for name in ("es", "ps", "ns"):
                assert np.array_equal(
                    edits[f"{name}_{moment}"], getattr(expected, name), equal_nan=True
                )
    # the wanted form is the twentieth before, and nearly always the first under bold edits
    rome = found.edits.query("editor == 'rome'")
    assert rome["top1_pre"].mean() == rome["es_pre"].mean() == 0
    assert rome["top1_post"].mean() > 0.5
    assert (rome["top1_post"] <= rome["es_post"]).all()


def test_no_word_or_subject_is_both_chosen_on_and_reported(found: Rewriting):
    about = {one.about for one in make_rewrites(pools(), SETTINGS)}
    reported = set(found.edits["about"])
    assert reported < about


def test_a_world_without_a_kind_has_no_edits_of_it(tmp_path: Path):
    settings = replace(SETTINGS, editors=("kn",))
    alone = rewrite(subject(), pools()[:1], NOT_TRACED, settings, tmp_path)
    assert alone.chosen[FACTS] == {}
    assert set(alone.chosen[SYNTAX]) == {"kn"}
    assert set(alone.edits["kind"]) == {SYNTAX}
    nothing = rewrite(subject(), [], NOT_TRACED, settings, tmp_path)
    assert nothing.chosen == {SYNTAX: {}, FACTS: {}}
    assert nothing.tried.empty
    assert rewrite_rows([nothing.edits], settings) == []
    assert rewrite_rows([], settings) == []


def test_layers_that_the_model_has_not_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"study\.layers.*too late"):
        rewrite(subject(), pools(), NOT_TRACED, config(layers=[3]), tmp_path)


# --- tables ---


def frame(seed: int, topic: str = "verbs", **columns: Any) -> pd.DataFrame:
    usual: dict[str, Any] = {"seed": seed, "kind": SYNTAX, "topic": topic, "editor": "rome",
                             "layer": 1, "setting": "lr=1", "token": "last"}  # fmt: skip
    scores = {f"{name}_{moment}": 0.0 for name in MEASURES for moment in ("pre", "post")}
    made = pd.DataFrame({**usual, **scores, **columns})
    return made if "about" in columns else made.assign(about=[f"w{i}" for i in range(len(made))])


def test_rows_are_means_over_edits_of_all_models():
    runs = [
        frame(0, es_post=[1.0, 1.0], ps_post=[0.5, 0.0], ns_post=[0.25, np.nan], top1_post=[1, 0]),
        frame(
            1,
            es_post=[1.0],
            ps_post=[1.0],
            ns_post=[0.25],
            ns_pre=[1.0],
            setting="lr=2",
            token="end",
        ),
    ]
    found = pd.DataFrame(rewrite_rows(runs, config()))
    assert set(found) == {field.name for field in fields(RewritesRecord)}
    assert set(found["topic"]) == {"all", "verbs"}
    assert set(found["setting"]) == {"lr=1 | lr=2"}
    assert set(found["token"]) == {"last | end"}
    rows = found[found["topic"] == "verbs"].set_index(["measure", "moment"])
    value, n = rows["value"], rows["n"]
    assert value["es", "post"] == 1
    assert value["ps", "post"] == pytest.approx(0.5)
    assert (value["ns", "post"], n["ns", "post"]) == (0.25, 2)
    # of the two edits that have neighbours: 1, 3/4 and 1/4
    assert value["s", "post"] == pytest.approx(3 / (1 + 4 / 3 + 4))
    assert value["s", "pre"] == 0
    assert value["top1", "post"] == pytest.approx(1 / 3)
    assert (rows["low"] <= rows["value"]).all()
    assert n["s", "post"] == 2
    make_table("rewrites", found.to_dict("list"))


def test_relations_without_neighbours_have_no_harmonic_mean_and_are_in_none():
    nowhere = [np.nan, np.nan]
    bijective = frame(0, "capital", es_post=[1.0, 1.0], ps_post=[0.5, 0.5],
                      ns_pre=nowhere, ns_post=nowhere)  # fmt: skip
    others = frame(0, es_post=[1.0], ps_post=[0.5], ns_post=[0.25])
    found = pd.DataFrame(rewrite_rows([pd.concat([bijective, others])], config()))
    alone = found[found["topic"] == "capital"].set_index(["measure", "moment"])
    assert ("ns", "post") not in alone.index
    assert ("s", "post") not in alone.index
    pooled = found[found["topic"] == "all"].set_index(["measure", "moment"])
    assert pooled["value"]["s", "post"] == pytest.approx(3 / 7)  # T-E9: of 1, 1/2 and 1/4
    assert pooled["n"]["s", "post"] == 1
    make_table("rewrites", found.to_dict("list"))


def test_edits_about_one_word_are_resampled_together():
    """Ten words, each the same in four edits: as sure as ten edits, not as forty."""
    once = np.tile([0.0, 1.0], 5)
    words = [f"w{i}" for i in range(10)]
    scores = [f"{name}_post" for name in MEASURES]
    one = frame(0, about=words, **dict.fromkeys(scores, once))
    apart = frame(0, about=[f"{w}{k}" for k in range(4) for w in words],
                  **dict.fromkeys(scores, np.tile(once, 4)))  # fmt: skip
    together = apart.assign(about=words * 4)
    bounds = {
        name: pd.DataFrame(rewrite_rows([of], config(bootstrap_draws=4000)))
        .query("topic == 'all' and moment == 'post'")
        .set_index("measure")[["low", "high", "value", "n"]]
        for name, of in (("one", one), ("apart", apart), ("together", together))
    }
    for measure in ("es", "s"):
        low, high, value, n = bounds["together"].loc[measure]
        assert (value, n) == (0.5, 40)
        assert (low, high) == pytest.approx(tuple(bounds["one"].loc[measure, ["low", "high"]]))
        assert bounds["apart"].loc[measure, "low"] > low + 0.1
    alone = pd.DataFrame(rewrite_rows([together.assign(about="w")], config()))
    assert alone["low"].isna().all()
