"""What ``analyze.py`` calls: opens runs, runs a study, writes its tables and the report."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from coemerge.app.analysis import Analysis
from coemerge.app.closing import show_run
from coemerge.app.run_directory import code_version, read_run_manifest
from coemerge.corpus.dataset import open_dataset
from coemerge.files import write_json
from coemerge.lm.machine import detect_machine
from coemerge.report.page import write_report
from coemerge.report.published import PUBLISHED
from coemerge.scoring.config import ScoreConfig
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.pairs import CoEmergence
from coemerge.studies.co_emergence.summary import summary_rows
from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.studies.shared.scored import Scores, read_scores, score_checkpoints
from coemerge.tables.store import table_schema, write_table

log = logging.getLogger(__name__)
_FILES = {"transfer": "exposure"}  # tables whose file is named otherwise


def emergence(analysis: Analysis) -> None:
    """Prints the closing table of each run."""
    for run in analysis.runs:
        show_run(run)


def report(analysis: Analysis) -> None:
    """Writes the page from the tables that studies have left."""
    page = write_report(analysis.out, analysis.out / "report")
    sys.stdout.write(f"report       {page}\n")


def co_emergence(analysis: Analysis) -> None:
    """On one run or on several seeds; results under ``analysis.out``/results/co_emergence."""
    config = CoEmergenceConfig(**analysis.settings)
    runs = analysis.runs
    started = time.perf_counter()
    scored = [_scores(run, analysis.device, config.paraphrases) for run in runs]
    scoring_s = time.perf_counter() - started
    study = CoEmergence(scored, config)
    tables = co_emergence_tables(study)
    directory = analysis.out / "results" / "co_emergence"
    provenance = {"runs": [run.run_id for run in scored], **code_version(analysis.root)}
    for name, rows in tables.items():
        path = directory / f"{_FILES.get(name, name)}.parquet"
        frame = pd.DataFrame(rows, columns=table_schema(name).names)
        write_table(path, name, {c: frame[c].to_numpy() for c in frame}, provenance)
    source = ", ".join(run.run_id for run in scored)
    rows = summary_rows(tables, study.by_kind(), [run.seed for run in scored], source)
    summary = [{**row, "published": _published(row["id"])} for row in rows]
    write_json(directory / "summary.json", summary)
    if len(runs) > 1:
        write_json(analysis.out / "runs.json", [read_run_manifest(run) for run in runs])
    _tell(summary, directory, scoring_s, time.perf_counter() - started - scoring_s)
    report(analysis)


def _scores(run: Path, device: str, paraphrases: int) -> Scores:
    """A run's scores; what training left out comes from its checkpoints. Raises ValueError."""
    manifest = read_run_manifest(run) or {}
    dataset = open_dataset(Path(manifest["data_directory"]))
    if dataset.content_hash != manifest["data_hash"]:
        raise ValueError(
            f"{dataset.directory} is not the data set of {run} any more (hash "
            f"{dataset.content_hash}, expected {manifest['data_hash']}): build it again"
        )
    config = ScoreConfig(**manifest.get("score", {}))
    where = detect_machine(device).accelerator
    rows = score_checkpoints(run, dataset.prompts, config, where, paraphrases)
    return read_scores(run, manifest, rows)


def _published(row_id: str) -> str:
    return next((p.value for p in PUBLISHED if p.id == row_id), "")


def _tell(summary: list[dict[str, Any]], directory: Path, scoring_s: float, rest_s: float) -> None:
    frame = pd.DataFrame(summary)[["id", "quantity", "value", "low", "high", "n"]]
    text = frame.to_string(index=False, float_format=lambda x: f"{x:.3f}", na_rep="-")
    sys.stdout.write(
        f"\n{text}\n\ntables       {directory}/*.parquet\n"
        f"time         scores {scoring_s:.0f} s, study {rest_s:.0f} s\n"
    )
