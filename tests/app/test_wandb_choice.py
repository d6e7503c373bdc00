"""What ``logger.wandb`` takes, and the group that runs end up in."""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from coemerge.app import study_results
from coemerge.app.analysis import Analysis, Series
from coemerge.app.identity import run_id, sweep_name
from coemerge.app.run_directory import read_run_manifest
from coemerge.app.sweep import VARIABLE
from coemerge.app.training import prepare_run
from coemerge.app.wandb_choice import TARGET, WandbChoice, read_wandb
from coemerge.corpus.dataset import Dataset
from coemerge.lm.series import Member
from coemerge.scoring.config import ScoreConfig
from tests.conftest import ROOT, ComposeSettings

SMOKE = "experiment=smoke"
SWEEP = ("experiment=smoke,fact_dose", "seed=0,1", "optimizer.lr=0.001")

JOBS = """
import hydra
from coemerge.app.schema import register
register()
@hydra.main(version_base="1.3", config_path={conf!r}, config_name="train")
def main(config):
    with open("told", "a") as file:
        print(config.experiment_name, config.seed, config.logger.wandb.group, file=file)
main()
"""


def entry(**keys: object) -> dict:
    return {"wandb": {"_target_": TARGET, **keys}}


def test_what_is_not_said_has_a_usual_value():
    assert read_wandb(entry()) == WandbChoice()
    assert read_wandb(entry(tags=["a"], entity="team")) == WandbChoice(tags=("a",), entity="team")


@pytest.mark.parametrize(
    "logger", [None, {}, {"wandb": None}, {"wandb": {"_target_": "lightning.X", "name": "y"}}]
)
def test_without_our_logger_nothing_is_logged(logger: dict | None):
    assert read_wandb(logger).mode == "disabled"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"projct": "x"}, r"unknown key logger\.wandb\.projct \(did you mean 'project'\?\)"),
        ({"mode": "onlin"}, r"logger\.wandb\.mode: 'onlin' is not one of offline, online"),
        ({"mode": None}, r"logger\.wandb\.mode: None"),
        ({"project": None}, r"logger\.wandb\.project: must not be null"),
        ({"project": "a/b"}, r"logger\.wandb\.project: 'a/b' must be a name"),
        ({"entity": "a?b"}, r"logger\.wandb\.entity: 'a\?b'"),
        ({"group": ""}, r"logger\.wandb\.group: ''"),
        ({"group": "x" * 129}, r"logger\.wandb\.group: .* at most 128"),
        ({"tags": "a,b"}, r"logger\.wandb\.tags: needs a list .*got 'a,b'"),
        ({"tags": [""]}, r"logger\.wandb\.tags: needs a list"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_named(keys: dict, message: str):
    with pytest.raises(ValueError, match=message):
        read_wandb(entry(**keys))


@pytest.mark.parametrize("override", ["+logger.wandb.projct=x", "logger.wandb.tags=a"])
def test_a_training_refuses_it_before_anything_heavy(
    compose_settings: ComposeSettings, override: str
):
    with pytest.raises(ValueError, match=r"logger\.wandb\.(projct|tags)"):
        compose_settings(SMOKE, override)


def test_the_group_is_no_part_of_a_runs_name(compose_settings: ComposeSettings):
    assert run_id(compose_settings(SMOKE, "logger.wandb.group=mine")) == "smoke-seed0"


# --- which group ----------------------------------------------------------------------------------


def group_of(directory: Path, dataset: Dataset, settings: ComposeSettings, *overrides: str) -> str:
    prepare_run(settings(SMOKE, *overrides), directory, "smoke-seed0", dataset)
    return (read_run_manifest(directory) or {})["group"]


def test_a_run_is_in_the_group_of_its_experiment_or_the_one_asked_for(
    compose_settings: ComposeSettings, smoke_dataset: Dataset, tmp_path: Path
):
    assert group_of(tmp_path / "a", smoke_dataset, compose_settings) == "smoke"
    asked = "logger.wandb.group=mine"
    assert group_of(tmp_path / "b", smoke_dataset, compose_settings, asked) == "mine"
    assert group_of(tmp_path / "c", smoke_dataset, compose_settings, "logger=none") == "smoke"


def test_a_run_of_a_sweep_that_goes_on_alone_stays_in_the_sweeps_group(
    compose_settings: ComposeSettings,
    smoke_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv(VARIABLE, "the-sweep")
    assert group_of(tmp_path, smoke_dataset, compose_settings) == "the-sweep"

    monkeypatch.delenv(VARIABLE)
    assert group_of(tmp_path, smoke_dataset, compose_settings, "resume=true") == "the-sweep"
    asked = "logger.wandb.group=mine"
    assert group_of(tmp_path, smoke_dataset, compose_settings, asked) == "mine"


@pytest.mark.parametrize(
    ("manifest", "asked", "group"),
    [
        ({"group": "the-sweep", "experiment": "smoke"}, None, "the-sweep"),
        ({"group": "the-sweep", "experiment": "smoke"}, "mine", "mine"),
        ({"experiment": "smoke"}, None, "smoke"),  # of a run without a group
        ({}, None, "there"),  # of models from elsewhere
    ],
)
def test_an_analysis_is_in_the_group_of_its_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, manifest: dict, asked: str | None, group: str
):
    told = []
    monkeypatch.setattr(study_results, "log_analysis", lambda *a, **k: told.append((a, k)))
    members = [Member("step-00000007", 7, tmp_path, "")]
    run = tmp_path if manifest else None
    series = Series("smoke-seed0", 0, members, ScoreConfig(), tmp_path, run)
    source = SimpleNamespace(
        series=series, run_id="a=b", manifest={**manifest, "data_hash": "c0" * 8}
    )
    wandb = asdict(WandbChoice(group=asked, entity="team"))
    analysis = Analysis("", [], [series], tmp_path / "there", "cpu", ROOT, {"k": 1}, wandb)

    study_results.track(analysis, "study", [source], {})

    (((_, name, of_group, config, *_), options),) = told
    assert (name, of_group, options["entity"]) == ("there-study", group, "team")
    (given,) = config["inputs"]
    assert given["steps"] == [7]
    if manifest:
        assert (given["data"], given["checkpoints"]) == ("data-c0c0c0c0c0c0", "a_b-checkpoints")


# --- sweeps ---------------------------------------------------------------------------------------


def test_a_sweep_has_a_name_that_a_repetition_has_too():
    name = sweep_name(SWEEP)

    assert re.fullmatch(r"smoke\+fact_dose-sweep-[0-9a-f]{6}", name)
    assert sweep_name([*reversed(SWEEP), "resume=true", "hydra.launcher.n_jobs=1"]) == name
    assert sweep_name([*SWEEP, "paths.artifacts=/x", "logger.wandb.mode=online"]) == name
    others = [SWEEP[:2], [*SWEEP[:1], "seed=0,1,2", SWEEP[2]], ["experiment=smoke", *SWEEP[1:]]]
    assert len({name, *map(sweep_name, others)}) == 4
    assert sweep_name(["seed=0,1"]).startswith("custom-sweep-")


def test_every_job_of_a_sweep_is_told_the_sweeps_name(tmp_path: Path):
    """In a process of its own: hydra, its launcher and its sweeper are the real ones."""
    script = tmp_path / "jobs.py"
    script.write_text(JOBS.format(conf=str(ROOT / "conf")))
    arguments = ["-m", "experiment=smoke,fact_dose", "seed=1", "hydra/launcher=basic"]
    result = subprocess.run(
        [sys.executable, script, *arguments], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "COEMERGE_ROOT": str(tmp_path)}, timeout=120, check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    name = sweep_name(arguments[1:3])
    lines = [line.split() for line in (tmp_path / "told").read_text().splitlines()]
    assert lines == [["smoke", "1", name], ["fact_dose", "1", name]]
    assert VARIABLE not in os.environ
