"""Bad input on the command line: told at once, in one line, with the culprit and no traceback."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

SECONDS = 15.0  # 3 on an idle machine (design 8); tests may share theirs
HEAVY = ("torch", "lightning", "transformers")


def run_script(script: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COEMERGE", "HYDRA"))}
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result, time.perf_counter() - started


def assert_refused(
    result: subprocess.CompletedProcess[str], elapsed: float, *culprits: str
) -> None:
    assert result.returncode not in (0, -9, -15)
    output = result.stdout + result.stderr
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1, output
    for culprit in culprits:
        assert culprit in lines[0]
    assert elapsed < SECONDS


@pytest.mark.parametrize(
    ("arguments", "culprits"),
    [
        (["experiment=smok"], ["experiment", "smok", "did you mean 'smoke'"]),
        (["experiment=smoke", "model=gpt2_tny"], ["model", "gpt2_tny", "gpt2_tiny"]),
        (["experiment=smoke", "optimizer.lrr=1"], ["lrr", "did you mean", "lr'"]),
        (["experiment=smoke", "optimzer.lr=1"], ["optimzer", "did you mean", "optimizer"]),
        (["experiment=smoke", "trainer.max_stps=1"], ["max_stps", "did you mean", "max_steps"]),
        (["experiment=smoke", "trainer.max_steps=-5"], ["trainer.max_steps", "-5"]),
        (["experiment=smoke", "+corpus.plan.arms.shares.A77_lost=1"], ["A77_lost", "A0_full"]),
        (["experiment=smoke", "corpus.plan.tasks=[mcqq]"], ["mcqq", "mcqa"]),
        (["experiment=smoke", "prompts.templates_dir=/no/templates"], ["/no/templates"]),
        (["experiment=smoke", "world.lexicon_path=/no/words.yaml"], ["/no/words.yaml"]),
        (["--experiment", "smoke"], ["--experiment", "experiment="]),
        (["--experiment=smoke"], ["--experiment", "experiment="]),
        (["experiment=smoke", "optimizer.lr=[1"], ["optimizer.lr"]),
        (["experiment=smoke", "seed"], ["seed"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_faulty_arguments_are_refused_in_one_line(
    tmp_path: Path, arguments: list[str], culprits: list[str]
):
    artifacts = tmp_path / "artifacts"

    result, elapsed = run_script("train.py", *arguments, f"paths.artifacts={artifacts}")

    assert_refused(result, elapsed, *culprits)
    assert not artifacts.exists()


@pytest.mark.parametrize(
    ("override", "expected"),
    [("optimizer.lr=abc", "float|number"), ("trainer.max_steps=1.5", "int|whole")],
)
def test_a_wrong_type_is_told_with_the_right_one(tmp_path: Path, override: str, expected: str):
    result, elapsed = run_script("train.py", override, f"paths.artifacts={tmp_path}")

    assert_refused(result, elapsed, *override.split("="))
    assert re.search(expected, result.stderr, flags=re.IGNORECASE)


def test_artifacts_that_are_a_file_are_refused(tmp_path: Path):
    path = tmp_path / "artifacts"
    path.write_text("not a directory")

    result, elapsed = run_script("train.py", "experiment=smoke", f"paths.artifacts={path}/below")

    assert_refused(result, elapsed, "paths.artifacts", str(path))


def test_a_target_that_does_not_exist_is_named(tmp_path: Path):
    """Needs the callback's module, hence comes later, but before any training."""
    result, _ = run_script(
        "train.py",
        "experiment=smoke",
        "callbacks.progress._target_=coemerge.callbacks.progres.Progress",
        "logger=none",
        f"paths.artifacts={tmp_path}",
    )

    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "Traceback" not in output
    assert "coemerge.callbacks.progres" in output
    assert not list(tmp_path.glob("runs/*/checkpoints/*"))


def test_debug_shows_the_traceback(tmp_path: Path):
    result, _ = run_script(
        "train.py", "trainer.max_steps=-5", "debug=true", f"paths.artifacts={tmp_path}"
    )

    assert result.returncode != 0
    assert "Traceback" in result.stderr
    assert "trainer.max_steps" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "culprits"),
    [
        (["study=emergnce", "run=x"], ["emergnce", "emergence"]),
        (["run=/no/such/run"], ["/no/such/run"]),
        ([], ["run"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_faulty_analyses_are_refused_in_one_line(arguments: list[str], culprits: list[str]):
    result, elapsed = run_script("analyze.py", *arguments)

    assert_refused(result, elapsed, *culprits)


CHECK = """
import sys
from pathlib import Path
from hydra import compose, initialize_config_dir
from coemerge.app.schema import register
from coemerge.app.settings import read_settings

root, artifacts = sys.argv[1:3]
BAD = [
    ["trainer.max_steps=-5"], ["optimizer.lr=-1"], ["seed=-1"], ["resume=maybe"], ["device=gpu"],
    ["corpus.plan.tasks=[mcqq]"], ["+corpus.plan.arms.shares.A77=1"],
    ["prompts.templates_dir=/no/templates"], ["+callbacks.mine.every=3"],
    ["corpus.option_sets=some"], ["score.base=best"], ["run_id=a/b"],
    ["paths.artifacts=" + artifacts + "/file/below"], ["world.lexicon_path=/no/words.yaml"],
    ["world.types.person.size=0"],
]
Path(artifacts, "file").touch()
register()
for bad in BAD:
    with initialize_config_dir(root + "/conf", version_base="1.3"):
        config = compose("train", ["experiment=smoke", *bad])
    try:
        read_settings(config, bad)
    except (ValueError, FileNotFoundError) as error:
        continue
    print("accepted:", bad)

# an existing run is refused by then, too
from coemerge.app.run_directory import open_run, update_manifest

with initialize_config_dir(root + "/conf", version_base="1.3"):
    config = compose("train", ["experiment=smoke", "paths.artifacts=" + artifacts])
settings = read_settings(config, [])
directory = Path(artifacts, "runs", "smoke-seed0")
directory.mkdir(parents=True)
update_manifest(directory, status="finished", fingerprint="other")
try:
    with open_run(settings):
        print("opened")
except ValueError:
    pass
print("loaded:", *sorted({m.split(".")[0] for m in sys.modules} & set(sys.argv[3:])))
"""


def test_bad_input_is_refused_before_anything_heavy_is_imported(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, "-c", CHECK, str(ROOT), str(tmp_path), *HEAVY],
        cwd=ROOT,
        env={**os.environ, "COEMERGE_ROOT": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "loaded:"
