"""Asking for the relation: phrasings and names that we ship, those a user may write, and pairs."""

import copy
import itertools
from pathlib import Path

import pytest
import yaml

from coemerge.prompts.naming import Pairs, load_naming
from coemerge.prompts.options import OptionSets
from coemerge.prompts.render import Question, Renderer
from coemerge.prompts.tasks import NAMING, TASKS, get_task
from coemerge.prompts.templates import slot_problem, word_distance
from coemerge.worlds.facts import Fact, Relation, World, fact_id
from tests.conftest import ROOT
from tests.prompts.conftest import LINKED

FILE = ROOT / "conf" / "prompts" / "naming" / "default.yaml"
TEMPLATES = ROOT / "conf" / "prompts" / "templates"
N_HELD_OUT = 3
TASK = get_task(NAMING)


@pytest.fixture(scope="module")
def shipped() -> dict:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_ten_phrasings_serve_all_relations(shipped):
    assert len(shipped["pair"]) == 10
    assert [slot_problem("pair", entry) for entry in shipped["pair"]] == [None] * 10


def test_phrasings_differ_by_three_words(shipped):
    pairs = itertools.combinations(shipped["pair"], 2)
    assert [pair for pair in pairs if word_distance(*pair) < 3] == []


def test_no_phrasing_says_a_relations_name_or_none(shipped):
    words = {*shipped["names"].values(), shipped["none"]}
    said = {w for entry in shipped["pair"] for w in entry.strip("?.").replace(",", "").split()}
    assert not said & words


def test_every_relation_with_a_template_file_has_a_name(shipped):
    relations = {path.stem for path in TEMPLATES.glob("*.yaml")} - {"drill"}
    assert relations == set(shipped["names"])


@pytest.fixture
def good() -> dict:
    phrasings = [f"What ties {k} is between [X] and [Y]?" for k in range(4)]
    return {"names": {"hobby": "hobby", "home": "home"}, "none": "none", "pair": phrasings}


def load(tmp_path: Path, content: object, relations=("hobby", "home")):
    path = tmp_path / "naming.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_naming(path, relations, N_HELD_OUT)


def test_names_are_read_for_the_relations_of_the_world_alone(tmp_path, good):
    naming, phrasings = load(tmp_path, good, relations=["home"])
    assert (naming.names, naming.answers) == ({"home": "home"}, ("home", "none"))
    assert phrasings == tuple(good["pair"])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["names"].pop("home"), r"naming\.yaml: names\.home: needs one word, got None"),
        (lambda c: c["names"].update(home="the home"), r"names\.home: needs one word"),
        (lambda c: c["names"].update(home="hobby"), r"names\.home: 'hobby' is another answer"),
        (lambda c: c.update(none="home"), r"none: 'home' is another answer"),
        (lambda c: c.pop("none"), r"none: needs one word"),
        (lambda c: c.update(nome="x"), r"unknown key 'nome'"),
        (lambda c: c["pair"].pop(), r"'pair' needs a list of more than 3"),
        (lambda c: c["pair"].append("What is [X]?"), r"pair entry 5 .*needs \[Y\] 1 time"),
        (lambda c: c.pop("names"), r"expected a mapping with names, none and pair"),
    ],
)
def test_a_faulty_file_is_refused_by_its_entry(tmp_path, good, edit, message):
    edit(good)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, good)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"prompts\.naming_path: .*nowhere\.yaml is missing"):
        load_naming(tmp_path / "nowhere.yaml", ["hobby"], N_HELD_OUT)


def test_the_format_keeps_its_place():
    """A stored corpus names a format by its place."""
    assert list(TASKS).index(NAMING) == 16


@pytest.mark.parametrize(
    ("task", "asks"),
    [
        ("completion", "object"),
        ("negmcqa", "object"),
        ("multihop", "object"),
        ("verification", "truth"),
        ("cot_fitb_verification", "truth"),
        (NAMING, "relation"),
    ],
)
def test_what_a_format_asks_for(task, asks):
    assert get_task(task).asks == asks


@pytest.fixture(scope="module")
def settings(compose_settings):
    return compose_settings("experiment=smoke", "logger=none", "prompts=with_relations").dataset


@pytest.fixture(scope="module")
def pairs_renderer(settings) -> tuple[World, Renderer]:
    config = copy.deepcopy(settings.world)
    config.use = LINKED
    world = config.build()
    return world, Renderer(
        world, settings.prompts.book(world, ["drill"]), settings.prompts.frames()
    )


@pytest.mark.parametrize(
    ("relation", "name"), [("birthplace", "birthplace"), ("capital_of", "country")]
)
def test_a_true_pair_is_answered_by_its_name_and_another_by_none(pairs_renderer, relation, name):
    world, renderer = pairs_renderer
    fact = world.facts[world.positions[relation][0]]
    other = next(o for o in world.candidates[relation] if o != fact.object)
    answers = [
        renderer.render(Question(fact, TASK, 2, claimed=obj)).answer for obj in (fact.object, other)
    ]
    assert answers == [name, "none"]


@pytest.mark.parametrize("template_id", range(10))
def test_a_prompt_names_both_in_the_common_wording(pairs_renderer, shipped, template_id):
    world, renderer = pairs_renderer
    fact = world.facts[world.positions["birthplace"][0]]
    rendered = renderer.render(Question(fact, TASK, template_id, claimed=fact.object))
    wording = shipped["pair"][template_id]
    filled = wording.replace("[X]", fact.subject).replace("[Y]", fact.object)
    assert rendered.prompt == f"Between: {filled} Answer:"
    assert rendered.prompt[slice(*rendered.subject)] == fact.subject


def test_a_pair_without_an_object_is_refused(pairs_renderer):
    world, renderer = pairs_renderer
    with pytest.raises(ValueError, match="relation_naming needs a claimed object"):
        renderer.render(Question(world.facts[0], TASK, 0))


def test_a_cue_is_needed_where_names_are(settings):
    prompts = copy.deepcopy(settings.prompts)
    del prompts.cues[NAMING]
    with pytest.raises(ValueError, match=r"prompts\.cues\.relation_naming: missing"):
        prompts.frames()


CITIES = ("Rome", "Oslo", "Bern")


def town_world(home_of_ann: str) -> World:
    """Ann was born in Rome; her home is another relation to the same cities."""
    relations = {name: Relation(name, "person", "city") for name in ("birthplace", "home")}
    facts = [
        Fact(fact_id(relation, "Ann", city), relation, "Ann", city)
        for relation, city in (("birthplace", "Rome"), ("home", home_of_ann))
    ]
    positions = {"birthplace": range(1), "home": range(1, 2)}
    return World("towns", relations, facts, positions, dict.fromkeys(relations, CITIES))


def test_what_another_relation_joins_is_related_too():
    world = town_world("Oslo")
    assert Pairs(world).related(world.facts[0]) == ["Rome", "Oslo"]


def test_an_unrelated_pair_is_joined_by_no_relation():
    world = town_world("Oslo")
    claims = OptionSets(world, fixed=False, seed=0).false_claims(world.facts[0], TASK, 50)
    assert set(claims) == {"Bern"}


def test_a_false_claim_of_a_relation_may_be_true_of_another():
    world = town_world("Oslo")
    options = OptionSets(world, fixed=False, seed=0)
    claims = options.false_claims(world.facts[0], get_task("verification"), 50)
    assert set(claims) == {"Oslo", "Bern"}


def test_a_pair_that_two_relations_join_is_refused():
    with pytest.raises(ValueError, match=r"1 pairs .*'Ann' and 'Rome' \(birthplace, home\)"):
        Pairs(town_world("Rome")).check()


def test_pairs_of_different_objects_pass():
    Pairs(town_world("Oslo")).check()
