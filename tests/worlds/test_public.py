"""A world from a data set: what is dropped, flagged and kept, and that all of it is counted."""

import itertools
import json
from pathlib import Path

import pytest

from coemerge.worlds.facts import Wordings, World, fact_id
from coemerge.worlds.public import MIN_ANSWERS, PublicWorldConfig

DUPLICATES, REFLEXIVE = "duplicates dropped", "subject = object dropped"
SEVERAL = "subjects with several objects (kept; relation not functional)"
SMALL = f"relations with fewer than {MIN_ANSWERS} answers: no lettered formats"
NEARLY_ALL = "facts dropped: their subject has nearly every object"
LEAKS = "answers that stand in their subject (kept)"
SPLIT = "answers of several tokens dropped (world.single_token)"
LETTERED = {"mcqa", "negmcqa"}
Pairs = list[tuple[str, str]]


def plain(n: int, subject: str = "s", obj: str = "o") -> Pairs:
    """``n`` facts with an object each."""
    return [(f"{subject}{i:02d}", f"{obj}{i:02d}") for i in range(n)]


def config_of(folder: Path, relations: dict[str, Pairs], /, **settings) -> PublicWorldConfig:
    """An LRE folder, one file per relation."""
    folder.mkdir(exist_ok=True)
    for name, pairs in relations.items():
        content = {
            "name": name.replace("_", " "),
            "prompt_templates": [f"The {name} of {{}} is"],
            "properties": {"domain_name": "place", "range_name": "thing", "symmetric": False},
            "samples": [{"subject": s, "object": o} for s, o in pairs],
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
    return PublicWorldConfig("lre", str(folder), **settings)


def world_of(folder: Path, pairs: Pairs, **settings) -> World:
    return config_of(folder, {"river": pairs}, **settings).build()


def pairs_of(world: World, relation: str = "river") -> Pairs:
    facts = (world.facts[i] for i in world.positions[relation])
    return [(fact.subject, fact.object) for fact in facts]


def test_facts_stay_in_the_order_of_the_file(tmp_path):
    pairs = plain(9)[::-1]
    assert pairs_of(world_of(tmp_path, pairs)) == pairs


def test_a_sound_data_set_has_nothing_to_note(tmp_path):
    assert world_of(tmp_path, plain(9)).notes == {}


def test_a_public_world_is_not_strict_and_bears_the_sets_name(tmp_path):
    world = world_of(tmp_path, plain(9))
    assert (world.world_id, world.strict) == ("lre", False)


def test_a_relation_keeps_what_the_set_says_of_it(tmp_path):
    world = config_of(tmp_path, {"main_river": plain(9)}).build()
    relation = world.relations["main_river"]
    assert (relation.label, relation.domain, relation.range) == ("main river", "place", "thing")


def test_the_sets_own_wordings_are_kept(tmp_path):
    own = {"river": Wordings(("The river of [X] is [Y].",))}
    assert world_of(tmp_path, plain(9)).wordings == own


def test_without_the_sets_wordings_files_are_wanted(tmp_path):
    assert world_of(tmp_path, plain(9), templates="files").wordings == {}


def test_facts_given_again_are_dropped_and_counted(tmp_path):
    pairs = plain(9)
    world = world_of(tmp_path, [*pairs, pairs[3], pairs[3], pairs[0]])
    assert (pairs_of(world), world.notes) == (pairs, {DUPLICATES: 3})


def test_facts_whose_object_is_their_subject_are_dropped_and_counted(tmp_path):
    pairs = plain(9)
    world = world_of(tmp_path, [*pairs, ("Rio", "Rio"), ("Po", "Po")])
    assert (pairs_of(world), world.notes) == (pairs, {REFLEXIVE: 2})


def test_an_answer_that_stands_in_its_subject_is_kept_and_counted(tmp_path):
    pairs = [*plain(9), ("Lake of Po", "Po"), ("Port", "Por")]
    world = world_of(tmp_path, pairs)
    assert (pairs_of(world), world.notes) == (pairs, {LEAKS: 1})


def test_only_answers_in_their_subject_that_are_kept_count_as_kept(tmp_path):
    pairs = [(f"Lake of p{i}", f"p{i}") for i in range(20)]
    assert world_of(tmp_path, pairs, facts_per_relation=10).notes == {LEAKS: 10}


def test_one_object_per_subject_is_functional(tmp_path):
    relation = world_of(tmp_path, [*plain(9), ("t", "o00")]).relations["river"]
    assert (relation.functional, relation.bijective, relation.formats) == (True, False, None)


def test_one_subject_per_object_is_bijective(tmp_path):
    assert world_of(tmp_path, plain(9)).relations["river"].bijective


def test_several_objects_are_kept_and_their_relation_flagged(tmp_path):
    pairs = [*plain(12), ("s00", "o05"), ("s01", "o05"), ("s01", "o06")]
    world = world_of(tmp_path, pairs)
    relation = world.relations["river"]
    assert pairs_of(world) == pairs
    assert (relation.functional, relation.bijective) == (False, False)
    assert world.notes == {SEVERAL: 2}


def test_all_right_answers_of_a_subject_are_known(tmp_path):
    world = world_of(tmp_path, [*plain(12), ("s00", "o05")])
    assert set(world.true_objects(world.facts[0])) == {"o00", "o05"}
    assert set(world.true_objects(world.facts[1])) == {"o01"}


def test_one_relation_is_flagged_without_the_others(tmp_path):
    relations = {"river": [*plain(12), ("s00", "o05")], "lake": plain(12)}
    world = config_of(tmp_path, relations).build()
    assert not world.relations["river"].functional
    assert world.relations["lake"].functional


def test_a_relation_with_a_single_answer_is_dropped_and_counted(tmp_path):
    relations = {"lake": [("a", "x"), ("b", "x")], "river": plain(9)}
    world = config_of(tmp_path, relations).build()
    assert list(world.relations) == ["river"]
    assert world.notes == {"relations with a single answer dropped (lake)": 2}


@pytest.mark.parametrize("n", [2, MIN_ANSWERS - 1])
def test_a_small_relation_is_asked_without_letters_and_counted(tmp_path, n):
    world = world_of(tmp_path, plain(n))
    formats = world.relations["river"].formats
    assert formats
    assert not LETTERED & set(formats)
    assert world.notes == {SMALL: 1}


def test_a_relation_with_just_enough_answers_has_all_formats(tmp_path):
    assert world_of(tmp_path, plain(MIN_ANSWERS)).relations["river"].formats is None


def test_subjects_with_nearly_every_object_are_dropped_and_counted(tmp_path):
    """Seven wrong options are needed: of 12 objects, a subject may have five."""
    pairs = plain(12)
    kept = [("t", obj) for _, obj in pairs[:5]]
    dropped = [("u", obj) for _, obj in pairs[:6]]
    world = world_of(tmp_path, [*pairs, *kept, *dropped])
    assert pairs_of(world) == [*pairs, *kept]
    assert world.notes[NEARLY_ALL] == 6


def test_a_relation_of_which_nothing_is_left_is_an_error(tmp_path):
    objects = [obj for _, obj in plain(MIN_ANSWERS)]
    pairs = [(f"s{i}", objects[(i + d) % MIN_ANSWERS]) for i in range(MIN_ANSWERS) for d in (0, 1)]
    with pytest.raises(ValueError, match="no facts are left"):
        world_of(tmp_path, pairs)


def test_a_relation_that_becomes_small_is_asked_without_letters(tmp_path):
    pairs = [*plain(6), *(("t", f"p{i}") for i in range(3))]
    relation = world_of(tmp_path, pairs).relations["river"]
    assert relation.formats is not None
    assert not LETTERED & set(relation.formats)


def test_a_relation_that_becomes_functional_is_not_flagged(tmp_path):
    pairs = plain(12)
    world = world_of(tmp_path, [*pairs, *(("u", obj) for _, obj in pairs[:6])])
    assert world.relations["river"].functional
    assert SEVERAL not in world.notes


def test_every_object_is_in_its_candidate_list(tmp_path):
    """T-D2."""
    relations = {
        "river": [*plain(12), *(("u", f"o{i:02d}") for i in range(6))],
        "lake": plain(3),
        "sea": [*plain(9), ("s00", "o05")],
    }
    world = config_of(tmp_path, relations, facts_per_relation=8).build()
    assert all(fact.object in world.candidates[fact.relation_id] for fact in world.facts)


def test_candidates_are_the_distinct_objects_that_were_kept_in_order(tmp_path):
    world = world_of(tmp_path, [*plain(9)[::-1], ("t", "o03"), ("Po", "Po")])
    assert world.candidates["river"] == tuple(f"o{i:02d}" for i in range(9))


def test_relations_follow_one_another_without_a_gap(tmp_path):
    world = config_of(tmp_path, {"river": plain(9), "lake": plain(12)}).build()
    covered = list(itertools.chain(*world.positions.values()))
    assert covered == list(range(len(world.facts))) == list(range(21))
    assert all(
        world.facts[i].relation_id == name for name, where in world.positions.items() for i in where
    )


def test_fact_ids_derive_from_the_content(tmp_path):
    world = world_of(tmp_path, plain(9))
    assert [f.fact_id for f in world.facts] == [fact_id("river", s, o) for s, o in plain(9)]


def test_the_same_input_gives_the_same_world(tmp_path):
    config = config_of(tmp_path, {"river": plain(30), "lake": plain(12)}, facts_per_relation=10)
    first, second = config.build(), config.build()
    assert list(first.facts) == list(second.facts)
    assert (first.relations, first.candidates, first.notes) == (
        second.relations,
        second.candidates,
        second.notes,
    )


def test_the_place_of_the_files_does_not_matter(tmp_path):
    first, second = (world_of(tmp_path / name, plain(9)) for name in ("a", "b"))
    assert list(first.facts) == list(second.facts)


def test_relations_are_chosen_by_name(tmp_path):
    relations = {"river": plain(9), "lake": plain(9), "sea": plain(9)}
    world = config_of(tmp_path, relations, relations=["sea", "lake"]).build()
    assert set(world.relations) == {"lake", "sea"}
    assert len(world.facts) == 18


def test_what_is_wrong_with_a_relation_left_out_is_not_counted(tmp_path):
    relations = {"river": plain(9), "lake": [("Po", "Po")]}
    assert config_of(tmp_path, relations, relations=["river"]).build().notes == {}


def test_a_mistyped_relation_is_refused_with_the_one_that_was_meant(tmp_path):
    relations = {"river": plain(9), "lake": plain(9)}
    config = config_of(tmp_path, relations, relations=["rivr"])
    told = r"world\.relations: .*no 'rivr' \(did you mean 'river'\?\); there are: lake, river"
    with pytest.raises(ValueError, match=told):
        config.check()


def test_a_relation_like_no_other_is_refused_with_those_there(tmp_path):
    config = config_of(tmp_path, {"river": plain(9)}, relations=["xxxx"])
    with pytest.raises(ValueError, match="has no 'xxxx'; there are: river"):
        config.check()


def test_a_sample_has_the_size_asked_for_in_each_relation(tmp_path):
    relations = {"river": plain(30), "lake": plain(20), "sea": plain(5)}
    world = config_of(tmp_path, relations, facts_per_relation=10).build()
    assert {name: len(where) for name, where in world.positions.items()} == {
        "lake": 10,
        "river": 10,
        "sea": 5,
    }


def test_a_sample_keeps_the_order_of_the_file(tmp_path):
    sampled = pairs_of(world_of(tmp_path, plain(30), facts_per_relation=10))
    assert sampled == sorted(sampled)
    assert set(sampled) < set(plain(30))


def test_another_seed_samples_other_facts(tmp_path):
    samples = [
        pairs_of(world_of(tmp_path, plain(30), facts_per_relation=10, seed=seed))
        for seed in (0, 0, 1)
    ]
    assert samples[0] == samples[1] != samples[2]


def test_the_sample_of_a_relation_does_not_depend_on_the_others(tmp_path):
    relations = {"river": plain(30), "lake": plain(30)}
    both = config_of(tmp_path / "both", relations, facts_per_relation=10).build()
    alone = world_of(tmp_path / "one", relations["river"], facts_per_relation=10)
    assert pairs_of(both) == pairs_of(alone)


def test_relations_of_equal_size_are_sampled_independently(tmp_path):
    relations = {"river": plain(30), "lake": plain(30)}
    world = config_of(tmp_path, relations, facts_per_relation=10).build()
    assert pairs_of(world, "river") != pairs_of(world, "lake")


def test_candidates_of_a_sample_are_its_own_objects(tmp_path):
    world = world_of(tmp_path, plain(30), facts_per_relation=10)
    assert set(world.candidates["river"]) == {obj for _, obj in pairs_of(world)}


def test_answers_of_several_tokens_are_dropped_by_the_tokenizer_given(tmp_path):
    config = config_of(tmp_path, {"river": plain(20)}, single_token=True)
    world = config.build(lambda word: int(word[1:]) < 12)
    assert pairs_of(world) == plain(12)
    assert world.notes == {SPLIT: 8}


def test_without_a_tokenizer_answers_of_several_words_are_dropped(tmp_path):
    pairs = [*plain(9), ("t", "Rio Tinto"), ("u", "Saint-Cyr")]
    world = world_of(tmp_path, pairs, single_token=True)
    assert (pairs_of(world), world.notes) == (plain(9), {SPLIT: 2})


def test_answers_of_several_tokens_stay_unless_asked(tmp_path):
    config = config_of(tmp_path, {"river": plain(9)})
    assert len(config.build(lambda word: False).facts) == 9


def test_the_sample_is_drawn_from_single_tokens(tmp_path):
    config = config_of(tmp_path, {"river": plain(30)}, single_token=True, facts_per_relation=10)
    world = config.build(lambda word: int(word[1:]) < 15)
    assert len(world.facts) == 10
    assert set(pairs_of(world)) <= set(plain(15))


@pytest.mark.parametrize(
    ("relations", "settings"),
    [
        ({"river": [("Po", "Po"), ("Rio", "Rio")]}, {}),
        ({"river": [("a", "x"), ("b", "x")]}, {}),
        ({"river": [("a", "Rio Tinto"), ("b", "Rio Negro")]}, {"single_token": True}),
        ({"river": plain(9)}, {"relations": []}),
    ],
    ids=["subject_is_object", "one_answer", "no_single_token", "no_relation"],
)
def test_nothing_left_is_an_error_that_says_where(tmp_path, relations, settings):
    config = config_of(tmp_path, relations, **settings)
    with pytest.raises(ValueError, match=rf"world\.path: {tmp_path}: no facts are left"):
        config.check()


def test_nothing_left_is_an_error_that_says_why(tmp_path):
    config = config_of(tmp_path, {"river": [("Po", "Po"), ("a", "x"), ("b", "x"), ("b", "x")]})
    with pytest.raises(ValueError, match="no facts are left") as told:
        config.check()
    for reason in (f"{DUPLICATES}: 1", f"{REFLEXIVE}: 1", r"single answer dropped (river): 2"):
        assert reason in str(told.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "lree"}, r"world\.format: 'lree' is not one of pararel, lre"),
        ({"path": ""}, r"world\.path: name the file or folder of the lre data"),
        ({"path": "/no/such"}, r"world\.path: /no/such: no such file or folder"),
        ({"facts_per_relation": 1}, r"world\.facts_per_relation: 1 is below 2"),
        ({"templates": "mine"}, r"world\.templates: 'mine' is neither data nor files"),
    ],
)
def test_a_faulty_setting_is_refused_by_its_key(tmp_path, settings, message):
    config = config_of(tmp_path, {"river": plain(9)})
    for key, value in settings.items():
        setattr(config, key, value)
    with pytest.raises(ValueError, match=message):
        config.check()
