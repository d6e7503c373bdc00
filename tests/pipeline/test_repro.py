"""``dvc repro`` from an empty clone to the report, with the smoke profile, and what it repeats.

Tests share one pipeline, and leave it as they found it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clones import copy_checkout

LIMIT_S = 1800  # of a command, on a machine that does other things too
RUN = Path("artifacts") / "runs" / "smoke-seed0"
STUDY = Path("conf") / "study" / "co_emergence.yaml"
STUDIES = {
    "co_emergence": RUN,
    "task_localization": RUN,
    "query_localization": RUN,
    "entity_relation": RUN.with_name("sides"),
    "knowledge_neurons": RUN.with_name("syntax"),
}


class Checkout:
    """A repository of its own, in which commands run as a user would run them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COEMERGE", "HYDRA"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, "PYTHONPATH": str(self.directory / "src")}

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.directory, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        """What was printed. Fails where the command did."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, f"{command}: {output[-6000:]}"
        return output

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def repro(self, *arguments: str) -> tuple[set[str], str]:
        """(stages that ran, what was printed)."""
        output = self.dvc("repro", *arguments)
        return set(re.findall(r"Running stage '(.+)'", output)), output

    def git(self, *arguments: str) -> str:
        return self.run("git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "-qm", "all")

    def read(self, path: Path) -> str:
        return (self.directory / path).read_text(encoding="utf-8")

    def write(self, path: Path, text: str) -> None:
        (self.directory / path).write_text(text, encoding="utf-8")

    def status(self) -> str:
        return str(json.loads(self.read(RUN / "manifest.json"))["status"])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The files of this checkout, as git has them or will have them, run from data to report."""
    checkout = Checkout(tmp_path_factory.mktemp("pipeline") / "clone")
    copy_checkout(checkout.directory)
    text = checkout.read(Path("dvc.yaml"))
    assert "conf/pipeline/fact_injection.yaml" in text
    checkout.write(Path("dvc.yaml"), text.replace("pipeline/fact_injection", "pipeline/smoke"))
    checkout.git("init", "-q")
    checkout.commit()
    checkout.repro()
    checkout.commit()
    return checkout


@pytest.mark.slow
def test_everything_is_made_and_a_second_repro_does_nothing(pipeline: Checkout):
    directory = pipeline.directory
    assert (directory / RUN / "report" / "index.html").stat().st_size > 10_000
    for study, run in STUDIES.items():
        assert (directory / run / "results" / study / "summary.json").is_file()
    assert pipeline.status() == "finished"

    assert "up to date" in pipeline.dvc("status")
    ran, output = pipeline.repro()

    assert not ran
    assert "up to date" in output
    assert pipeline.git("status", "--porcelain") == ""


@pytest.fixture
def fewer_paraphrases(pipeline: Checkout) -> Iterator[Checkout]:
    """The pipeline with one setting of one study changed, and after the test as it was."""
    before = pipeline.read(STUDY)
    assert "paraphrases: 3 " in before
    pipeline.write(STUDY, before.replace("paraphrases: 3 ", "paraphrases: 2 "))
    yield pipeline
    pipeline.write(STUDY, before)
    ran, _ = pipeline.repro()  # what it was before is in the cache
    assert not ran
    assert pipeline.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_a_changed_setting_of_a_study_repeats_that_study_and_the_report(
    fewer_paraphrases: Checkout,
):
    checkout = fewer_paraphrases
    status = checkout.dvc("status")
    assert re.findall(r"^(\S+):$", status, flags=re.MULTILINE) == ["study@co_emergence"]
    assert str(STUDY) in status

    ran, output = checkout.repro()

    assert ran == {"study@co_emergence", "report"}
    kept = set(re.findall(r"Stage '(.+)' didn't change", output))
    assert kept >= {f"train@{name}" for name in ("fact_injection", "entity_relation")}
    assert kept >= {f"study@{name}" for name in STUDIES if name != "co_emergence"}
    changes = json.loads(checkout.dvc("metrics", "diff", "--json"))
    (path,) = changes
    assert path == str(RUN / "results" / "co_emergence" / "metrics.json")
    found = changes[path]["interaction/raw/total"]
    assert found["diff"] == pytest.approx(found["new"] - found["old"])
    assert found["diff"] != 0
    table = checkout.dvc("metrics", "diff")
    assert all(word in table for word in ("HEAD", "workspace", "Change", "interaction/raw/total"))


@pytest.mark.slow
def test_every_study_shows_its_main_numbers(pipeline: Checkout):
    shown = json.loads(pipeline.dvc("metrics", "show", "--json"))[""]["data"]

    assert set(shown) == {str(run / "results" / s / "metrics.json") for s, run in STUDIES.items()}
    for found in shown.values():
        assert all(isinstance(value, float) for value in found["data"].values())
    assert sum(bool(found["data"]) for found in shown.values()) >= 3


@pytest.mark.slow
def test_what_was_pushed_is_pulled_into_another_clone_where_nothing_is_left_to_do(
    pipeline: Checkout, tmp_path: Path
):
    remote, other = tmp_path / "remote", Checkout(tmp_path / "other")
    pipeline.dvc("remote", "add", "--local", "-d", "here", str(remote))
    pipeline.dvc("push")
    pipeline.git("clone", "-q", ".", str(other.directory))
    assert not (other.directory / "data").exists()
    assert not (other.directory / "artifacts").exists()

    other.dvc("remote", "add", "--local", "-d", "here", str(remote))
    other.dvc("pull")

    ran, output = other.repro()
    assert not ran
    assert "up to date" in output
    page = other.read(RUN / "report" / "index.html")
    gone = pipeline.directory.rename(tmp_path / "gone")
    try:
        other.run(sys.executable, "analyze.py", "study=report", f"run={RUN}")
        assert other.read(RUN / "report" / "index.html") == page
        other.write(STUDY, other.read(STUDY).replace("paraphrases: 3 ", "paraphrases: 2 "))
        ran, _ = other.repro("study@co_emergence")  # opens the data set that was pulled
        assert ran == {"study@co_emergence"}
    finally:
        gone.rename(pipeline.directory)


@pytest.mark.slow
def test_a_stage_that_was_killed_goes_on_where_it_was(pipeline: Checkout):
    """The last one: it leaves a training of other settings."""
    experiment = Path("conf") / "experiment" / "smoke.yaml"
    text = pipeline.read(experiment)
    assert "warmup_steps: 10" in text
    pipeline.write(experiment, text.replace("warmup_steps: 10", "warmup_steps: 12"))
    before = json.loads(pipeline.read(RUN / "manifest.json"))
    began = time.time()
    process = pipeline.start(sys.executable, "-m", "dvc", "repro", "train@fact_injection")
    saved = pipeline.directory / RUN / "resume" / "last.ckpt"
    deadline = time.monotonic() + LIMIT_S
    while not (saved.is_file() and saved.stat().st_mtime > began):
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert pipeline.status() == "running"
    tried = saved.stat().st_mtime_ns

    ran, _ = pipeline.repro("train@fact_injection")

    assert "train@fact_injection" in ran
    assert pipeline.status() == "finished"
    after = json.loads(pipeline.read(RUN / "manifest.json"))
    assert after["fingerprint"] != before["fingerprint"]
    first = pipeline.directory / RUN / "checkpoints" / "step-00000000" / "manifest.json"
    assert first.stat().st_mtime_ns < tried, "trained from the beginning again"
