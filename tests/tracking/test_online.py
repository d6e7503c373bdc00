"""What arrives at a server, by way of a stand-in on loopback (``standin.py`` says what that is)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tracking.conftest import KEY, WANDB, fragments, online, records_of
from tests.tracking.standin import Server, standing_in

LIMIT_S = 300
ANALYSIS = """
from pathlib import Path
from coemerge.tracking.analysis_run import log_analysis
series = [{"step": 0, "co_emergence/other": 0.5}, {"step": 30, "co_emergence/other": 0.75}]
log_analysis(Path("here"), "smoke-seed0-co_emergence", "my group", {"thetas": [0.6]},
             {"co_emergence/failure_rate": 0.125}, series, {}, mode="online", project="mine",
             tags=("a", "b"), notes="a note")
"""
WITHOUT_LOGIN = """
from pathlib import Path
{imports}
try:
    {call}
except ConnectionError as error:
    print(error)
"""
OF_ANALYSES = (
    "from coemerge.tracking.analysis_run import log_analysis",
    "log_analysis(Path('here'), 'id', 'group', {}, {}, [], {}, mode='online')",
)
OF_TRAININGS = (
    "from coemerge.tracking.wandb_run import make_wandb_logger",
    "make_wandb_logger(Path('here'), 'id', {}, 'group', mode='online')",
)
DASHBOARD = """
import sys
from coemerge.app.dashboard import main
for more in ([], [], ["project=other"], ["url=new"], []):
    sys.argv[1:] = ["entity=me", "save=true", "paths.artifacts=here", *more]
    main()
"""


def run(server: Server, home: Path, *command: str | Path) -> str:
    """What a program printed that may reach the stand-in alone."""
    result = subprocess.run(
        command,
        cwd=home,
        env=online(server, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    told = result.stdout + result.stderr
    assert result.returncode == 0, told
    return told


def holding_the_key(*folders: Path) -> list[Path]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if KEY.encode() in path.read_bytes()]


def test_an_analysis_arrives_with_our_own_steps(server: Server, tmp_path: Path):
    told = run(server, tmp_path, sys.executable, "-c", ANALYSIS)
    (arrived,) = server.runs.values()

    assert list(server.runs) == ["smoke-seed0-co_emergence"]
    assert (arrived.project, arrived.group, arrived.job_type) == ("mine", "my group", "analysis")
    assert (arrived.tags, arrived.notes) == (["a", "b"], "a note")
    assert arrived.config["thetas"] == [0.6]
    assert arrived.values("co_emergence/other") == {0: 0.5, 30: 0.75}
    assert arrived.summary["co_emergence/failure_rate"] == 0.125
    assert arrived.exit_code == 0
    assert KEY not in told
    assert holding_the_key(tmp_path) == []


@pytest.fixture(scope="module")
def synced(kept_training: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """After ``wandb sync`` of both fragments of a run that went on."""
    home = tmp_path_factory.mktemp("synced")
    for part in fragments(kept_training):  # what is synced is marked: work on links
        (home / part.name).mkdir()
        for path in part.iterdir():
            (home / part.name / path.name).symlink_to(path)
    with standing_in(KEY) as server:
        told = run(server, home, WANDB, "sync", *sorted(home.iterdir()))
        yield server
        assert KEY not in told
        assert holding_the_key(home, kept_training) == []
        assert server.unknown == []


def test_an_offline_run_arrives_when_it_is_synced(synced: Server, kept_training: Path):
    (arrived,) = synced.runs.values()

    assert list(synced.runs) == ["smoke-seed0"]
    assert (arrived.project, arrived.group, arrived.job_type) == ("coemerge", "smoke", "train")
    assert arrived.tags == ["a", "b"]
    assert arrived.config["experiment_name"] == "smoke"
    logged = [
        record["history"]["item"]
        for part in fragments(kept_training)
        for record in records_of(part)
        if record["type"] == "history"
    ]
    losses = {int(row["step"]): row["train/loss"] for row in logged if "train/loss" in row}
    assert sorted(losses) == [1, 2, 3, 4]
    assert arrived.values("train/loss") == losses
    assert arrived.exit_code == 0


def test_synced_artifacts_are_one_version_for_each_checkpoint_and_no_files(synced: Server):
    models = [a for a in synced.artifacts.values() if a.kind == "model"]
    (data,) = [a for a in synced.artifacts.values() if a.kind == "dataset"]
    models.sort(key=lambda artifact: artifact.metadata["step"])

    assert all(artifact.committed for artifact in synced.artifacts.values())
    assert [a.metadata["step"] for a in models] == [0, 1, 2, 3, 4]
    assert all(f"step-{a.metadata['step']:08d}" in a.aliases for a in models)
    assert sum("latest" in a.aliases for a in models) == 1
    assert set(data.references) >= {"facts.parquet", "tokens.bin", "manifest.json"}
    for artifact in synced.artifacts.values():
        assert all(uri.startswith("file:///") for uri in artifact.references.values())
    uploaded = [name for run in synced.runs.values() for name in run.files]
    assert not [name for name in uploaded if name.endswith((".safetensors", ".bin", ".parquet"))]


def test_the_workspace_is_saved_once_and_then_replaced(server: Server, tmp_path: Path):
    told = run(server, tmp_path, sys.executable, "-c", DASHBOARD)
    lines = [line.split() for line in told.splitlines() if line.startswith("dashboard")]
    first, again, elsewhere, other, last = (url for _, url, _ in lines)

    assert [how for *_, how in lines] == ["(new)", "(replaced)", "(new)", "(new)", "(replaced)"]
    assert first == again != other == last
    assert "/me/other?" in elsewhere
    assert len(server.views) == 3
    sections = json.loads(server.views[f"nw-{first.split('=')[1]}-v"]["spec"])["section"]
    names = [s["name"] for s in sections["panelBankConfig"]["sections"]]
    assert names[:2] == ["Training", "Acquisition"]
    assert holding_the_key(tmp_path) == []
    assert KEY not in told


@pytest.mark.slow
def test_a_training_and_its_study_arrive_while_they_run(server: Server, tmp_path: Path):
    artifacts = tmp_path / "artifacts"
    told = run(
        server, tmp_path, sys.executable, str(ROOT / "train.py"), "experiment=smoke",
        "trainer.max_steps=4", "trainer.threads=1", "trainer.log_every=1", "end.checkpoints=2",
        "callbacks.localization=null", "logger.wandb.mode=online", "logger.wandb.entity=team",
        "logger.wandb.tags=[first]", f"paths.artifacts={artifacts}", "run_id=seen",
    )  # fmt: skip
    training, study = server.runs["seen"], server.runs["seen-co_emergence"]

    assert set(server.runs) == {"seen", "seen-co_emergence"}
    assert {(r.entity, r.group, r.exit_code) for r in (training, study)} == {("team", "smoke", 0)}
    assert (training.job_type, study.job_type) == ("train", "analysis")
    assert sorted(training.values("train/loss")) == [1, 2, 3, 4]
    assert training.config["trainer"]["max_steps"] == 4
    assert study.config["inputs"][0]["checkpoints"] == "seen-checkpoints"
    assert any(name.endswith(".png") for name in study.files)
    assert {a.name for a in server.artifacts.values() if a.kind == "model"} == {"seen-checkpoints"}
    assert list(artifacts.glob("runs/seen/wandb/run-*"))
    assert holding_the_key(tmp_path) == []
    assert KEY not in told


@pytest.mark.parametrize(
    ("imports", "call"),
    [OF_ANALYSES, pytest.param(*OF_TRAININGS, marks=pytest.mark.slow)],
    ids=["analysis", "training"],
)
def test_without_a_login_the_remedy_is_named(tmp_path: Path, imports: str, call: str):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "COEMERGE"))}
    code = WITHOUT_LOGIN.format(imports=imports, call=call)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**kept, "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert "run `wandb login`" in result.stdout
