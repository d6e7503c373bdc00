"""Is a world sound? ``check_world`` on worlds with one planted fault each."""

import pytest

from coemerge.worlds.facts import Fact, Relation, World, check_world, fact_id

Triple = tuple[str, str, str]


def small_world(
    triples: list[Triple],
    candidates: tuple[str, ...] = ("Rome", "Oslo"),
    **links: str,
) -> World:
    relation = Relation("born", "person", "city", **links)
    facts = [Fact(fact_id(*t), *t) for t in triples]
    return World("w", {"born": relation}, facts, {"born": range(len(facts))}, {"born": candidates})


def test_a_sound_world_passes():
    check_world(small_world([("born", "Ann", "Rome"), ("born", "Bob", "Oslo")]))


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (small_world([("born", "Ann", "Rome")] * 2), "duplicate"),
        (small_world([("born", "Ann", "Rome"), ("born", "Ann", "Oslo")]), "contradicts 'Rome'"),
        (small_world([("born", "Rome", "Rome")]), "equals the subject"),
        (small_world([("born", "Ann", "Bern")]), "'Bern' is not in the answer set"),
        (small_world([("born", "Ann", "Rome")], inverse_of="bore"), "unknown 'bore'"),
        (small_world([("born", "Ann", "Rome")], synonym_of="birth"), "unknown 'birth'"),
        (small_world([("born", "Ann", "Rome")], bridge="located"), "unknown 'located'"),
    ],
    ids=["duplicate", "contradiction", "reflexive", "no_candidate", "inverse", "synonym", "bridge"],
)
def test_a_planted_fault_is_named(world, message):
    with pytest.raises(ValueError, match=message):
        check_world(world)


def test_a_duplicate_is_found_in_a_relation_with_several_objects_per_subject():
    triples = [("born", "Ann", "Rome"), ("born", "Ann", "Oslo"), ("born", "Ann", "Rome")]
    with pytest.raises(ValueError, match="duplicate"):
        check_world(small_world(triples, functional=False))


def test_several_objects_are_allowed_where_the_relation_is_not_functional():
    triples = [("born", "Ann", "Rome"), ("born", "Ann", "Oslo")]
    check_world(small_world(triples, functional=False))


def test_all_problems_are_listed_at_once():
    world = small_world([("born", "Ann", "Bern"), ("born", "Rome", "Rome")])
    with pytest.raises(ValueError, match=r"Bern.*equals the subject"):
        check_world(world)


def test_fact_ids_depend_on_the_triple_alone():
    assert fact_id("born", "Ann", "Rome") == fact_id("born", "Ann", "Rome")


@pytest.mark.parametrize(
    "other", [("lives", "Ann", "Rome"), ("born", "Bob", "Rome"), ("born", "Ann", "Oslo")]
)
def test_fact_ids_differ_where_any_part_differs(other):
    assert fact_id(*other) != fact_id("born", "Ann", "Rome")


def test_fact_ids_keep_the_parts_apart():
    assert fact_id("born", "Ann R", "ome") != fact_id("born", "Ann ", "Rome")


def test_a_fact_that_restates_another_has_that_one_as_root():
    assert Fact("b", "capital_of", "Rome", "Italy", inverse_of="a").root_id == "a"


def test_a_fact_of_its_own_is_its_own_root():
    assert Fact("a", "capital", "Italy", "Rome").root_id == "a"
