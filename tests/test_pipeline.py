"""``dvc repro`` from an empty clone to the report, with the smoke profile."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT


def run(*command: str, cwd: Path, **environment: str) -> str:
    """What was printed. Fails where the command did."""
    result = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, f"{command}: {result.stdout[-2000:]}{result.stderr[-4000:]}"
    return result.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files of this checkout, as git has them or will have them, in a repository of its own."""
    target = tmp_path / "clone"
    names = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    pipeline = target / "dvc.yaml"
    text = pipeline.read_text(encoding="utf-8")
    assert "conf/pipeline/fact_injection.yaml" in text
    pipeline.write_text(text.replace("pipeline/fact_injection", "pipeline/smoke"), encoding="utf-8")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    run(*git, "init", "-q", cwd=target)
    run(*git, "add", ".", cwd=target)
    run(*git, "commit", "-qm", "all", cwd=target)
    return target


@pytest.mark.slow
def test_the_smoke_profile_runs_from_data_to_report_and_then_has_nothing_to_do(clone):
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        "COEMERGE_ROOT": str(clone),
    }
    dvc = (sys.executable, "-m", "dvc")

    run(*dvc, "repro", cwd=clone, **environment)

    results = clone / "artifacts" / "runs" / "smoke-seed0"
    assert (results / "report" / "index.html").stat().st_size > 10_000
    for study in ("co_emergence", "task_localization", "query_localization"):
        assert (results / "results" / study / "summary.json").is_file()
    for run_id, study in (("sides", "entity_relation"), ("syntax", "knowledge_neurons")):
        found = clone / "artifacts" / "runs" / run_id / "results" / study
        assert (found / "summary.json").is_file()
    assert json.loads((results / "manifest.json").read_text())["status"] == "finished"
    shown = json.loads(run(*dvc, "metrics", "show", "--json", cwd=clone, **environment))
    (metrics,) = shown[""]["data"].values()
    assert 0 <= metrics["data"]["interaction_share"] <= 1
    assert "up to date" in run(*dvc, "repro", cwd=clone, **environment)


def test_every_profile_names_an_experiment_and_its_run():
    for path in (ROOT / "conf" / "pipeline").glob("*.yaml"):
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))["profile"]
        assert (ROOT / "conf" / "experiment" / f"{profile['experiment']}.yaml").is_file()
        assert profile["run"] == f"artifacts/runs/{profile['experiment']}-seed0"


def test_every_stage_depends_on_files_that_are_there():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    made = {"data", "build/data"}
    for stage in pipeline["stages"].values():
        for dependency in stage["deps"]:
            known = dependency in made or dependency.startswith(
                ("${profile.run}", "${profile.sides_run}", "${profile.syntax_run}")
            )
            assert known or (ROOT / dependency).exists(), dependency
