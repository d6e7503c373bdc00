"""What documents name is there: links lead somewhere, and commands are understood."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from coemerge.app.schema import register
from coemerge.app.study_settings import ALL, CONFIGS, check_settings, checked_studies
from tests.conftest import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLLOWED = ROOT / "docs" / "how-to"  # their commands are run, after what they write is written
# What the reader has to bring, and directories that trainings make: not there in a test.
BROUGHT = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)*\b|artifacts/|mine\.|/\w+/pythia|=gpt2\b")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(document: Path) -> list[str]:
    """Of our scripts and modules, in blocks and between backticks; continued lines joined."""
    text = document.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    lines += [" ".join(found.split()) for found in re.findall(r"`(python [^`]+)`", prose)]
    ours = r"(?:\w+=\S+ )*(python (?:(?:train|analyze)\.py|-m (?:coemerge|tests|benchmarks)).*)"
    return [found[1] for line in lines if (found := re.match(ours, line.strip()))]


def named_in() -> dict[str, str]:
    """command -> the first document that has it."""
    others = [path for path in DOCUMENTS if FOLLOWED not in path.parents]
    return {command: name(path) for path in reversed(others) for command in commands(path)}


COMMANDS = dict(sorted(named_in().items()))


def first_of_sweep(override: str) -> str:
    """``seed=0,1,2`` of a sweep is tried as ``seed=0``."""
    return override if re.search(r"[\[{('\"]", override) else override.split(",")[0]


def parts(command: str) -> tuple[str, list[str]]:
    """(script or module, overrides)."""
    words = shlex.split(command, comments=True)[1:]
    if words[0] == "-m":
        return words[1], words[2:]
    overrides = [word for word in words[1:] if re.match(r"[^-].*=(?!NAME$)", word)]
    return words[0], [first_of_sweep(word) if "-m" in words else word for word in overrides]


def composed(primary: str, overrides: list[str]) -> DictConfig:
    """Groups, keys and types are those that there are. Raises what hydra raises."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose(primary, overrides)
    OmegaConf.to_object(config)
    return config


def check_analysis(overrides: list[str]) -> None:
    resolved = OmegaConf.to_container(composed("analyze", overrides).study, resolve=True)
    assert isinstance(resolved, dict)
    settings = {str(key): value for key, value in resolved.items()}
    study = str(settings.pop("_target_")).rpartition(".")[2]
    if study == ALL:
        checked_studies(settings)
    elif study in CONFIGS:
        check_settings(study, {k: v for k, v in settings.items() if not is_brought(v)})


def is_brought(value: object) -> bool:
    return isinstance(value, str) and bool(BROUGHT.search(value))


def check(command: str) -> None:
    script, overrides = parts(command)
    if script == "train.py":
        composed("train", overrides)
    elif script == "analyze.py":
        check_analysis(overrides)
    else:
        assert find_spec(script), f"there is no module {script}"


def test_commands_are_found_in_blocks_and_in_text():
    assert {"README.md", "docs/co-emergence.md", "docs/while-training.md"} <= {*COMMANDS.values()}
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(
    "command", [pytest.param(c, id=f"{path}: {c[:60].strip()}") for c, path in COMMANDS.items()]
)
def test_a_command_of_a_document_is_understood(command: str):
    check(command)


@pytest.mark.parametrize(
    ("command", "culprit"),
    [
        ("python train.py experiment=smoke corpus.plan.document.mcqa=100", "document"),
        ("python train.py experiment=fact_injektion", "injektion"),
        ("python train.py -m experiment=smoke seed=zero,one", "zero"),
        ("python analyze.py study=co_emergence study.theta=0.5", "theta"),
        ("python analyze.py study=query_localization study.k=many", "many"),
        ("python -m coemerge.app.dashbord", "dashbord"),
    ],
)
def test_a_command_that_is_wrong_would_have_been_noticed(command: str, culprit: str):
    with pytest.raises((Exception, AssertionError)) as caught:
        check(command)
    assert culprit in str(caught.value)


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def broken_links(document: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.M | re.S)
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_to_what_is_there(document: Path):
    assert broken_links(document) == []


def test_a_broken_link_would_have_been_noticed(tmp_path: Path):
    (tmp_path / "a.md").write_text("# One `thing`, two\n[x](b.md) [y](#one-thing-two) [z](#three)")

    assert broken_links(tmp_path / "a.md") == ["b.md", "#three"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_targets_of_make_that_a_document_names_exist(document: Path):
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]+)", document.read_text("utf-8"), re.M))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))

    assert named <= known


def test_the_index_has_a_line_for_every_document():
    index = ROOT / "docs" / "README.md"
    linked = re.findall(r"^\* \[[^]]+\]\(([^)]+\.md)\): \S+", index.read_text("utf-8"), re.M)

    there = {p.relative_to(index.parent).as_posix() for p in DOCUMENTS[1:]} - {"README.md"}
    assert set(linked) == there
