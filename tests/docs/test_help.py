"""The help names what there is: every experiment and every study with one line, and no other."""

import re
from dataclasses import fields

import pytest
import yaml

from coemerge.app.study_settings import ALL, CONFIGS
from tests.conftest import ROOT

CONF = ROOT / "conf"
WITHOUT_SETTINGS = {"emergence", "report", "all"}  # and `all` has those of the others


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def told(script: str, heading: str) -> dict[str, str]:
    """name -> what the help says about it, under a heading."""
    text = yaml.safe_load((CONF / "hydra" / "help" / f"{script}.yaml").read_text("utf-8"))
    section = re.search(rf"^{heading}\n(.*?)\n\n", text["template"], re.M | re.S)
    assert section, f"the help of {script}.py has no section {heading!r}"
    return dict(re.findall(r"^  (\S+) +(.+)$", section[1], re.M))


@pytest.mark.parametrize(
    ("script", "heading", "group"),
    [("train", "experiments", "experiment"), ("analyze", "studies", "study")],
)
def test_the_help_has_a_line_for_each_and_for_no_other(script, heading, group):
    found = told(script, heading)

    missing, gone = set(options(group)) - found.keys(), found.keys() - set(options(group))
    where = f"conf/hydra/help/{script}.yaml"
    assert not missing, f"{where}: say in a line what {sorted(missing)} is"
    assert not gone, f"{where}: there is no conf/{group}/ file for {sorted(gone)}"
    assert all(len(words.split()) > 2 for words in found.values()), found


@pytest.mark.parametrize("study", sorted(set(options("study")) - WITHOUT_SETTINGS))
def test_every_setting_of_a_study_is_in_its_file_and_every_key_is_a_setting(study):
    keys = set(yaml.safe_load((CONF / "study" / f"{study}.yaml").read_text("utf-8")))

    assert study in CONFIGS, f"add {study!r} to CONFIGS in src/coemerge/app/study_settings.py"
    settings = {field.name for field in fields(CONFIGS[study])}
    assert keys - {"_target_", "defaults"} == settings


@pytest.mark.parametrize("study", options("study"))
def test_a_study_is_called_by_its_name(study):
    """Results, W&B runs and the report go by it."""
    file = yaml.safe_load((CONF / "study" / f"{study}.yaml").read_text("utf-8"))

    assert file["_target_"].rpartition(".")[2] == (ALL if study == "all" else study)
