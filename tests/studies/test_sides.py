"""Cases of the study of a fact's two sides, from a tiny world's own prompts."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from coemerge.corpus.dataset import Dataset, build_dataset
from coemerge.editing.requests import check_requests
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.pairs import Pairing
from coemerge.prompts.tasks import NAMING
from coemerge.studies.entity_relation import from_prompts
from coemerge.studies.entity_relation.cases import (
    ENTITY,
    ENTITY_THIRD,
    PROBES,
    RELATION,
    RELATION_THIRD,
    REMOVAL,
    SIDES,
    Case,
    Cases,
)
from coemerge.studies.entity_relation.choosing import BEYOND
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.from_prompts import cases_from_prompts

ANY = EntityRelationConfig(only_known=False, min_facts=1)
KNOWN = replace(ANY, only_known=True)
SHOWN = {  # documents per fact on its entity and its relation side
    "entity_only": (5.0, 0.0),
    "relation_only": (0.0, 7.0),
    "both_sides": (5.0, 7.0),
    "A5_never": (0.0, 0.0),
}
Right = Callable[[str, str], bool]


@pytest.fixture(scope="module")
def dataset(compose_settings, tmp_path_factory) -> Dataset:
    """Three people to each object of two relations."""
    spec = compose_settings("experiment=smoke", "logger=none", "prompts=with_relations").dataset
    spec.world.use = ["birthplace", "occupation"]
    for kind, size in {"person": 12, "city": 4, "profession": 4}.items():
        spec.world.types[kind].size = size
    plan = spec.corpus.plan
    plan.tasks = ["completion", NAMING]
    plan.documents = {"completion": 2, NAMING: 4}
    plan.arms.shares = dict.fromkeys(SHOWN, 1.0)
    return build_dataset(spec, tmp_path_factory.mktemp("data") / "sides", progress=False)


@pytest.fixture(scope="module")
def facts(dataset) -> pd.DataFrame:
    frame = dataset.facts.select(["fact_id", "relation", "arm", "subject", "object"]).to_pandas()
    shown = np.array([SHOWN[arm] for arm in frame["arm"]])
    return frame.assign(entity=shown[:, 0], relation_side=shown[:, 1])


@pytest.fixture(scope="module")
def model(dataset) -> GPT2LMHeadModel:
    """That knows nothing."""
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 48}
    config = GPT2Config(vocab_size=len(dataset.tokenizer), **shape)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture
def cases_of(dataset, facts, model):
    def cases(config: EntityRelationConfig = ANY, of: pd.DataFrame = facts, **more: Any) -> Cases:
        asked = more.get("prompts", dataset.prompts)
        return cases_from_prompts(model, asked, Pairing(Encoder(dataset.tokenizer)), of, config)

    return cases


@pytest.fixture
def answering(dataset, monkeypatch):
    """``answering(right)``: the model's answers are those for which ``right(prompt, answer)``."""

    def answer(right: Right) -> None:
        read = dataset.tokenizer.decode
        monkeypatch.setattr(
            from_prompts,
            "answers_right",
            lambda _model, prompts, answers: np.array(
                [right(read(p), read(a).strip()) for p, a in zip(prompts, answers, strict=True)],
                dtype=bool,
            ),
        )

    return answer


@pytest.fixture
def text_of(dataset):
    """(fact, format, wording) -> the prompt's text as the table has it."""
    rows = dataset.prompts.filter(pc.field("variant") == 0).to_pylist()
    texts = {(row["fact_id"], row["task"], row["template_id"]): row["text"] for row in rows}
    return lambda fact, task, template: texts[fact, task, template]


def counted(cases: Cases) -> dict[str, int]:
    return cases.counts.groupby("reason")["n"].sum().to_dict()


HELD_OUT = (7, 8, 9)
AFTER_FIRST = (*HELD_OUT, 1, 2)  # with five paraphrases: those held out, then the next ones shown


def test_the_entitys_side_asks_for_another_object(cases_of, facts, text_of, dataset):
    read = dataset.tokenizer.decode
    known = facts.set_index("fact_id")
    for case in cases_of().studied:
        request, trial = case.requests[ENTITY], case.trials[ENTITY]
        own = known.loc[case.fact_id]
        assert (case.relation, case.arm) == (own["relation"], own["arm"])
        assert read(request.goal.ids) == text_of(case.fact_id, "completion", 0)
        assert read(request.goal.ids[slice(*request.goal.subject)]).strip() == own["subject"]
        assert read(request.target_true) == f" {own['object']}"
        new = read(request.goal.target).strip()
        assert new in set(facts["object"][facts["relation"] == case.relation]) - {own["object"]}
        assert request.goal.target[0] != request.target_true[0]
        assert (request.also, request.neutral) == (None, None)
        assert (trial.rewrite, trial.new, trial.true) == (
            request.goal.ids,
            request.goal.target,
            request.target_true,
        )
        paraphrases = [text_of(case.fact_id, "completion", t) for t in AFTER_FIRST]
        assert [read(ids) for ids in trial.paraphrases] == paraphrases
        others = known[(known["relation"] == own["relation"]) & (known["object"] == own["object"])]
        near = {text_of(f, "completion", 0) for f in others.index if f != case.fact_id}
        assert {read(ids) for ids in trial.neighbours} == near
        assert len(near) == 2


def test_the_relations_side_gives_the_name_to_one_pair_and_takes_it_from_the_other(
    cases_of, facts, text_of, dataset
):
    read = dataset.tokenizer.decode
    known = facts.set_index("fact_id")
    for case in cases_of().studied:
        request, added, removed = (
            case.requests[RELATION],
            case.trials[RELATION],
            case.trials[REMOVAL],
        )
        own = known.loc[case.fact_id]
        new = read(case.requests[ENTITY].goal.target).strip()

        def asked(template: int, fact: str = case.fact_id, obj: str = "") -> str:
            text = text_of(fact, NAMING, template)
            return text.replace(known.loc[fact, "object"], obj) if obj else text

        assert request.also is not None
        assert read(request.goal.ids) == asked(0, obj=new)
        assert read(request.also.ids) == asked(0)
        assert read(request.goal.target).strip() == own["relation"]
        assert read(request.also.target) == read(request.target_true) == " none"
        for goal in request.goals:
            assert read(goal.ids[slice(*goal.subject)]).strip() == own["subject"]

        assert (added.rewrite, added.new, added.true) == (
            request.goal.ids,
            request.goal.target,
            request.target_true,
        )
        assert [read(ids) for ids in added.paraphrases] == [asked(t, obj=new) for t in AFTER_FIRST]
        others = known[(known["relation"] == own["relation"]) & (known["object"] != new)]
        unrelated = {asked(0, f, new) for f in others.index if f != case.fact_id}
        assert len(added.neighbours) == 5
        assert {read(ids) for ids in added.neighbours} <= unrelated

        assert (read(removed.rewrite), removed.true, removed.new) == (
            asked(0),
            request.goal.target,
            request.target_true,
        )
        assert [read(ids) for ids in removed.paraphrases] == [asked(t) for t in AFTER_FIRST]
        others = known[(known["relation"] == own["relation"]) & (known["object"] == own["object"])]
        related = {asked(0, f) for f in others.index if f != case.fact_id}
        assert {read(ids) for ids in removed.neighbours} == related


def test_controls_ask_the_same_of_a_third_object(cases_of, dataset):
    read = dataset.tokenizer.decode
    for case in cases_of().studied:
        entity, pair = case.trials[ENTITY_THIRD], case.trials[RELATION_THIRD]
        own, added = case.trials[ENTITY], case.trials[RELATION]
        new, third = read(own.new).strip(), read(entity.new).strip()
        assert len({own.new[0], own.true[0], entity.new[0]}) == 3
        assert entity == replace(own, new=entity.new, neighbours=())
        for ours, theirs in zip(
            (pair.rewrite, *pair.paraphrases), (added.rewrite, *added.paraphrases), strict=True
        ):
            assert read(ours) == read(theirs).replace(new, third)
        assert (pair.new, pair.true, list(pair.neighbours)) == (added.new, added.true, [])


def test_the_subjects_other_facts_are_asked_in_their_edited_wording(
    cases_of, facts, text_of, dataset, answering
):
    known = facts.set_index("fact_id")

    def expected(fact: str) -> set[tuple[str, str]]:
        others = known[known["subject"] == known.loc[fact, "subject"]].drop(fact)
        return {(text_of(f, "completion", 0), row["object"]) for f, row in others.iterrows()}

    def asked(case: Case) -> set[tuple[str, str]]:
        answers = {row["answer_ids"][0]: row["answer"] for row in dataset.prompts.to_pylist()}
        read = dataset.tokenizer.decode
        return {(read(ids), answers[token].strip()) for ids, token in case.same_subject}

    for case in cases_of().studied:
        assert asked(case) == expected(case.fact_id)
        assert len(case.same_subject) == 1
    answering(lambda prompt, _: "Between:" in prompt or "born" in prompt)
    births = cases_of(KNOWN, facts.assign(entity=0.0)).studied
    assert {case.relation: len(case.same_subject) for case in births} == {
        "birthplace": 0,  # what the other fact is asked is not answered right
        "occupation": 1,
    }


def test_at_most_so_many_prompts_are_asked(cases_of):
    for case in cases_of(replace(ANY, paraphrases=2, neighbours=1)).studied:
        for probe, trial in case.trials.items():
            n_near = 1 if probe in (*SIDES, REMOVAL) else 0
            assert (len(trial.paraphrases), len(trial.neighbours)) == (2, n_near)


def test_requests_fit_the_model_as_they_are_and_at_the_first_token(cases_of, model):
    cases = cases_of().studied
    for token in ("first", "last"):
        placed = [case.edited_at(token) for case in cases]
        check_requests(model, [request for case in placed for request in case.requests.values()])


def test_edited_at_the_first_token_of_the_subject(cases_of, dataset):
    read = dataset.tokenizer.decode
    for case in cases_of().studied:
        placed = case.edited_at("first")
        assert case.edited_at("last") is case
        assert placed.trials is case.trials
        assert (placed.fact_id, placed.relation, placed.arm) == (
            case.fact_id,
            case.relation,
            case.arm,
        )
        for side in SIDES:
            before, after = case.requests[side], placed.requests[side]
            assert (after.target_true, len(after.goals)) == (before.target_true, len(before.goals))
            for own, goal in zip(before.goals, after.goals, strict=True):
                start, stop = own.subject
                assert stop - start > 1
                assert goal == replace(own, subject=(start, start + 1))
                assert list(goal.before) == list(own.ids[: start + 1])
            assert list(after.neutral_ids) == [before.goal.ids[before.goal.subject[0]]]
            assert len(read(after.neutral_ids)) < len(read(before.neutral_ids))


def test_subjects_that_are_not_in_their_prompts_are_counted(cases_of, facts):
    """They cannot be asked about another object."""
    unclear = "object not named just once beside the subject"
    wrong = facts.assign(subject=[f"Nobody {n}" for n in range(len(facts))])
    with pytest.raises(ValueError, match=f"18 {unclear}; the study takes 1"):
        cases_of(of=wrong)
    is_wrong = facts["relation"] == "occupation"
    some = facts.assign(subject=facts["subject"].where(~is_wrong, wrong["subject"]))
    cases = cases_of(of=some)
    assert {case.relation for case in cases.studied} == {"birthplace"}
    assert set(counted(cases)) == {"studied", unclear}


# --- which facts ---


def test_a_facts_draws_depend_on_no_other_fact(cases_of, facts):
    """Asked for alone, or with its relation alone: the new object, neighbours and wordings stay."""
    everything = {case.fact_id: case for case in cases_of().studied}
    for fact in list(everything)[::7]:
        (alone,) = cases_of(replace(ANY, facts=[fact])).studied
        assert alone == everything[fact]
    own = facts[facts["relation"] == "occupation"].reset_index(drop=True)
    for case in cases_of(of=own).studied:
        assert case == replace(everything[case.fact_id], same_subject=[])
    shuffled = facts.sample(frac=1.0, random_state=0).reset_index(drop=True)
    drawn = {case.fact_id: case.requests for case in cases_of(of=shuffled).studied}
    assert drawn == {fact: case.requests for fact, case in everything.items()}


def test_another_seed_draws_other_objects(cases_of):
    first, other = (
        {case.fact_id: tuple(case.requests[ENTITY].goal.target) for case in cases.studied}
        for cases in (cases_of(), cases_of(replace(ANY, seed=1)))
    )
    assert set(first) == set(other)
    assert 0 < sum(first[fact] != other[fact] for fact in first) < len(first)


def test_what_was_never_shown_is_studied_only_where_it_is_asked_for(cases_of, facts):
    assert {case.arm for case in cases_of().studied} == set(SHOWN) - {"A5_never"}
    never = cases_of(replace(ANY, arms=["A5_never"]))
    assert {case.arm for case in never.studied} == {"A5_never"}
    assert len(never) == (facts["arm"] == "A5_never").sum()


@pytest.mark.parametrize(
    ("wrong", "studied"),
    [
        ("", {"entity_only", "relation_only", "both_sides"}),
        ("entity", {"relation_only"}),
        ("relation", {"entity_only"}),
        ("none", {"entity_only"}),
        ("everything", set()),
    ],
)
def test_known_is_what_is_answered_right_on_the_sides_that_were_shown(
    cases_of, facts, answering, wrong, studied
):
    """On the relation's side, also that the subject has nothing to do with its new object."""

    def right(prompt: str, answer: str) -> bool:
        kind = ("none" if answer == "none" else "relation") if "Between:" in prompt else "entity"
        return wrong not in (kind, "everything")

    answering(right)
    if not studied:
        with pytest.raises(ValueError, match=r"18 not known; the study takes 1: train longer"):
            cases_of(KNOWN)
        return
    cases = cases_of(KNOWN)
    assert {case.arm for case in cases.studied} == studied
    n_known = int(facts["arm"].isin(studied).sum())
    left = {} if n_known == 18 else {"not known": 18 - n_known}
    assert counted(cases) == {"studied": n_known, **left}


def test_of_models_from_elsewhere_the_entitys_side_has_to_be_known(cases_of, facts, answering):
    nowhere = facts.assign(entity=np.nan, relation_side=np.nan, arm="unknown")
    answering(lambda prompt, _: "Between:" not in prompt)
    assert len(cases_of(KNOWN, nowhere)) == len(facts)
    answering(lambda prompt, _: "Between:" in prompt)
    with pytest.raises(ValueError, match="24 not known"):
        cases_of(KNOWN, nowhere)


def test_the_edited_wording_decides_what_is_known(cases_of, answering, text_of, facts):
    entity = facts["fact_id"][facts["arm"] == "entity_only"]
    firsts = {text_of(fact, "completion", 0) for fact in entity[:5]}
    answering(lambda prompt, _: prompt in firsts)
    assert {case.fact_id for case in cases_of(KNOWN).studied} == set(entity[:5])


def test_neighbours_are_known_too(cases_of, answering, facts, dataset):
    """One person of each object is unknown: they are asked of nowhere."""
    unknown = set(facts.groupby(["relation", "object"])["subject"].first())
    answering(lambda prompt, _: not any(subject in prompt for subject in unknown))
    cases = cases_of(KNOWN).studied
    asked = [
        dataset.tokenizer.decode(ids)
        for case in cases
        for trial in case.trials.values()
        for ids in trial.neighbours
    ]
    assert asked
    assert not any(subject in prompt for prompt in asked for subject in unknown)


def test_what_cannot_be_asked_is_counted(cases_of, facts, dataset):
    """Not asked in the format; no object that starts otherwise; no third one."""
    prompts = dataset.prompts
    silent = facts["fact_id"][facts["arm"] == "both_sides"].iloc[0]
    is_silent = pc.and_(
        pc.equal(prompts["fact_id"], silent), pc.equal(prompts["task"], "completion")
    )
    alone = facts["object"][facts["relation"] == "occupation"].iloc[0]
    kept = facts[(facts["relation"] != "occupation") | (facts["object"] == alone)]
    cases = cases_of(of=kept.reset_index(drop=True), prompts=prompts.filter(pc.invert(is_silent)))
    counts = counted(cases)
    n_alone = int(((kept["relation"] == "occupation") & (kept["arm"] != "A5_never")).sum())
    assert counts["not asked in completion"] == 1
    assert counts["without another object"] == n_alone > 0
    assert sum(counts.values()) == int((kept["arm"] != "A5_never").sum())
    assert silent not in {case.fact_id for case in cases.studied}
    assert list(cases.counts) == ["relation", "arm", "reason", "n"]


def test_with_two_objects_there_is_no_third(cases_of, facts):
    objects = facts["object"][facts["relation"] == "birthplace"].unique()[:2]
    cases = cases_of(of=facts[facts["object"].isin(objects)].reset_index(drop=True))
    assert len(cases)
    for case in cases.studied:
        assert set(case.trials) == {ENTITY, RELATION, REMOVAL}


def test_without_prompts_that_name_relations_there_is_one_side(cases_of, dataset):
    asked: pa.Table = dataset.prompts.filter(pc.field("task") == "completion")
    for case in cases_of(prompts=asked).studied:
        assert (set(case.requests), set(case.trials)) == ({ENTITY}, {ENTITY, ENTITY_THIRD})


def test_relations_take_turns_within_each_arm(cases_of):
    cases = cases_of(replace(ANY, n_facts=3))
    by_arm = pd.DataFrame([(case.arm, case.relation) for case in cases.studied]).groupby(0)[1]
    assert {arm: sorted(found) for arm, found in by_arm.agg(list).items()} == {
        arm: sorted([first, *{"birthplace", "occupation"}]) for arm, first in by_arm.first().items()
    }
    assert counted(cases) == {"studied": 9, BEYOND: 9}


def test_what_is_asked_for_has_to_be_there(cases_of, caplog):
    with pytest.raises(
        ValueError, match=r"study\.arms, study\.facts: .*entity_only, relation_only"
    ):
        cases_of(replace(ANY, arms=["A0_full"]))
    with (
        caplog.at_level(logging.INFO, logger="coemerge.studies.entity_relation.choosing"),
        pytest.raises(ValueError, match=r"18 studied; the study takes 19: .*study\.facts"),
    ):
        cases_of(replace(ANY, min_facts=19))
    assert "facts: 18 studied" in caplog.text


def test_every_probe_is_made(cases_of):
    assert {probe for case in cases_of().studied for probe in case.trials} == set(PROBES)
