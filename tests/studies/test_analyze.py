"""``python analyze.py study=co_emergence``: from checkpoints to tables and page, on small runs."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.scripts import run_script

SMALL = ("study.bootstrap_draws=100", "study.null_draws=10", "study.paraphrases=2", "device=cpu",
         "logger=none")  # fmt: skip
TABLES = ("pairs", "failure", "matrix", "exposure", "nulls", "curves", "variance", "answers",
          "emergence_points", "emergence_order")  # fmt: skip


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script(script, *arguments)[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of the smoke experiment, analysed together, then the first one alone.

    The first training ends with the study of three of its checkpoints.
    """
    artifacts = tmp_path_factory.mktemp("artifacts")
    for seed in (0, 1):
        result = python(
            "train.py", "experiment=smoke", f"seed={seed}", f"run_id=smoke-seed{seed}",
            "logger=none", "trainer.threads=1", f"end.study={seed == 0}", "end.checkpoints=3",
            f"paths.artifacts={artifacts}",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert ("report/index.html" in result.stdout) == (seed == 0)
    first = artifacts / "runs" / "smoke-seed0"
    shutil.copytree(first / "results" / "co_emergence", artifacts / "at-end")
    made = [artifacts / "runs" / f"smoke-seed{seed}" for seed in (0, 1)]
    both = f"run=[{made[0]},{made[1]}]"
    for arguments in ((both, "name=both", f"paths.artifacts={artifacts}"), (f"run={made[0]}",)):
        result = python("analyze.py", "study=co_emergence", *arguments, *SMALL)
        assert result.returncode == 0, result.stderr
    return made


def tables_of(directory: Path) -> dict[str, pd.DataFrame]:
    folder = directory / "results" / "co_emergence"
    return {name: pq.read_table(folder / f"{name}.parquet").to_pandas() for name in TABLES}


def test_a_run_gets_tables_summary_and_page(runs):
    tables = tables_of(runs[0])
    summary = json.loads((runs[0] / "results/co_emergence/summary.json").read_text())

    assert all(len(tables[name]) for name in ("pairs", "failure", "curves", "variance"))
    assert {"P1-a", "P1-b"} <= {row["id"] for row in summary}
    page = (runs[0] / "report" / "index.html").read_text(encoding="utf-8")
    assert "smoke-seed0" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)


def test_a_training_ends_with_the_study_of_some_checkpoints(runs):
    at_end = runs[0].parents[1] / "at-end"
    steps = set(pq.read_table(at_end / "curves.parquet")["step"].to_pylist())
    all_steps = sorted(tables_of(runs[0])["curves"]["step"].unique())

    assert len(steps) == 3
    assert {all_steps[0], all_steps[-1]} < steps
    assert json.loads((at_end / "summary.json").read_text())


def test_a_finished_training_is_not_studied_again(runs):
    summary = runs[0] / "results" / "co_emergence" / "summary.json"
    before = summary.stat().st_mtime_ns

    result = python(
        "train.py", "experiment=smoke", "seed=0", "run_id=smoke-seed0", "logger=none",
        "trainer.threads=1", "resume=true", f"paths.artifacts={runs[0].parents[1]}",
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert str(runs[0] / "report" / "index.html") in result.stdout
    assert summary.stat().st_mtime_ns == before


@pytest.mark.slow
def test_other_scores_than_those_of_training_are_scored_anew(runs, tmp_path):
    """Rows that training left count only where they were scored alike."""
    few = ("study.checkpoints=2", "study.tasks=[completion,mcqa]", *SMALL)
    frames = {}
    for name in ("with", "without"):
        copy = tmp_path / name
        shutil.copytree(runs[1], copy)
        shutil.rmtree(copy / "results", ignore_errors=True)
        if name == "without":
            (copy / "tables" / "prompt_scores.parquet").unlink()
        result = python("analyze.py", f"run={copy}", "score.base=cand", *few)
        assert result.returncode == 0, result.stderr
        frames[name] = tables_of(copy)["exposure"]

    pd.testing.assert_frame_equal(frames["with"], frames["without"], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_study_that_fails_leaves_its_training_finished(tmp_path):
    (tmp_path / "runs" / "blocked").mkdir(parents=True)
    arguments = (
        "train.py", "experiment=smoke", "run_id=blocked", "logger=none", "trainer.threads=1",
        "trainer.max_steps=6", f"paths.artifacts={tmp_path}",
    )  # fmt: skip
    assert python(*arguments, "end.study=false").returncode == 0
    (tmp_path / "runs" / "blocked" / "results").write_text("in the way")

    result = python(*arguments, "resume=true")

    assert "Traceback" not in result.stderr
    manifest = json.loads((tmp_path / "runs" / "blocked" / "manifest.json").read_text())
    assert manifest["status"] == "finished"


@pytest.mark.slow
def test_a_training_without_checkpoints_says_that_it_is_not_studied(tmp_path):
    result = python(
        "train.py", "experiment=smoke", "callbacks=none", "logger=none", "trainer.threads=1",
        "trainer.max_steps=2", f"paths.artifacts={tmp_path}",
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert "no study of this run" in result.stdout + result.stderr
    assert "no finished checkpoint" in result.stdout + result.stderr


def test_metrics_are_few_and_finite(runs):
    metrics = json.loads((runs[0] / "results" / "co_emergence" / "metrics.json").read_text())

    assert 0 <= metrics["interaction/raw/total"] <= 1
    assert len(metrics) < 40
    assert all(-1 <= value <= 1 for value in metrics.values())


def test_generated_answers_agree_with_the_scores_at_the_last_step(runs):
    """Where answers are single tokens, first-token and full accuracy coincide."""
    answers = tables_of(runs[0])["answers"]

    assert answers["step"].nunique() == 1
    pd.testing.assert_series_equal(
        answers["first_token"], answers["full_answer"], check_names=False
    )


def test_several_seeds_share_one_analysis(runs):
    both = runs[0].parents[1] / "analyses" / "both"

    assert set(tables_of(both)["curves"]["seed"]) == {0, 1}
    assert (both / "report" / "index.html").is_file()
    assert [m["seed"] for m in json.loads((both / "runs.json").read_text())] == [0, 1]


def test_scores_from_the_cache_and_from_checkpoints_give_the_same_numbers(runs, tmp_path):
    """Training's own scores count as a cache, too. Ranks are left out: where scores are nearly
    tied, as in an untrained model, the last bit decides."""
    bare = tmp_path / "bare"
    shutil.copytree(runs[0], bare)
    shutil.rmtree(bare / "results")
    (bare / "tables" / "prompt_scores.parquet").unlink()

    result = python("analyze.py", "study=co_emergence", f"run={bare}", *SMALL)

    assert result.returncode == 0, result.stderr
    for name, expected in tables_of(runs[0]).items():
        found = tables_of(bare)[name]
        if name == "variance":
            found, expected = _shares(found), _shares(expected)
        pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-6)


def _shares(variance: pd.DataFrame) -> pd.DataFrame:
    return variance[variance["scale"] != "rank"].drop(columns=["F", "p_value", "q_value"])


def test_a_second_analysis_scores_nothing(runs):
    cache = runs[0] / "results" / "scores"
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}

    result = python("analyze.py", "study=co_emergence", f"run={runs[0]}", *SMALL)

    assert result.returncode == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_checkpoints_are_left_as_they_were(runs):
    for checkpoint in (runs[0] / "checkpoints").iterdir():
        assert (checkpoint / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("half", "model.safetensors cannot be read"),
        ("vocabulary", "has a vocabulary of"),
        ("exposure", "exposure.parquet: missing"),
        ("facts", "facts.parquet: missing"),
    ],
)
def test_a_damaged_run_is_refused_before_anything_is_scored(runs, tmp_path, damage, expected):
    broken = tmp_path / "broken"
    shutil.copytree(runs[0], broken)
    shutil.rmtree(broken / "results")
    last = max((broken / "checkpoints").iterdir())
    if damage == "half":
        weights = last / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "vocabulary":
        config = json.loads((last / "config.json").read_text())
        (last / "config.json").write_text(json.dumps({**config, "vocab_size": 7}))
    else:
        (broken / "tables" / f"{damage}.parquet").unlink()

    result = python("analyze.py", "study=co_emergence", f"run={broken}", *SMALL)

    assert result.returncode == 2
    assert expected in result.stderr
    assert str(broken) in result.stderr
    assert "Traceback" not in result.stderr
    assert not (broken / "results").exists()


@pytest.mark.slow
def test_runs_asked_different_tasks_are_refused_before_anything_is_scored(runs, tmp_path):
    result = python(
        "train.py", "experiment=smoke", "seed=5", "logger=none", "trainer.threads=1",
        "corpus.plan.tasks=[completion,fitb,openqa,mcqa,verification]", "run_id=five",
        "trainer.max_steps=6", "end.study=false", f"paths.artifacts={tmp_path}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    five = tmp_path / "runs" / "five"

    result = python("analyze.py", "study=co_emergence", f"run=[{runs[0]},{five}]", *SMALL)

    assert result.returncode == 2
    assert "negmcqa" in result.stderr
    assert "five" in result.stderr
    assert not (five / "results").exists()


@pytest.mark.slow
def test_a_study_of_some_tasks_asks_only_these(runs):
    result = python(
        "analyze.py", "study=co_emergence", f"run={runs[1]}", *SMALL,
        "study.tasks=[completion,mcqa]", "study.checkpoints=2",
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert set(tables_of(runs[1])["curves"]["task"]) == {"completion", "mcqa"}
    wrong = python("analyze.py", f"run={runs[1]}", *SMALL, "study.tasks=[completion,multihop]")
    assert wrong.returncode == 2
    assert "multihop" in wrong.stderr


def test_a_run_without_checkpoints_is_refused_by_name(runs, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(runs[0], bare)
    shutil.rmtree(bare / "checkpoints")

    result = python("analyze.py", "study=co_emergence", f"run={bare}", *SMALL)

    assert result.returncode == 2
    assert str(bare / "checkpoints") in result.stderr
    assert "Traceback" not in result.stderr
