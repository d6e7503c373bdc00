"""Real trainings: ``python train.py experiment=smoke``, killed, resumed, repeated and compared.

All runs of this module are started by the fixture ``runs``, two at a time, on one thread each; a
test waits for those that it needs.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from coemerge.lm.checkpoint_manifest import list_checkpoints, read_manifest
from coemerge.lm.checkpoints import weights_sha256
from coemerge.statistics.thresholds import THETA
from coemerge.tables.store import read_table
from tests.conftest import ROOT

LIMIT_S = 240.0  # for one process, on a machine that does other things too
# The same for all runs that are compared. A small resume_every, so that kills fall in between.
COMMON = (
    "experiment=smoke",
    "trainer.threads=1",
    "trainer.resume_every=7",
    "end.study=false",  # it has tests of its own
)
DEAD_END = "http://127.0.0.1:9"  # nothing listens: whoever asks the network gets an error
TIMINGS = ["tokens_per_s"]

TABLES = {  # design 4 and 5
    "training": "step tokens_seen loss lr grad_norm tokens_per_s",
    "exposure": "step fact_id task template_id form n_documents",
    "prompt_scores": "step fact_id task template_id split options n_rotations p_first p_full nll "
    "chance score accuracy",
    "acquisition": "run_id seed step tokens_seen fact_id relation arm task split options n_prompts "
    "p_first nll chance score accuracy exposures",
}
KEYS = {  # design 4
    "run_id", "status", "seed", "fingerprint", "final_weights_sha256", "versions", "git_commit",
    "git_dirty", "data_hash", "score", "device", "precision", "threads", "steps", "tokens",
    "wall_s", "callbacks_wall_s",
}  # fmt: skip


def environment() -> dict[str, str]:
    """Ours without what would excuse a fault: no offline switches, no network."""
    ours = ("WANDB", "COEMERGE", "HYDRA", "HF_", "TRANSFORMERS")
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(ours)}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD_END)
    return {**kept, **proxies, "NO_PROXY": "localhost,127.0.0.1", "OMP_NUM_THREADS": "1"}


@dataclass
class Ended:
    """A process that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


class Process:
    """``python train.py ...`` in the background, its working directory an empty folder."""

    def __init__(self, artifacts: Path, *overrides: str) -> None:
        self._logs = artifacts.parent / f"logs-{time.monotonic_ns()}"
        here = artifacts.parent / "here"
        for folder in (self._logs, here):
            folder.mkdir(parents=True, exist_ok=True)
        with (self._logs / "out").open("w") as out, (self._logs / "err").open("w") as err:
            self.popen = subprocess.Popen(
                [sys.executable, ROOT / "train.py", *overrides, f"paths.artifacts={artifacts}"],
                cwd=here,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Raises AssertionError if the process ends before the condition holds."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert self.popen.poll() is None, f"ended too early:\n{self.read('err')}"
            assert time.monotonic() < deadline, "took too long"
            time.sleep(0.02)

    def end(self, sent: signal.Signals | None = None) -> Ended:
        """Waits for the end, after a signal if one is given."""
        try:
            if sent is not None:
                assert self.popen.poll() is None, "ended before it could be interrupted"
                self.popen.send_signal(sent)
            code = self.popen.wait(timeout=LIMIT_S)
        finally:
            self.popen.kill()
            self.popen.wait()
        return Ended(code, self.read("out"), self.read("err"))

    def read(self, name: str) -> str:
        return (self._logs / name).read_text(encoding="utf-8", errors="replace")


@dataclass
class Run:
    """A run directory and how the processes that worked on it ended."""

    directory: Path
    ended: list[Ended] = field(default_factory=list)

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))

    @property
    def weights(self) -> str:
        last = self.ended[-1]
        assert last.code == 0, last.output[-3000:]
        return str(self.manifest["final_weights_sha256"])

    @property
    def checkpoints(self) -> list[Path]:
        return list_checkpoints(self.directory / "checkpoints")

    def n_finished_checkpoints(self) -> int:
        return len(list(self.directory.glob("checkpoints/step-*/manifest.json")))

    def has_resume_state(self) -> bool:
        return (self.directory / "resume" / "last.ckpt").is_file()

    def table(self, name: str) -> pd.DataFrame:
        return read_table(self.directory / "tables" / f"{name}.parquet").to_pandas()


def train_at_once(artifacts: Path, *overrides: str) -> Run:
    """One training from beginning to end; the run directory is the only new one."""
    before = set(artifacts.glob("runs/*"))
    name = next((o.removeprefix("run_id=") for o in overrides if o.startswith("run_id=")), None)
    ended = Process(artifacts, *COMMON, *overrides).end()
    assert ended.code == 0, ended.output[-3000:]
    if name is None:
        (directory,) = set(artifacts.glob("runs/smoke-seed*")) - before
    else:
        directory = artifacts / "runs" / name
    return Run(directory, [ended])


def train_with_interruptions(
    artifacts: Path,
    name: str,
    interruptions: list[tuple[signal.Signals, Callable[[Run], bool]]],
    resume: bool = True,
) -> Run:
    """Interrupted as soon as each condition holds, then resumed to the end."""
    run = Run(artifacts / "runs" / name)
    overrides = (*COMMON, f"run_id={name}")
    for index, (sent, condition) in enumerate(interruptions):
        process = Process(artifacts, *overrides, *(["resume=true"] if index else []))
        try:
            process.wait_until(lambda: condition(run))  # noqa: B023
        except BaseException:
            process.popen.kill()
            raise
        run.ended.append(process.end(sent))
    if resume:
        run.ended.append(Process(artifacts, *overrides, "resume=true").end())
    return run


def after_checkpoints(n: int, needs_state: bool = True) -> Callable[[Run], bool]:
    return lambda run: (
        run.n_finished_checkpoints() >= n and (run.has_resume_state() or not needs_state)
    )


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "artifacts"


@pytest.fixture(scope="module")
def runs(artifacts: Path) -> Iterator[dict[str, Future[Run]]]:
    """The trainings, in the order in which they are started."""
    second = artifacts.parent / "second" / "artifacts"
    pool = ThreadPoolExecutor(max_workers=2)
    first = pool.submit(train_at_once, artifacts)
    again = pool.submit(train_at_once, second)

    def beside(function: Callable[..., Run], *arguments: Any) -> Future[Run]:
        """Shares the data set of the first run, hence starts after it."""

        def job() -> Run:
            first.result()
            return function(artifacts, *arguments)

        return pool.submit(job)

    kill, term = signal.SIGKILL, signal.SIGTERM
    kills = [(kill, after_checkpoints(4)), (kill, after_checkpoints(6))]
    terms = [(term, after_checkpoints(3, needs_state=False))]
    yield {
        "first": first,
        "again": again,
        "killed": beside(train_with_interruptions, "killed", kills),
        "silent": beside(train_at_once, "callbacks=none", "run_id=silent"),
        "other_seed": beside(train_at_once, "seed=1"),
        "terminated": beside(train_with_interruptions, "terminated", terms, False),
    }
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def first(runs: dict[str, Future[Run]]) -> Run:
    return runs["first"].result()


@pytest.fixture(scope="module")
def killed(runs: dict[str, Future[Run]]) -> Run:
    return runs["killed"].result()


# --- one seed, one result --------------------------------------------------------------------


def test_two_runs_of_one_seed_end_with_the_same_weights(first: Run, runs: dict[str, Future[Run]]):
    again = runs["again"].result()  # its data set was built anew

    assert again.directory.parents[1] != first.directory.parents[1]
    assert again.weights == first.weights
    assert again.manifest["data_hash"] == first.manifest["data_hash"]
    assert again.manifest["fingerprint"] == first.manifest["fingerprint"]
    assert again.directory.name == first.directory.name


def test_two_runs_of_one_seed_write_the_same_tables(first: Run, runs: dict[str, Future[Run]]):
    assert_same_tables(first, runs["again"].result())


def test_without_callbacks_the_weights_are_the_same(first: Run, runs: dict[str, Future[Run]]):
    silent = runs["silent"].result()

    assert silent.weights == first.weights
    assert [path.name for path in silent.directory.glob("tables/*")] == ["facts.parquet"]
    assert silent.checkpoints == []


def test_another_seed_gives_another_model(first: Run, runs: dict[str, Future[Run]]):
    other = runs["other_seed"].result()

    assert other.weights != first.weights
    assert other.manifest["data_hash"] != first.manifest["data_hash"]
    assert other.manifest["seed"] == 1
    assert set(other.table("acquisition")["seed"]) == {1}


# --- interruptions ---------------------------------------------------------------------------


def assert_same_tables(left: Run, right: Run) -> None:
    """Equal to the last bit, but for timings and the run's name."""
    for name in TABLES:
        tables = [
            run.table(name).drop(columns=[*TIMINGS, "run_id"], errors="ignore")
            for run in (left, right)
        ]
        pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_run_killed_twice_ends_with_the_same_weights(first: Run, killed: Run):
    assert [e.code for e in killed.ended] == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert killed.weights == first.weights


def test_a_run_killed_twice_writes_the_same_tables(first: Run, killed: Run):
    assert_same_tables(first, killed)


def test_a_run_killed_twice_keeps_the_same_checkpoints(first: Run, killed: Run):
    found = [
        [(d.name, read_manifest(d).weights_sha256) for d in run.checkpoints]
        for run in (first, killed)
    ]

    assert found[0] == found[1]


def test_a_run_killed_twice_leaves_nothing_half_done(killed: Run):
    assert killed.manifest["status"] == "finished"
    names = {str(path.relative_to(killed.directory)) for path in killed.directory.rglob("*")}
    leftovers = {n for n in names if re.search(r"\.(tmp|parts|trash|building)\b", n)}
    assert not {n for n in leftovers if not n.startswith("wandb")}


def test_sigterm_ends_with_143_and_marks_the_run_interrupted(runs: dict[str, Future[Run]]):
    terminated = runs["terminated"].result()

    assert [e.code for e in terminated.ended] == [128 + signal.SIGTERM]
    assert terminated.manifest["status"] == "interrupted"
    assert "Traceback" not in terminated.ended[0].output


# --- what is there already -------------------------------------------------------------------


def snapshot(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): path.stat().st_mtime_ns
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_resuming_a_finished_run_prints_its_summary_and_changes_nothing(
    first: Run, artifacts: Path
):
    before = snapshot(first.directory)

    ended = Process(artifacts, *COMMON, "resume=true").end()

    assert ended.code == 0
    assert first.weights[:16] in ended.stdout
    for task in first.table("acquisition")["task"].unique():
        assert task in ended.stdout
    assert ended.stdout.strip() in first.ended[0].stdout  # the same that its training ended with
    assert snapshot(first.directory) == before


@pytest.mark.parametrize(
    ("overrides", "culprits"),
    [
        ([], ["resume=true", "overwrite=true"]),
        (["optimizer.lr=0.001", "resume=true"], ["fingerprint", "overwrite=true"]),
    ],
    ids=["neither resume nor overwrite", "another fingerprint"],
)
def test_an_existing_run_is_refused(
    first: Run, artifacts: Path, overrides: list[str], culprits: list[str]
):
    before = snapshot(first.directory)

    ended = Process(artifacts, *COMMON, f"run_id={first.directory.name}", *overrides).end()

    assert ended.code not in (0, -9)
    assert "Traceback" not in ended.output
    for culprit in (first.directory.name, *culprits):
        assert culprit in ended.stderr
    assert snapshot(first.directory) == before


# --- what a run leaves behind (design 4) -----------------------------------------------------


def test_the_run_is_named_after_experiment_seed_and_overrides(first: Run):
    assert re.fullmatch(r"smoke-seed0-[0-9a-f]{6}", first.directory.name)
    assert first.manifest["run_id"] == first.directory.name


def test_the_run_directory_holds_what_design_4_lists(first: Run):
    names = {path.name for path in first.directory.iterdir()}

    assert {"config.yaml", "manifest.json", "tables", "checkpoints", "resume", "wandb"} <= names
    assert first.has_resume_state()
    assert "lightning_logs" not in names
    tables = {path.stem for path in (first.directory / "tables").iterdir()}
    assert tables >= set(TABLES)


def test_nothing_is_written_where_the_command_was_called(first: Run, artifacts: Path):
    assert list((artifacts.parent / "here").iterdir()) == []
    assert {path.name for path in artifacts.iterdir()} == {"runs", "data"}


def test_the_manifest_says_what_was_done(first: Run):
    manifest = first.manifest
    flat = {**manifest, **manifest.get("execution", {})}

    assert set(flat) >= KEYS
    assert manifest["status"] == "finished"
    assert manifest["steps"] == first.table("acquisition")["step"].max()
    assert manifest["tokens"] == first.table("acquisition")["tokens_seen"].max()
    assert flat["threads"] == 1
    assert re.fullmatch("[0-9a-f]{64}", manifest["final_weights_sha256"])
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["wall_s"] > 0


def test_the_configuration_is_kept_resolved(first: Run, artifacts: Path):
    text = (first.directory / "config.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)

    assert "${" not in text
    assert "???" not in text
    assert config["experiment_name"] == "smoke"
    assert config["trainer"]["resume_every"] == 7
    assert config["paths"]["artifacts"] == str(artifacts)
    assert Path(config["prompts"]["templates_dir"]).is_dir()


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_the_columns_of_the_design_and_their_origin(first: Run, name: str):
    schema = pq.read_schema(first.directory / "tables" / f"{name}.parquet")

    assert schema.names == TABLES[name].split()
    origin = json.loads(schema.metadata[b"coemerge"])
    assert origin["schema_version"] >= 1
    assert origin["run_id"] == first.directory.name


def test_the_facts_of_the_data_set_lie_beside_the_tables(first: Run):
    """A run's directory tells all that its reports need, wherever it is copied to."""
    data = Path(first.manifest["data_directory"])

    assert first.table("facts").equals(read_table(data / "facts.parquet").to_pandas())


def test_every_document_of_the_corpus_was_shown_and_logged(first: Run):
    data = Path(first.manifest["data_directory"])
    counts = json.loads((data / "manifest.json").read_text())["counts"]
    exposure = first.table("exposure")
    last = exposure[exposure["step"] == exposure["step"].max()]

    assert last["n_documents"].sum() == counts["documents"]  # T-X2
    shown = last.groupby(["fact_id", "task"])["n_documents"].sum()
    planned = read_table(data / "plan.parquet").to_pandas()
    planned = planned.groupby(["fact_id", "task"])["n_documents"].sum()
    assert shown.to_dict() == planned[planned > 0].to_dict()


def test_exposures_only_grow(first: Run):
    keys = ["fact_id", "task", "template_id", "form"]
    exposure = first.table("exposure").sort_values("step")

    assert (exposure.groupby(keys)["n_documents"].diff().dropna() >= 0).all()


def test_facts_that_are_never_stated_were_never_shown(first: Run):
    rows = first.table("acquisition")

    assert (rows[rows["arm"] == "A5_never"]["exposures"] == 0).all()
    assert (rows[rows["step"] == 0]["exposures"] == 0).all()
    assert (rows[rows["arm"] == "A0_full"].groupby("step")["exposures"].min().iloc[-1]) > 0


def test_every_checkpoint_loads_with_from_pretrained(first: Run):
    hashes = []
    for directory in first.checkpoints:
        manifest = read_manifest(directory)
        model = AutoModelForCausalLM.from_pretrained(directory)
        tokenizer = AutoTokenizer.from_pretrained(directory)
        hashes.append(weights_sha256(model))
        assert hashes[-1] == manifest.weights_sha256
        assert len(tokenizer) == model.config.vocab_size
        assert manifest.config_hash == first.manifest["fingerprint"]

    assert hashes[-1] == first.weights
    assert len(set(hashes)) == len(hashes) >= 5


def test_checkpoints_begin_at_step_0_and_end_with_the_last(first: Run):
    steps = [read_manifest(d).step for d in first.checkpoints]

    assert steps[0] == 0
    assert steps[-1] == first.manifest["steps"]
    assert steps == sorted(set(first.table("acquisition")["step"]))
    names = sorted(path.name for path in (first.directory / "checkpoints").iterdir())
    assert names == [f"step-{step:08d}" for step in steps]


def history(run: Run) -> list[dict[str, Any]]:
    """What W&B has of the run, read by its own program."""
    (fragment,) = run.directory.glob("wandb/offline-run-*")
    program = Path(sys.executable).parent / "wandb"
    result = subprocess.run(
        [program, "leet", "inspect", "--json", fragment],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    records = [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
    return [r["history"]["item"] for r in records if r["type"] == "history"]


def test_wandb_shows_emergence_over_steps(first: Run):
    rows = history(first)
    table = first.table("acquisition")
    chosen = table[(table["split"] == "held_out_templates") & (table["options"] != "seen")]
    emerged = (chosen["score"] > THETA).groupby([chosen["task"], chosen["step"]]).mean()

    for task in table["task"].unique():
        name = f"acquisition/{task}/emerged_fraction"
        points = {int(r["step"]): r[name] for r in rows if name in r}
        assert points == pytest.approx(emerged[task].to_dict())
    assert all("tokens_seen" in r for r in rows if "train/loss" in r)


def test_wandb_stays_inside_the_run(first: Run):
    assert (first.directory / "wandb").is_dir()
    assert not list(first.directory.glob("wandb/run-*"))  # offline


# --- slower variations -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "condition", "code"),
    [
        (signal.SIGKILL, after_checkpoints(1, needs_state=False), -signal.SIGKILL),
        (signal.SIGTERM, after_checkpoints(5), 128 + signal.SIGTERM),
        (signal.SIGINT, after_checkpoints(5), 128 + signal.SIGINT),
    ],
    ids=["killed before there is a state to resume", "terminated", "stopped with Ctrl-C"],
)
def test_other_interruptions_are_resumed_exactly_too(
    first: Run, artifacts: Path, sent: signal.Signals, condition: Callable[[Run], bool], code: int
):
    name = f"interrupted-{sent.name}"
    run = train_with_interruptions(artifacts, name, [(sent, condition)])

    assert [e.code for e in run.ended] == [code, 0]
    assert run.weights == first.weights
    assert_same_tables(first, run)


@pytest.mark.slow
def test_a_sweep_makes_separate_runs(tmp_path: Path):
    """Both start at once and want the same data set, which neither finds."""
    artifacts = tmp_path / "artifacts"

    ended = Process(artifacts, "-m", *COMMON, "optimizer.lr=0.001,0.002").end()

    assert ended.code == 0, ended.output[-3000:]
    found = [Run(directory, [ended]) for directory in sorted(artifacts.glob("runs/*"))]
    assert len(found) == 2
    assert {run.manifest["status"] for run in found} == {"finished"}
    assert found[0].weights != found[1].weights
    for run in found:
        steps = [r["step"] for r in history(run) if "train/loss" in r]
        assert steps == run.table("training")["step"].tolist()
