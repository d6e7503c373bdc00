"""A synthetic world: repeatable, balanced, consistent under its links, and cheap at any size."""

import copy
import itertools
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from coemerge.worlds.facts import World, check_world
from coemerge.worlds.synthetic import SyntheticWorldConfig
from tests.tolerances import MILLION_FACTS_BYTES

LINKED = ["birthplace", "located_in", "occupation", "field", "capital", "capital_of"]


@pytest.fixture
def config(smoke_spec) -> SyntheticWorldConfig:
    """A copy that a test may change."""
    return copy.deepcopy(smoke_spec.world)


@pytest.fixture(scope="module")
def linked(smoke_spec) -> World:
    config = copy.deepcopy(smoke_spec.world)
    config.use = LINKED
    return config.build()


def facts_of(world: World, relation: str):
    return [world.facts[i] for i in world.positions[relation]]


def test_the_same_seed_gives_the_same_facts(config):
    assert list(config.build().facts) == list(config.build().facts)


def test_another_seed_gives_other_facts(config):
    first = list(config.build().facts)
    config.seed += 1
    assert not set(first) & set(config.build().facts)


def test_a_fact_keeps_its_id_when_another_relation_is_added(config):
    config.use = ["birthplace"]
    alone = [f.fact_id for f in config.build().facts]
    config.use = ["occupation", "birthplace"]
    assert [f.fact_id for f in facts_of(config.build(), "birthplace")] == alone


def test_slices_and_negative_indices_agree_with_plain_ones(linked):
    assert linked.facts[-1] == linked.facts[len(linked.facts) - 1] == linked.facts[-2:][1]


def test_an_index_past_the_end_is_refused(linked):
    with pytest.raises(IndexError):
        linked.facts[len(linked.facts)]


def test_every_run_of_as_many_subjects_as_objects_uses_each_object_once(config):
    config.types["person"].size = 46
    world = config.build()
    for relation in world.main_relations():
        objects = [f.object for f in facts_of(world, relation)]
        size = len(world.candidates[relation])
        for start in range(0, len(objects) - size + 1, size):
            assert set(objects[start : start + size]) == set(world.candidates[relation])


def test_no_answer_is_worth_more_than_one_above_another(config):
    config.types["person"].size = 100
    world = config.build()
    for relation in world.main_relations():
        counts = Counter(f.object for f in facts_of(world, relation))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_each_subject_has_one_object_per_relation(linked):
    pairs = [(f.relation_id, f.subject) for f in linked.facts]
    assert len(pairs) == len(set(pairs))


def test_every_object_is_in_its_relations_candidates(linked):
    """T-D2."""
    assert all(f.object in linked.candidates[f.relation_id] for f in linked.facts)


def test_a_bijective_relation_uses_each_object_once(linked):
    objects = [f.object for f in facts_of(linked, "capital")]
    assert len(set(objects)) == len(objects)


def test_an_inverse_fact_swaps_the_fact_that_it_points_at(linked):
    forward = {f.fact_id: f for f in facts_of(linked, "capital")}
    for inverse in facts_of(linked, "capital_of"):
        original = forward[inverse.inverse_of]
        assert (original.subject, original.object) == (inverse.object, inverse.subject)


def test_every_bijective_fact_has_its_inverse(linked):
    pointed_at = {f.inverse_of for f in facts_of(linked, "capital_of")}
    assert pointed_at == {f.fact_id for f in facts_of(linked, "capital")}


def test_a_synonym_names_the_same_subject_and_the_fellow_word(linked, smoke_spec):
    lexicon = yaml.safe_load(Path(smoke_spec.world.lexicon_path).read_text(encoding="utf-8"))
    fellow = dict(zip(lexicon["profession"], lexicon["field"], strict=True))
    roots = {f.fact_id: f for f in facts_of(linked, "occupation")}
    for synonym in facts_of(linked, "field"):
        root = roots[synonym.synonym_of]
        assert (synonym.subject, synonym.object) == (root.subject, fellow[root.object])


def test_facts_without_a_link_point_nowhere(linked):
    facts = [*facts_of(linked, "birthplace"), *facts_of(linked, "occupation")]
    assert {(f.inverse_of, f.synonym_of) for f in facts} == {(None, None)}


def test_the_bridge_answer_is_the_object_of_the_object(linked):
    region_of = {f.subject: f.object for f in facts_of(linked, "located_in")}
    for fact in facts_of(linked, "birthplace"):
        assert linked.bridge_answer(fact) == region_of[fact.object]


def test_a_relation_without_a_bridge_has_no_bridge_answer(linked):
    assert linked.bridge_answer(facts_of(linked, "occupation")[0]) is None


def test_a_bridge_that_is_not_in_use_is_dropped(config):
    config.use = ["birthplace"]
    assert config.build().relations["birthplace"].bridge is None


def test_the_linked_world_passes_the_strict_check(linked):
    check_world(linked)


def test_main_relations_leave_out_the_auxiliary_ones(linked):
    assert linked.main_relations() == ["birthplace", "occupation"]


def test_no_subject_is_used_for_two_entities(config):
    config.types["person"].size = 1000
    subjects = [f.subject for f in facts_of(config.build(), "birthplace")]
    assert len(set(subjects)) == 1000


def test_no_answer_word_of_the_world_begins_another(linked):
    words = {o.lower() for objects in linked.candidates.values() for o in objects}
    ordered = sorted(words)
    assert not [a for a, b in itertools.pairwise(ordered) if b.startswith(a)]


def test_no_answer_of_a_relation_occurs_inside_another(config):
    """Else tolerant accuracy (methods 2.5) would take one answer for the other."""
    config.use = list(config.relations)
    inside = [
        (a, b)
        for objects in config.build().candidates.values()
        for a, b in itertools.permutations(objects, 2)
        if a in b
    ]
    assert inside == []


def test_a_million_facts_are_constructed_in_little_memory(config):
    config.types["person"].size = 200_000
    tracemalloc.start()
    try:
        world = config.build()
        assert len(world.facts) == 1_000_000
        for index in np.random.default_rng(0).integers(1_000_000, size=500):
            world.facts[int(index)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MILLION_FACTS_BYTES


def test_a_fact_far_into_a_large_world_is_well_formed(config):
    config.types["person"].size = 200_000
    world = config.build()
    fact = world.facts[987_654]
    assert fact.relation_id == "employer"
    assert fact.object in world.candidates["employer"]


def test_two_word_names_stay_distinct_beyond_the_pool_of_words(config):
    config.types["person"].size = 3000
    subjects = {f.subject for f in facts_of(config.build(), "birthplace")}
    assert len(subjects) == 3000


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda c: c.use.append("hobby"), "world.use"),
        (lambda c: c.use.append("capital_of"), r"world.use.*capital_of.*capital"),
        (lambda c: setattr(c.types["city"], "size", 0), "world.types.city"),
        (lambda c: setattr(c.types["city"], "words", 3), "world.types.city"),
        (lambda c: setattr(c.types["person"], "size", 512**2 + 1), "world.types.person.size"),
        (lambda c: setattr(c.relations["birthplace"], "range", "town"), "birthplace.*'town'"),
        (lambda c: setattr(c.relations["birthplace"], "bijective", True), "relations.birthplace"),
        (lambda c: setattr(c.types["city"], "lexicon", "town"), "world.types.city.*'town'"),
        (lambda c: setattr(c, "lexicon_path", "absent.yaml"), "world.lexicon_path: absent.yaml"),
    ],
    ids=[
        "unknown",
        "no_root",
        "size",
        "words",
        "many_names",
        "type",
        "bijective",
        "lexicon",
        "lexicon_path",
    ],
)
def test_a_faulty_configuration_is_refused_by_its_key(config, change, key):
    change(config)
    with pytest.raises(ValueError, match=key):
        config.build()


def test_an_inverse_of_a_relation_that_is_not_bijective_is_refused(config):
    config.use = LINKED
    config.relations["capital"].bijective = False
    with pytest.raises(ValueError, match=r"world.relations.capital_of.*bijective"):
        config.build()


def test_an_inverse_between_other_types_than_its_root_is_refused(config):
    config.use = LINKED
    config.relations["capital_of"].domain = "country"
    with pytest.raises(ValueError, match=r"world.relations.capital_of"):
        config.build()


def test_a_synonym_with_another_number_of_objects_than_its_root_is_refused(config):
    config.use = LINKED
    config.types["field"].size = 10
    with pytest.raises(ValueError, match=r"world.relations.field"):
        config.build()


def test_a_bridge_that_starts_elsewhere_is_refused(config):
    config.use = LINKED
    config.relations["birthplace"].bridge = "capital"
    with pytest.raises(ValueError, match=r"world.relations.birthplace.*bridge"):
        config.build()
