"""Cases of the study of a fact's two sides, from records of a data set of edits written for this
test, asked of a tiny random GPT-2."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from coemerge.editing.counterfact_scores import counterfact_scores, trial_scores
from coemerge.editing.fine_tuning import FineTuningConfig, fine_tune
from coemerge.editing.requests import check_requests
from coemerge.prompts.edit_prompts import SAME_TARGETS, EncodedEdits, encode_edits
from coemerge.prompts.encoding import Encoder
from coemerge.studies.entity_relation.cases import (
    ENTITY,
    ENTITY_THIRD,
    RELATION,
    RELATION_THIRD,
    REMOVAL,
    SIDES,
    Cases,
)
from coemerge.studies.entity_relation.choosing import BEYOND
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.from_records import (
    NO_REQUEST,
    TOO_LONG,
    UNKNOWN,
    cases_from_records,
)
from coemerge.worlds.facts import World
from coemerge.worlds.public import PublicWorldConfig
from tests.bases import make_base
from tests.worlds.readers.support import edit, write_json

ANY = EntityRelationConfig(only_known=False, min_facts=1)


def rake(number: int, subject: str, true: str, new: str) -> dict:
    record = edit(
        number,
        subject=subject,
        target_true={"str": true},
        target_new={"str": new},
        relation={"strs": ["seat", "capital"]},
        add_rel_prompt=f"{{}} and {new} are joined by",
        rm_rel_prompt=f"{{}} and {true} are joined by",
    )
    return record | {
        "rel_prompts": [f"{new} is to {{}} its"],
        "paraphrase_prompts": [f"{subject} is ruled from", f"In {subject} all roads lead to"],
        "neighborhood_prompts": ["The seat of Velm is", "The seat of Arn is", "Ruled is Arn from"],
    }


RECORDS = [
    rake(1, "Orvania", "Telk", "Port Amel"),
    rake(2, "Upper Suneth", "Port Amel", "Bor"),
    rake(3, "Ulm", "Bor", "Telk"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    texts = [str(RECORDS), "The seat of Orvania is Telk. None Port Amel Bor"] * 3
    return make_base(tmp_path_factory.mktemp("base"), "gpt2", texts)


@pytest.fixture(scope="module")
def tokenizer(base) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(base)


@pytest.fixture(scope="module")
def model(base) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(base).eval()


@pytest.fixture
def world_of(tmp_path):
    def build(*records: dict) -> World:
        path = write_json(tmp_path / "edits.json", list(records))
        return PublicWorldConfig("counterfact", str(path)).build()

    return build


def encoded(world: World, tokenizer: PreTrainedTokenizerFast) -> EncodedEdits:
    return encode_edits(Encoder(tokenizer), world.edit_cases)


def facts_of(world: World) -> pd.DataFrame:
    rows = [(fact.fact_id, fact.relation_id, "unknown", fact.subject) for fact in world.facts]
    return pd.DataFrame(rows, columns=["fact_id", "relation", "arm", "subject"])


@pytest.fixture
def cases_of(world_of, tokenizer, model):
    def build(*records: dict, config: EntityRelationConfig = ANY) -> Cases:
        world = world_of(*records)
        return cases_from_records(model, encoded(world, tokenizer), facts_of(world), config)

    return build


def counted(cases: Cases) -> dict[str, int]:
    return cases.counts.groupby("reason")["n"].sum().to_dict()


def test_both_sides_of_a_record_are_requests(cases_of, tokenizer):
    case = cases_of(*RECORDS).studied[0]
    read = tokenizer.decode
    assert (case.relation, case.arm, set(case.requests)) == ("P36", "unknown", set(SIDES))
    entity, relation = (case.requests[side] for side in SIDES)
    assert (read(entity.goal.ids), read(entity.goal.target)) == (
        "The seat of Orvania is",
        " Port Amel",
    )
    assert (read(entity.target_true), entity.also, entity.neutral) == (" Telk", None, None)
    assert (read(relation.goal.ids), read(relation.goal.target)) == (
        "Orvania and Port Amel are joined by",
        " seat",
    )
    assert (read(relation.also.ids), read(relation.also.target)) == (
        "Orvania and Telk are joined by",
        " None",
    )
    assert read(relation.target_true) == " None"
    for goal in (*entity.goals, *relation.goals):
        assert read(goal.ids[slice(*goal.subject)]).strip() == "Orvania"


def test_each_probe_has_its_trial(cases_of, tokenizer):
    case = cases_of(*RECORDS).studied[0]
    told = {
        probe: (
            tokenizer.decode(trial.rewrite),
            [tokenizer.decode(ids) for ids in trial.paraphrases],
            [tokenizer.decode(ids) for ids in trial.neighbours],
            tokenizer.decode(trial.true),
            tokenizer.decode(trial.new),
        )
        for probe, trial in case.trials.items()
    }
    assert told == {
        ENTITY: (
            "The seat of Orvania is",
            ["Orvania is ruled from", "In Orvania all roads lead to"],
            ["The seat of Velm is", "The seat of Arn is", "Ruled is Arn from"],
            " Telk",
            " Port Amel",
        ),
        RELATION: (
            "Orvania and Port Amel are joined by",
            ["Port Amel is to Orvania its"],
            [],
            " None",
            " seat",
        ),
        REMOVAL: (
            "Orvania and Telk are joined by",
            ["Telk is to Orvania its"],
            [],
            " seat",
            " None",
        ),
    }


def test_records_without_rakes_fields_have_the_entitys_side_alone(cases_of):
    records = [edit(1), edit(2, subject="Ul", target_true={"str": "Bor"})]
    for case in cases_of(*records).studied:
        assert (set(case.requests), set(case.trials)) == ({ENTITY}, {ENTITY})


def test_no_prompt_to_remove_by_leaves_that_probe_out(cases_of):
    record = copy.deepcopy(RECORDS[0])
    del record["requested_rewrite"]["rm_rel_prompt"]
    case = cases_of(record, *RECORDS[1:]).studied[0]
    assert (set(case.requests), set(case.trials)) == (set(SIDES), {ENTITY, RELATION})
    assert case.requests[RELATION].also is None


def test_at_most_so_many_prompts_are_asked(cases_of):
    for case in cases_of(*RECORDS, config=replace(ANY, paraphrases=1, neighbours=2)).studied:
        assert (len(case.trials[ENTITY].paraphrases), len(case.trials[ENTITY].neighbours)) == (1, 2)


def test_requests_and_trials_are_what_editors_and_scores_take(cases_of, model):
    cases = cases_of(*RECORDS).studied
    check_requests(model, [request for case in cases for request in case.requests.values()])
    assert not {ENTITY_THIRD, RELATION_THIRD} & set(cases[0].trials)  # records name no third object
    for probe in (*SIDES, REMOVAL):
        scores = trial_scores(model, [case.trials[probe] for case in cases], None)
        assert np.isfinite(scores.es).all()
        assert np.isfinite(scores.ps).all()
        assert np.isfinite(scores.ns).all() == (probe == ENTITY)


@pytest.mark.parametrize("side", SIDES)
def test_an_edit_of_a_side_shows_on_its_own_probe(cases_of, model, side):
    cases = cases_of(*RECORDS).studied
    requests = [case.requests[side] for case in cases]
    outcomes = fine_tune(model, requests, 1, FineTuningConfig(lr=0.05, steps=40))
    trials = [case.trials[side] for case in cases]
    before, after = counterfact_scores(model, [outcome.edit for outcome in outcomes], trials)
    assert after.es.tolist() == [1, 1, 1]
    assert (after.em > before.em).all()


def test_what_is_left_out_is_counted(cases_of):
    unchanged = rake(4, "Lower Ul", "Telk", "Telk")
    unreadable = rake(5, "Arn", "Bor", "Telk")
    unreadable["requested_rewrite"]["prompt"] = "It is"
    again = rake(6, "Orvania", "Telk", "Bor")
    cases = cases_of(*RECORDS, unchanged, unreadable, again, config=replace(ANY, n_facts=2))
    assert counted(cases) == {"studied": 2, SAME_TARGETS: 1, NO_REQUEST: 1, BEYOND: 1}
    assert list(cases.counts) == ["relation", "arm", "reason", "n"]
    assert len(cases) == 2


def test_the_first_of_two_requests_for_one_fact_is_used(cases_of, tokenizer):
    cases = cases_of(*RECORDS, rake(6, "Orvania", "Telk", "Bor"))
    assert len({case.fact_id for case in cases.studied}) == len(cases) == 3
    assert tokenizer.decode(cases.studied[0].requests[ENTITY].goal.target) == " Port Amel"


def test_prompts_that_the_model_cannot_read_are_counted(cases_of):
    long = rake(4, "Lower Ul", "Telk", "Bor")
    long["paraphrase_prompts"] = ["Lower Ul is here. " * 200]
    assert counted(cases_of(*RECORDS, long)) == {"studied": 3, TOO_LONG: 1}


def test_facts_are_taken_that_the_model_knows(world_of, tokenizer, model):
    """The true answer of one record is made to be what the random model says."""
    world = world_of(*RECORDS)
    edits, facts = encoded(world, tokenizer), facts_of(world)
    fact = facts["fact_id"][1]
    ids = torch.tensor([edits.prompts[fact].rewrite.ids])
    said = int(model(ids).logits[0, -1].argmax())
    edits.prompts[fact] = replace(edits.prompts[fact], true=[said])
    cases = cases_from_records(model, edits, facts, EntityRelationConfig(min_facts=1))
    assert [case.fact_id for case in cases.studied] == [fact]
    assert counted(cases) == {"studied": 1, UNKNOWN: 2}


def test_too_few_facts_are_refused_with_what_became_of_them(cases_of):
    with pytest.raises(ValueError, match=r"facts: 3 not known; the study takes 2: .*only_known"):
        cases_of(*RECORDS, config=EntityRelationConfig(min_facts=2))


def test_facts_by_name_and_by_arm(cases_of, world_of):
    chosen = facts_of(world_of(*RECORDS))["fact_id"][2]
    cases = cases_of(*RECORDS, config=replace(ANY, facts=[chosen]))
    assert [case.fact_id for case in cases.studied] == [chosen]
    with pytest.raises(ValueError, match=r"study\.arms, study\.facts: .*unknown"):
        cases_of(*RECORDS, config=replace(ANY, arms=["both_sides"]))


def test_relations_take_turns(cases_of):
    second = rake(7, "Ann", "Telk", "Bor"), rake(8, "Bea", "Bor", "Telk")
    for record in second:
        record["requested_rewrite"]["relation_id"] = "P9"
    cases = cases_of(*RECORDS, *second, config=replace(ANY, n_facts=4))
    assert [case.relation for case in cases.studied] == ["P36", "P9", "P36", "P9"]
