"""Columns of a relation: computed or listed, they say what its facts say one by one."""

import copy

import pytest

from coemerge.worlds.facts import Fact, ListedFacts, Relation, World, fact_id

LINKED = ["birthplace", "located_in", "occupation", "field", "capital", "capital_of"]
relations = pytest.mark.parametrize("relation", LINKED)


@pytest.fixture(scope="module", params=[12, 100], ids=["few_people", "many_people"])
def computed(request, smoke_spec) -> World:
    """Fewer people than objects of a relation, and several laps of them."""
    config = copy.deepcopy(smoke_spec.world)
    config.use = LINKED
    config.types["person"].size = request.param
    return config.build()


@pytest.fixture(scope="module")
def listed(computed) -> ListedFacts:
    return ListedFacts(list(computed.facts), computed.positions, computed.candidates)


def facts_of(world: World, relation: str) -> list[Fact]:
    return [world.facts[i] for i in world.positions[relation]]


@relations
def test_object_ranks_are_those_of_the_facts_one_by_one(computed, listed, relation):
    objects = computed.candidates[relation]
    expected = [objects.index(fact.object) for fact in facts_of(computed, relation)]
    assert computed.facts.object_ranks(relation).tolist() == expected
    assert listed.object_ranks(relation).tolist() == expected


@relations
def test_root_positions_are_those_of_the_facts_one_by_one(computed, listed, relation):
    place = {fact.fact_id: k for k, fact in enumerate(computed.facts)}
    expected = [place[fact.root_id] for fact in facts_of(computed, relation)]
    assert computed.facts.root_positions(relation).tolist() == expected
    assert listed.root_positions(relation).tolist() == expected


@pytest.mark.parametrize("relation", ["birthplace", "located_in", "occupation", "capital"])
def test_a_relation_of_its_own_has_its_own_positions(computed, relation):
    positions = list(computed.positions[relation])
    assert computed.columns.root_positions(relation).tolist() == positions


@pytest.mark.parametrize(("relation", "root"), [("field", "occupation"), ("capital_of", "capital")])
def test_a_relation_that_restates_another_has_that_ones_positions(computed, relation, root):
    positions = set(computed.columns.root_positions(relation).tolist())
    assert positions <= set(computed.positions[root])


def test_an_inverse_leads_to_the_fact_with_subject_and_object_swapped(computed):
    roots = computed.columns.root_positions("capital_of")
    for fact, position in zip(facts_of(computed, "capital_of"), roots, strict=True):
        root = computed.facts[int(position)]
        assert (root.subject, root.object) == (fact.object, fact.subject)


def test_the_columns_of_a_world_are_its_facts_where_these_have_some(computed):
    assert computed.columns is computed.facts


def test_a_world_of_plain_facts_has_columns_too(computed, listed):
    plain = World(
        "w", computed.relations, list(computed.facts), computed.positions, computed.candidates
    )
    for relation in LINKED:
        ranks = plain.columns.object_ranks(relation).tolist()
        assert ranks == listed.object_ranks(relation).tolist()


def test_listed_facts_are_a_sequence_of_them(computed, listed):
    assert list(listed) == list(computed.facts)
    assert (len(listed), listed[-1]) == (len(computed.facts), computed.facts[-1])
    assert list(listed[2:5]) == list(computed.facts[2:5])


def test_bridge_answers_are_alike(computed, listed):
    plain = World("w", computed.relations, listed, computed.positions, computed.candidates)
    for fact in facts_of(computed, "birthplace"):
        assert plain.bridge_answer(fact) == computed.bridge_answer(fact)


@relations
def test_a_functional_relation_has_one_true_object(computed, relation):
    assert all(computed.true_objects(f) == (f.object,) for f in facts_of(computed, relation))


def several(functional: bool) -> World:
    """Ann speaks two languages, Bob one; each lives in one city."""
    triples = [
        ("speaks", "Ann", "Ostric"),
        ("speaks", "Bob", "Kellish"),
        ("speaks", "Ann", "Kellish"),
        ("lives", "Ann", "Ostra"),
        ("lives", "Bob", "Sind"),
    ]
    facts = [Fact(fact_id(*t), *t) for t in triples]
    kinds = {
        "speaks": Relation("speaks", "person", "language", functional=functional),
        "lives": Relation("lives", "person", "city"),
    }
    candidates = {"speaks": ("Kellish", "Ostric", "Sornic"), "lives": ("Ostra", "Sind")}
    return World("w", kinds, facts, {"speaks": range(3), "lives": range(3, 5)}, candidates)


@pytest.mark.parametrize(
    ("position", "objects"),
    [
        (0, {"Ostric", "Kellish"}),
        (2, {"Ostric", "Kellish"}),
        (1, {"Kellish"}),
        (3, {"Ostra"}),
        (4, {"Sind"}),
    ],
)
def test_all_objects_of_a_subject_are_true_where_there_may_be_several(position, objects):
    world = several(functional=False)
    assert set(world.true_objects(world.facts[position])) == objects


def test_a_relation_said_to_be_functional_gives_the_facts_own_object():
    world = several(functional=True)
    assert [world.true_objects(f) for f in world.facts] == [(f.object,) for f in world.facts]


def test_a_fact_that_the_world_does_not_hold_has_its_own_object():
    world = several(functional=False)
    fact = Fact("x", "speaks", "Cid", "Sornic")
    assert list(world.true_objects(fact)) == ["Sornic"]


def test_ranks_and_roots_of_listed_facts():
    columns = several(functional=False).columns
    assert columns.object_ranks("speaks").tolist() == [1, 0, 0]
    assert columns.object_ranks("lives").tolist() == [0, 1]
    assert columns.root_positions("lives").tolist() == [3, 4]
