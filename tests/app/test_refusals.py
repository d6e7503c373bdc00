"""Every case of the refusal table: told at once, in words, with the culprit; nothing is left."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.refusal_cases import CASES
from tests.app.refusal_cases.case import BUILD
from tests.conftest import ROOT

ENOUGH = 400
OFTEN = 3  # of so many cases `make test` tries one, `make test-all` tries all
SLOW = "took "  # seconds are for an idle machine; tests may share theirs


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    path: Path = tmp_path_factory.mktemp("refusals") / "table.json"
    is_all = any(item.get_closest_marker("slow") for item in request.session.items
                 if item.path == request.path)  # fmt: skip
    command = [sys.executable, "-m", "tests.app.refusals", str(path), "1" if is_all else str(OFTEN)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    return {outcome["name"]: outcome for outcome in json.loads(path.read_text())}


def test_there_are_enough_cases_each_with_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) >= ENOUGH


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(case.name, marks=[pytest.mark.slow] if i % OFTEN else [])
        for i, case in enumerate(CASES)
    ],
)
def test_refused_before_anything_heavy_with_the_culprit_named(outcomes, name: str):
    assert [fault for fault in outcomes[name]["faults"] if not fault.startswith(SLOW)] == []


def test_nearly_all_are_refused_at_once_even_here(outcomes):
    slow = [name for name, o in outcomes.items() if any(f.startswith(SLOW) for f in o["faults"])]

    assert len(slow) <= len(outcomes) // 10, slow


def test_every_command_is_tried():
    assert {case.script for case in CASES} == {"train.py", "analyze.py", BUILD}
    named = {a for case in CASES for a in case.arguments if a.startswith("study=")}
    assert named >= {f"study={path.stem}" for path in (ROOT / "conf" / "study").glob("*.yaml")}
