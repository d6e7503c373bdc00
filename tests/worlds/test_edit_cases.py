"""Edit requests of a data set stay with the facts that they change."""

import pytest

from coemerge.worlds.facts import World, fact_id
from coemerge.worlds.public import PublicWorldConfig
from tests.worlds.readers.support import edit, relation, write_json


@pytest.fixture
def world_of(tmp_path):
    def build(*records: dict, **settings: object) -> World:
        path = write_json(tmp_path / "edits.json", list(records))
        return PublicWorldConfig("counterfact", str(path), **settings).build()

    return build


def changed(number: int, subject: str, true: str, **request: object) -> dict:
    return edit(number, subject=subject, target_true={"str": true}, **request)


def cases(world: World) -> dict[str, list[str]]:
    """Numbers of the requests by subject, those of facts that are in the world."""
    subjects = {fact.fact_id: fact.subject for fact in world.facts}
    return {
        subjects[fact]: [case.case_id for case in of_fact]
        for fact, of_fact in world.edit_cases.items()
    }


def test_every_kept_fact_has_its_requests_in_the_order_of_the_set(world_of):
    world = world_of(
        changed(1, "Orvania", "Telk"),
        changed(2, "Suneth", "Amel"),
        changed(3, "Orvania", "Telk", target_new={"str": "Bor"}),
    )
    assert cases(world) == {"Orvania": ["1", "3"], "Suneth": ["2"]}
    first = world.edit_cases[fact_id("P36", "Orvania", "Telk")][0]
    assert (first.target_true, first.target_new) == ("Telk", "Amel")


def test_requests_for_facts_that_are_left_out_are_left_out(world_of):
    records = [
        changed(1, "Orvania", "Telk"),
        changed(2, "Suneth", "Amel"),
        changed(3, "Ul", "Ul"),
        changed(4, "Orvania", "Telk", relation_id="P9"),
        changed(5, "Suneth", "Amel", relation_id="P9"),
    ]
    assert cases(world_of(*records, relations=["P36"])) == {"Orvania": ["1"], "Suneth": ["2"]}
    assert "3" not in {n for numbers in cases(world_of(*records)).values() for n in numbers}


def test_a_fact_whose_request_cannot_be_read_has_none(world_of):
    world = world_of(changed(1, "Orvania", "Telk", prompt="It is"), changed(2, "Suneth", "Amel"))
    assert len(world.facts) == 2
    assert cases(world) == {"Suneth": ["2"]}


def test_other_sets_have_none(tmp_path):
    world = PublicWorldConfig("lre", str(write_json(tmp_path / "a.json", relation()))).build()
    assert (len(world.facts), world.edit_cases) == (2, {})
