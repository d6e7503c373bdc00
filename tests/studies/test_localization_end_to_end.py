"""``python analyze.py study=task_localization``: from a small run to tables and page; all slow."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.scripts import run_script

pytestmark = pytest.mark.slow
# The smoke run knows nothing: with a threshold of 0 any fact will do.
SMALL = ("study.threshold=0", "study.n_facts=3", "study.masks.steps=4", "study.random_draws=2",
         "study.bootstrap_draws=50", "device=cpu", "logger=none")  # fmt: skip


def analyze(*arguments: str):
    return run_script("analyze.py", "study=task_localization", *arguments, timeout=600)[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    artifacts = tmp_path_factory.mktemp("artifacts")
    for seed in (0, 1):
        result, _ = run_script(
            "train.py", "experiment=smoke", f"seed={seed}", f"run_id=smoke-seed{seed}",
            "logger=none", "trainer.threads=1", "end.study=false", f"paths.artifacts={artifacts}",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
    return [artifacts / "runs" / f"smoke-seed{seed}" for seed in (0, 1)]


def test_a_run_gets_tables_and_a_page_and_a_second_analysis_is_quick(runs):
    result = analyze(f"run={runs[0]}", *SMALL)

    assert result.returncode == 0, result.stderr
    results = runs[0] / "results" / "task_localization"
    masks = pq.read_table(results / "masks.parquet").to_pandas()
    assert set(masks["variant"]) == {"exclusive", "free", "remask"}
    assert len(masks) == 3 * masks["fact_id"].nunique() * masks["task"].nunique()
    assert masks["fact_id"].nunique() == 3
    assert {"P1-d", "P1-e", "P1-f"} <= {
        row["id"] for row in json.loads((results / "summary.json").read_text())
    }
    assert "Where each fact lives" in (runs[0] / "report" / "index.html").read_text("utf-8")

    kept = sorted((runs[0] / "results" / "masks").rglob("*"))
    again = analyze(f"run={runs[0]}", *SMALL)
    assert again.returncode == 0, again.stderr
    assert sorted((runs[0] / "results" / "masks").rglob("*")) == kept
    assert pq.read_table(results / "masks.parquet").to_pandas().equals(masks)


def test_seeds_are_analysed_together(runs):
    artifacts = runs[0].parents[1]
    both = f"run=[{runs[0]},{runs[1]}]"

    result = analyze(both, "name=both", f"paths.artifacts={artifacts}", *SMALL)

    assert result.returncode == 0, result.stderr
    table = artifacts / "analyses" / "both" / "results" / "task_localization" / "masks.parquet"
    assert set(pq.read_table(table)["seed"].to_pylist()) == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("study.facts=[fact-9]",), ["study.facts", "fact-9"]),
        (("study.threshold=0.99",), ["facts are known in every task", "study.threshold"]),
        (("study.checkpoint=7",), ["study.checkpoint", "nearest"]),
        (("study.arms=[A3_dose]",), ["study.arms", "A3_dose", "A0_full"]),
        (("study.tasks=[fitb,multihop]",), ["study.tasks", "multihop"]),
    ],
)
def test_what_the_run_does_not_hold_is_refused(runs, arguments, words):
    result = analyze(f"run={runs[0]}", *SMALL, *arguments)

    assert result.returncode != 0
    for word in words:
        assert word in result.stderr, result.stderr[-500:]
    assert "Traceback" not in result.stderr


def test_an_architecture_that_interventions_do_not_know_is_refused(runs, tmp_path):
    checkpoint = sorted((runs[0] / "checkpoints").iterdir())[-1]
    copy = tmp_path / "model"
    copy.mkdir()
    for path in checkpoint.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "gptj"}))

    result = analyze(f"model.path={copy}", "world=synthetic_tiny", *SMALL)

    assert result.returncode != 0
    for word in ("gptj", "LAYOUTS", "architecture.py"):
        assert word in result.stderr, result.stderr[-500:]
