"""Phrasings of one's own, beside those that come with the project."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from coemerge.prompts.templates import load_templates
from tests.conftest import ROOT

TEMPLATES = ROOT / "conf" / "prompts" / "templates"
CARDS = [f"Card {k} of [X] has" for k in "abcdefgh"]


def write(folder: Path, relation: str, **lists: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{relation}.yaml").write_text(yaml.safe_dump({"relation": relation, **lists}))
    return folder


def test_a_file_of_ones_own_adds_a_format_to_a_relation(tmp_path):
    own = write(tmp_path / "own", "instrument", multihop=CARDS)

    lists = load_templates(TEMPLATES, ["instrument"], 3, own).phrasings["instrument"]

    assert lists["multihop"] == tuple(CARDS)
    assert len(lists["question"]) == 10


def test_a_relation_of_ones_own_needs_the_core_formats(tmp_path):
    own = write(tmp_path / "own", "pet", question=[f"{q} [X]?" for q in "abcd"])

    with pytest.raises(ValueError, match=r"own/pet\.yaml: 'statement' needs a list"):
        load_templates(TEMPLATES, ["pet"], 3, own)


def test_a_relation_in_neither_place_is_missed_in_ones_own(tmp_path):
    with pytest.raises(ValueError, match=r"own/pet\.yaml: missing"):
        load_templates(TEMPLATES, ["pet"], 3, tmp_path / "own")


def test_ones_own_phrasings_count_for_the_data_set_where_there_are_some(smoke_spec, tmp_path):
    own = str(write(tmp_path / "own", "instrument", multihop=CARDS))
    added = dataclasses.replace(
        smoke_spec, prompts=dataclasses.replace(smoke_spec.prompts, own_templates_dir=own)
    )
    before = added.fingerprint()

    write(tmp_path / "own", "pet", multihop=CARDS)

    assert len({smoke_spec.fingerprint(), before, added.fingerprint()}) == 3


def test_a_format_without_phrasings_is_named_with_its_relation(compose_settings):
    with pytest.raises(ValueError, match=r"multihop needs 'multihop' phrasings of language"):
        compose_settings(
            "experiment=smoke", "corpus.plan.tasks=[completion,multihop]",
            "+corpus.plan.documents.multihop=8", "world.use=[language,located_in]",
            "world.relations.language.range=city", "world.relations.language.bridge=located_in",
        )  # fmt: skip


def test_a_format_without_a_cue_is_named(compose_settings):
    with pytest.raises(ValueError, match=r"prompts\.cues\.multihop: missing"):
        compose_settings(
            "experiment=smoke", "corpus.plan.tasks=[completion,multihop]",
            "+corpus.plan.documents.multihop=8", "~prompts.cues.multihop",
        )  # fmt: skip
