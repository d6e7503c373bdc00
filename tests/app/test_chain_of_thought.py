"""What the study leaves in a run's directory, once the model has been asked."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from coemerge.app import chain_of_thought as study
from coemerge.app import studies
from coemerge.app.analysis import Analysis, Series
from coemerge.app.sources import Source
from coemerge.lm.series import Member
from coemerge.scoring.config import ScoreConfig
from coemerge.tables.store import read_metadata, table_schema
from tests.conftest import ROOT
from tests.studies.test_cot_drops import effects


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    run = tmp_path / "runs" / "cot"
    series = Series("cot", 0, [], ScoreConfig(), run / "results" / "scores", run)
    settings = {"bootstrap_draws": 50}
    wandb = {"mode": "disabled", "project": "none"}
    return Analysis("", [run], [series], run, "cpu", ROOT, settings, wandb)


def source_of(series: Series, **columns) -> Source:
    return Source(series, questions=None, facts=None, manifest={"data_hash": "0"}, **columns)  # type: ignore[arg-type]


@pytest.fixture
def written(analysis: Analysis, monkeypatch) -> Path:
    monkeypatch.setattr(study, "open_source", lambda series, *_: source_of(series))
    made = effects()[table_schema("cot_effects").names]
    monkeypatch.setattr(study, "_effects", lambda *_: made)
    monkeypatch.setattr(studies, "report", lambda _: None)
    study.chain_of_thought(analysis)
    return analysis.out / "results" / "chain_of_thought"


def test_tables_and_summary_are_written(written: Path, capsys):
    found = pq.read_table(written / "cot_effects.parquet")
    drops = pq.read_table(written / "cot_drops.parquet").to_pandas()
    summary = json.loads((written / "summary.json").read_text())

    assert len(found) == len(effects())
    assert read_metadata(found)["settings"] == {"bootstrap_draws": 50}
    assert (drops["floor"] >= 0).all()
    assert {row["id"] for row in summary} == {"P1-g", "P1-h"}
    assert all(row["published"] for row in summary)


def test_facts_that_were_restated_are_those_of_the_ledger(analysis: Analysis):
    rows = [("a", "mcqa", 3), ("b", "cot_fitb_mcqa", 2), ("c", "cot_fitb_mcqa", 0)]
    ledger = pd.DataFrame(rows, columns=["fact_id", "task", "n_documents"])

    assert study.restated_facts(source_of(analysis.series[0], exposure=ledger)) == {"b"}


def test_the_checkpoint_that_was_localized_is_asked(analysis: Analysis):
    members = [Member(f"step-{k}", k, Path(), "") for k in (5, 10)]
    series = Series("cot", 0, members, ScoreConfig(), Path())

    assert study._localized(source_of(series), None).step == 10
    assert study._localized(source_of(series), 5).step == 5
    with pytest.raises(ValueError, match=r"step 7.*study\.checkpoint"):
        study._localized(source_of(series), 7)
