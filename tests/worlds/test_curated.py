"""A world written by hand: read strictly, refused by file, line or key."""

from pathlib import Path

import pytest

from coemerge.worlds.curated import CuratedWorldConfig
from coemerge.worlds.facts import World, fact_id

HEAD = "domain: country\nrange: city\n"
FACTS = {"Velmar": "Ostra", "New Kell": "Port Sind", "Sorn": "Birrel", "Tolm": "Ostra"}


def text_of(facts: dict[str, str]) -> str:
    return HEAD + "facts:\n" + "".join(f"  {s}: {o}\n" for s, o in facts.items())


def config_of(folder: Path, **settings) -> CuratedWorldConfig:
    settings.setdefault("use", ["capital_city"])
    return CuratedWorldConfig(facts_dir=str(folder), **settings)


def world_of(folder: Path, text: str, **settings) -> World:
    (folder / "capital_city.yaml").write_text(text)
    return config_of(folder, **settings).build()


def pairs_of(world: World) -> list[tuple[str, str]]:
    return [(fact.subject, fact.object) for fact in world.facts]


def test_facts_stay_in_the_order_of_the_file(tmp_path):
    assert pairs_of(world_of(tmp_path, text_of(FACTS))) == list(FACTS.items())


def test_a_relation_is_described_by_its_file(tmp_path):
    relation = world_of(tmp_path, text_of(FACTS)).relations["capital_city"]
    assert (relation.label, relation.domain, relation.range) == ("capital city", "country", "city")
    assert (relation.functional, relation.formats) == (True, None)


def test_candidates_are_the_distinct_objects_in_order(tmp_path):
    world = world_of(tmp_path, text_of(FACTS))
    assert world.candidates == {"capital_city": ("Birrel", "Ostra", "Port Sind")}


def test_fact_ids_derive_from_the_content(tmp_path):
    world = world_of(tmp_path, text_of(FACTS))
    expected = [fact_id("capital_city", s, o) for s, o in FACTS.items()]
    assert [fact.fact_id for fact in world.facts] == expected


def test_a_curated_world_is_strict_and_has_nothing_to_note(tmp_path):
    world = world_of(tmp_path, text_of(FACTS))
    assert (world.strict, world.notes, world.wordings) == (True, {}, {})


def test_relations_are_read_in_the_order_named(tmp_path):
    for name in ("river", "capital_city"):
        (tmp_path / f"{name}.yaml").write_text(text_of(FACTS))
    world = config_of(tmp_path, use=["river", "capital_city"]).build()
    assert world.positions == {"river": range(4), "capital_city": range(4, 8)}


@pytest.mark.parametrize(("n", "kept"), [(2, 2), (3, 3), (100, 4), (None, 4)])
def test_facts_per_relation_keeps_the_first_ones(tmp_path, n, kept):
    world = world_of(tmp_path, text_of(FACTS), facts_per_relation=n)
    assert pairs_of(world) == list(FACTS.items())[:kept]


def test_candidates_are_those_of_the_facts_kept(tmp_path):
    world = world_of(tmp_path, text_of(FACTS), facts_per_relation=2)
    assert world.candidates == {"capital_city": ("Ostra", "Port Sind")}


@pytest.mark.parametrize("n", [1, 0, -1])
def test_less_than_two_facts_per_relation_are_refused(tmp_path, n):
    with pytest.raises(ValueError, match=rf"world\.facts_per_relation: {n} is below 2"):
        world_of(tmp_path, text_of(FACTS), facts_per_relation=n)


def test_a_subject_given_twice_is_refused_with_the_line(tmp_path):
    text = text_of(FACTS) + "  Velmar: Ostra\n"
    with pytest.raises(ValueError, match=r"capital_city\.yaml:8: .*'Velmar' occurs twice"):
        world_of(tmp_path, text)


def test_a_contradiction_cannot_be_expressed(tmp_path):
    text = text_of(FACTS) + "  Velmar: Birrel\n"
    with pytest.raises(ValueError, match=r":8: .*'Velmar' occurs twice"):
        world_of(tmp_path, text)


def test_a_key_of_the_file_given_twice_is_refused_with_the_line(tmp_path):
    with pytest.raises(ValueError, match=r":8: .*'domain' occurs twice"):
        world_of(tmp_path, text_of(FACTS) + "domain: state\n")


def test_an_object_that_is_its_subject_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"capital_city\('Ostra'\): the object equals"):
        world_of(tmp_path, text_of({**FACTS, "Ostra": "Ostra"}))


@pytest.mark.parametrize(
    "fact", ["Norway: no", "no: Oslo", "Year: 1905", "1905: Oslo", "Norway:", "Day: 2020-01-01"]
)
def test_facts_that_yaml_takes_for_something_else_are_refused(tmp_path, fact):
    with pytest.raises(ValueError, match=r"capital_city\.yaml: facts: .*are not both text; quote"):
        world_of(tmp_path, f"{text_of(FACTS)}  {fact}\n")


@pytest.mark.parametrize("fact", ['Norway: ""', '"": Oslo', "Norway: [Oslo]", "Norway: {a: b}"])
def test_facts_without_a_text_are_refused(tmp_path, fact):
    with pytest.raises(ValueError, match=r"capital_city\.yaml: facts: .*are not both text"):
        world_of(tmp_path, f"{text_of(FACTS)}  {fact}\n")


def test_quoted_words_of_yaml_are_text(tmp_path):
    world = world_of(tmp_path, text_of(FACTS) + '  Norway: "no"\n')
    assert pairs_of(world)[-1] == ("Norway", "no")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "domain"),
        ("- domain\n", "domain"),
        ("range: city\nfacts: {a: b}\n", "domain"),
        ("domain: 7\nrange: city\nfacts: {a: b}\n", "domain"),
        ("domain: country\nfacts: {a: b}\n", "range"),
        (HEAD, "facts"),
        (HEAD + "facts: [a, b]\n", "facts"),
    ],
)
def test_a_key_that_is_missing_or_of_another_kind_is_named(tmp_path, text, key):
    with pytest.raises(ValueError, match=rf"capital_city\.yaml: needs '{key}'"):
        world_of(tmp_path, text)


def test_malformed_yaml_is_refused_with_the_line(tmp_path):
    with pytest.raises(ValueError, match=r"capital_city\.yaml:4: "):
        world_of(tmp_path, HEAD + "facts: {a: b\n")


def test_a_file_that_is_not_utf_8_is_refused_by_its_path(tmp_path):
    (tmp_path / "capital_city.yaml").write_bytes(text_of({"Bras\u00edlia": "x"}).encode("latin-1"))
    with pytest.raises(ValueError, match=r"capital_city\.yaml: "):
        config_of(tmp_path).check()


def test_a_relation_without_a_file_is_refused_with_those_there(tmp_path):
    for name in ("river", "currency"):
        (tmp_path / f"{name}.yaml").write_text(text_of(FACTS))
    told = r"world\.use: .*capital_city\.yaml: no such file; there are: currency, river"
    with pytest.raises(ValueError, match=told):
        config_of(tmp_path).check()


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file; there are: none"):
        config_of(tmp_path / "absent").check()


def test_no_relation_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"world\.use: needs relations"):
        config_of(tmp_path, use=[]).check()
