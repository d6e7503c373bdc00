"""LRE: one JSON file per relation."""

import re

import pytest

from coemerge.worlds.facts import Wordings
from coemerge.worlds.public import PublicWorldConfig
from coemerge.worlds.readers.lre import read
from coemerge.worlds.readers.records import RelationInfo, Triple
from tests.worlds.readers import notes, parts, real, without, write, write_json

SAMPLES = [
    {"subject": "Velmar", "object": "Ostra"},
    {"subject": "New Kell", "object": "Port Sind"},
]
RELATION = {
    "name": "country capital city",
    "prompt_templates": ["The capital of {} is", "{}'s capital is the city of"],
    "prompt_templates_zs": ["What is the capital of {}? It is."],
    "properties": {
        "relation_type": "factual",
        "domain_name": "country",
        "range_name": "city",
        "symmetric": False,
    },
    "samples": SAMPLES,
}
ESCAPED = "labels with doubly escaped characters (mended)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "capital.json"


def reading_of(path, **changes):
    return read(write_json(path, {**RELATION, **changes}))


def test_samples_are_triples_that_say_where_they_stand(path):
    assert reading_of(path).triples == [
        Triple("country_capital_city", "Velmar", "Ostra", f"{path}: sample 1"),
        Triple("country_capital_city", "New Kell", "Port Sind", f"{path}: sample 2"),
    ]


def test_templates_become_statements_that_end_in_the_object(path):
    statements = (
        "The capital of [X] is [Y].",
        "[X]'s capital is the city of [Y].",
        "What is the capital of [X]? It is [Y].",
    )
    assert reading_of(path).wordings == {"country_capital_city": Wordings(statements)}


def test_a_template_given_twice_is_kept_once(path):
    reading = reading_of(path, prompt_templates_zs=["The capital of {} is "])
    assert len(reading.wordings["country_capital_city"].statements) == 2


def test_a_relation_is_known_by_its_name_and_types(path):
    info = RelationInfo("country capital city", "country", "city", symmetric=False)
    assert reading_of(path).relations == {"country_capital_city": info}


def test_explicit_types_come_before_those_among_the_properties(path):
    info = reading_of(path, domain="state", range="seat").relations["country_capital_city"]
    assert (info.domain, info.range) == ("state", "seat")


@pytest.mark.parametrize("properties", [None, {}])
def test_a_relation_without_properties_has_plain_types(path, properties):
    info = reading_of(path, properties=properties).relations["country_capital_city"]
    assert (info.domain, info.range, info.symmetric) == ("subject", "object", False)


def test_a_symmetric_relation_is_marked(path):
    reading = reading_of(path, properties={"symmetric": True})
    assert reading.relations["country_capital_city"].symmetric is True


def test_a_sound_file_has_nothing_to_note(path):
    assert notes(reading_of(path)) == {}


def test_all_files_of_a_folder_and_those_below_are_read(tmp_path):
    write_json(tmp_path / "factual" / "a.json", RELATION)
    write_json(tmp_path / "bias" / "b.json", {**RELATION, "name": "name gender"})
    assert set(read(tmp_path).relations) == {"country_capital_city", "name_gender"}


def test_files_of_a_folder_that_hold_no_relation_are_counted(tmp_path):
    write_json(tmp_path / "a.json", RELATION)
    write_json(tmp_path / "index.json", {"files": 1})
    reading = read(tmp_path)
    assert (len(reading.triples), notes(reading)) == (2, {"files that hold no relation": 1})


def test_doubly_escaped_characters_are_mended_and_counted(path):
    reading = reading_of(path, samples=[{"subject": "Brazil", "object": "Bras\\u00edlia"}, *SAMPLES])
    assert parts(reading.triples)[0] == ("country_capital_city", "Brazil", "Bras\u00edlia")
    assert notes(reading) == {ESCAPED: 1}


def test_characters_escaped_once_are_as_they_should_be(path):
    write(path, write_json(path, RELATION).read_text().replace("Ostra", "Bras\\u00edlia"))
    reading = read(path)
    assert (reading.triples[0].object, notes(reading)) == ("Bras\u00edlia", {})


@pytest.mark.xfail(
    strict=True, reason="the halves of a doubly escaped pair are not joined; utf-8 refuses them"
)
def test_a_doubly_escaped_pair_of_halves_is_one_character(path):
    reading = reading_of(path, samples=[{"subject": "\\ud83d\\ude00", "object": "smile"}])
    assert reading.triples[0].subject == "\U0001f600"


@pytest.mark.parametrize("template", ["The capital is", "{} and {} are"])
def test_templates_without_the_slot_once_are_passed_over_and_counted(path, template):
    reading = reading_of(path, prompt_templates=[template], prompt_templates_zs=[])
    assert reading.wordings == {"country_capital_city": Wordings()}
    assert notes(reading) == {"templates without {} once": 1}


@pytest.mark.parametrize("name", ["subject", "object"])
def test_samples_without_a_name_are_passed_over_and_counted(path, name):
    reading = reading_of(path, samples=[*SAMPLES, {**SAMPLES[0], name: ""}])
    assert len(reading.triples) == 2
    assert notes(reading) == {"samples without a subject or object": 1}


def test_a_byte_order_mark_and_blank_lines_are_accepted(path):
    write(path, "\ufeff\n\n" + write_json(path, RELATION).read_text() + "\n\n")
    assert len(read(path).triples) == 2


def test_malformed_json_is_refused_by_its_line(path):
    write(path, '{\n"name" "capital"}')
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}:2: not JSON"):
        read(path)


def test_a_list_is_refused(path):
    with pytest.raises(ValueError, match=r"capital\.json: expected an object, found list"):
        read(write_json(path, [RELATION]))


def test_a_file_without_a_name_is_refused(path):
    with pytest.raises(ValueError, match=r"capital\.json: 'name' is missing; found prompt_temp"):
        read(write_json(path, without(RELATION, "name")))


def test_a_single_file_without_samples_is_refused(path):
    with pytest.raises(ValueError, match=r"capital\.json: 'samples' must be a list"):
        read(write_json(path, without(RELATION, "samples")))


@pytest.mark.parametrize("samples", [[], {}, "none", None])
def test_samples_that_are_no_list_are_refused(path, samples):
    with pytest.raises(ValueError, match=r"capital\.json: 'samples' must be a list"):
        reading_of(path, samples=samples)


@pytest.mark.parametrize("name", ["subject", "object"])
def test_a_missing_field_is_refused_by_its_sample(path, name):
    with pytest.raises(ValueError, match=rf"capital\.json: sample 2: '{name}' is missing"):
        reading_of(path, samples=[SAMPLES[0], without(SAMPLES[1], name)])


@pytest.mark.parametrize("name", ["subject", "object"])
def test_a_name_that_is_no_text_is_refused_by_its_sample(path, name):
    with pytest.raises(ValueError, match=rf"sample 2: '{name}' must be text, found list"):
        reading_of(path, samples=[SAMPLES[0], {**SAMPLES[1], name: ["x"]}])


def test_a_sample_that_is_no_object_is_refused_by_its_number(path):
    with pytest.raises(ValueError, match=r"sample 2: .*expected an object, found list"):
        reading_of(path, samples=[SAMPLES[0], ["Velmar", "Ostra"]])


@pytest.mark.parametrize("name", ["prompt_templates", "prompt_templates_zs"])
def test_templates_that_are_no_list_are_refused(path, name):
    with pytest.raises(ValueError, match=rf"capital\.json: '{name}' must be a list of texts"):
        reading_of(path, **{name: "The capital of {} is"})


def test_properties_that_are_no_object_are_refused(path):
    with pytest.raises(ValueError, match=r"capital\.json: 'properties' must be an object"):
        reading_of(path, properties=["factual"])


@pytest.mark.xfail(strict=True, reason="the relation id is empty where the name has no letter")
def test_a_name_without_letters_is_refused(path):
    with pytest.raises(ValueError, match="capital.json"):
        reading_of(path, name="--")


def test_the_real_files_are_read():
    reading = read(real("lre"))
    assert len(reading.triples) == 975
    assert len(reading.relations) == 5
    info = reading.relations["country_language"]
    assert (info.name, info.domain, info.range) == ("country language", "country", "language")
    assert notes(reading) == {ESCAPED: 2}


def test_the_language_of_countries_has_24_facts_and_14_answers():
    path = str(real("lre") / "country_language.json")
    world = PublicWorldConfig("lre", path).build()
    assert (len(world.facts), len(world.candidates["country_language"])) == (24, 14)
