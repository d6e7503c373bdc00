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

SMALL = ("study.bootstrap_draws=100", "study.null_draws=10", "study.paraphrases=2", "device=cpu")
TABLES = ("pairs", "failure", "matrix", "exposure", "nulls", "curves", "variance")


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script(script, *arguments)[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of the smoke experiment, analysed together, then the first one alone."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    for seed in (0, 1):
        result = python(
            "train.py", "experiment=smoke", f"seed={seed}", f"run_id=smoke-seed{seed}",
            "logger=none", "trainer.threads=1",
            f"paths.artifacts={artifacts}",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
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


def test_a_run_without_checkpoints_is_refused_by_name(runs, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(runs[0], bare)
    shutil.rmtree(bare / "checkpoints")

    result = python("analyze.py", "study=co_emergence", f"run={bare}", *SMALL)

    assert result.returncode == 2
    assert str(bare / "checkpoints") in result.stderr
    assert "Traceback" not in result.stderr
