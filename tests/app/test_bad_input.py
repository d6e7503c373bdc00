"""Bad input on a real command line, each in a process of its own. The cases, one by one, are in
``refusals``; here is what only a whole process shows."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.scripts import run_script

SECONDS = 15.0  # 3 on an idle machine (design 8); tests may share theirs


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
        (["experiment=smoke", "trainer.max_steps=-5"], ["trainer.max_steps", "-5"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_training_is_refused_in_one_line_from_start_to_end_of_its_process(
    tmp_path: Path, arguments: list[str], culprits: list[str]
):
    artifacts = tmp_path / "artifacts"

    result, elapsed = run_script("train.py", *arguments, f"paths.artifacts={artifacts}")

    assert_refused(result, elapsed, *culprits)
    assert not artifacts.exists()


def test_so_is_an_analysis():
    result, elapsed = run_script("analyze.py", "run=/no/such/run")

    assert_refused(result, elapsed, "/no/such/run")


@pytest.mark.parametrize(
    ("override", "expected"),
    [("optimizer.lr=abc", "float|number"), ("trainer.max_steps=1.5", "int|whole")],
)
def test_a_wrong_type_is_told_with_the_right_one(tmp_path: Path, override: str, expected: str):
    result, elapsed = run_script("train.py", override, f"paths.artifacts={tmp_path}")

    assert_refused(result, elapsed, *override.split("="))
    assert re.search(expected, result.stderr, flags=re.IGNORECASE)


def test_debug_shows_the_traceback(tmp_path: Path):
    result, _ = run_script(
        "train.py", "trainer.max_steps=-5", "debug=true", f"paths.artifacts={tmp_path}"
    )

    assert result.returncode != 0
    assert "Traceback" in result.stderr
    assert "trainer.max_steps" in result.stderr
