"""What ``analyze.py`` calls: runs a study, writes its tables and the report."""

import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from coemerge.app.analysis import Analysis, analysis_of_run
from coemerge.app.closing import show_run
from coemerge.app.run_directory import code_version
from coemerge.app.settings import Settings
from coemerge.app.sources import Source, open_source, read_answers, read_scores
from coemerge.files import write_json
from coemerge.lm.machine import detect_machine
from coemerge.report.page import write_report
from coemerge.report.published import PUBLISHED
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.dynamics import dynamics_tables
from coemerge.studies.co_emergence.runs import Rows, check_scores
from coemerge.studies.co_emergence.summary import summary_rows
from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.studies.co_emergence.transfer import Transfer
from coemerge.studies.shared.scored import Scores
from coemerge.tables.store import table_schema, write_table
from coemerge.tracking.analysis_run import log_analysis
from coemerge.tracking.co_emergence import co_emergence_metrics
from coemerge.tracking.names import FAILURE_RATE, INTERACTION_SHARE

log = logging.getLogger(__name__)
_FILES = {"transfer": "exposure"}  # tables whose file is named otherwise


def emergence(analysis: Analysis) -> None:
    """Prints the closing table of each run."""
    for run in analysis.directories:
        show_run(run)


def report(analysis: Analysis) -> None:
    """Writes the page from the tables that studies have left; of several directories the first
    is the main one, the others stand beside it."""
    others = [path for path in analysis.directories[1:] if analysis.out == analysis.directories[0]]
    page = write_report(analysis.out, analysis.out / "report", others)
    sys.stdout.write(f"report       {page}\n")


def co_emergence(analysis: Analysis) -> None:
    """On a run, on several seeds, or on models from elsewhere; results under
    ``analysis.out``/results/co_emergence."""
    config = CoEmergenceConfig(**analysis.settings)
    started = time.perf_counter()
    sources = [open_source(s, config.paraphrases, config.tasks) for s in analysis.series]
    check_scores(sources)
    device = detect_machine(analysis.device).accelerator
    scores = [read_scores(source, device, config.checkpoints) for source in sources]
    answers = [read_answers(s, device, config.checkpoints) for s in sources if config.answers]
    scoring_s = time.perf_counter() - started
    tables = {
        **co_emergence_tables(scores, config),
        **_dynamics(sources, scores, config),
    }
    tables["answers"] = pd.concat(answers).to_dict("records") if answers else []
    directory = analysis.out / "results" / "co_emergence"
    provenance = {"runs": [source.run_id for source in sources], **code_version(analysis.root)}
    _write_tables(directory, tables, {**provenance, "settings": asdict(config)})
    names = ", ".join(source.run_id for source in sources)
    by_kind = Transfer(scores, config).by_kind()
    rows = summary_rows(tables, by_kind, [source.seed for source in sources], names)
    summary = [{**row, "published": _published(row["id"])} for row in rows]
    write_json(directory / "summary.json", summary)
    write_json(directory.with_name("metrics.json"), _metrics(tables, by_kind))
    _write_origin(analysis, sources)
    _tell(summary, directory, scoring_s, time.perf_counter() - started - scoring_s)
    report(analysis)
    _track(analysis, str(sources[0].manifest.get("experiment", analysis.out.name)), tables)


@rank_zero_only
def follow_up(settings: Settings, run: Path) -> None:
    """The study at the end of a training; one that is there already is not repeated.

    A run that kept no checkpoints, or not what was shown, has nothing to be studied: it says so.
    """
    config = settings.config
    if not config.end.study:
        return
    if (run / "results" / "co_emergence" / "summary.json").is_file():
        sys.stdout.write(f"report       {run / 'report' / 'index.html'}\n")
        return
    study = {"checkpoints": config.end.checkpoints}
    try:
        co_emergence(analysis_of_run(run, study, config))
    except ValueError as error:
        log.warning("no study of this run: %s", error)


def _dynamics(
    sources: list[Source], scores: list[Scores], config: CoEmergenceConfig
) -> dict[str, Rows]:
    runs = [source.series.run for source in sources]
    return dynamics_tables(
        scores, runs, config.thetas[0], config.seed, min(config.bootstrap_draws, 2000)
    )


def _metrics(tables: dict[str, Rows], by_kind: Rows) -> dict[str, float]:
    """The few numbers that ``dvc metrics`` compares; undefined ones are left out."""
    values, series = co_emergence_metrics(tables)
    found = {"failure_rate": values.get(FAILURE_RATE), "interaction_share": None}
    if series:
        found["interaction_share"] = series[-1].get(INTERACTION_SHARE)
    for row in by_kind:
        if row["basis"] == "exposed" and row["options"] == "fresh":
            found[f"{row['source']}_to_{row['target']}"] = row["rate"]
    return {name: float(v) for name, v in found.items() if v is not None and np.isfinite(v)}


def _track(analysis: Analysis, group: str, tables: dict[str, Rows]) -> None:
    """The analysis as a W&B run of its own, beside the trainings of its group."""
    values, series = co_emergence_metrics(tables)
    pictures = sorted((analysis.out / "report" / "figures").glob("*.png"))
    log_analysis(
        analysis.out,
        f"{analysis.out.name[:100]}-co_emergence",
        group,
        analysis.settings,
        values,
        series,
        {f"co_emergence/figures/{path.stem}": path for path in pictures},
        **analysis.wandb,
    )


def _write_tables(directory: Path, tables: dict[str, Rows], provenance: dict[str, Any]) -> None:
    """Tables of an earlier analysis that this one does not have are removed."""
    written = set()
    for name, rows in tables.items():
        path = directory / f"{_FILES.get(name, name)}.parquet"
        frame = pd.DataFrame(rows, columns=table_schema(name).names)
        write_table(path, name, {c: frame[c].to_numpy() for c in frame}, provenance)
        written.add(path)
    for path in set(directory.glob("*.parquet")) - written:
        path.unlink()


def _write_origin(analysis: Analysis, sources: list[Source]) -> None:
    """For the report on what is not one run: which runs or models these were, and their facts."""
    if analysis.out in [source.series.run for source in sources]:
        return
    write_json(analysis.out / "runs.json", [source.manifest for source in sources])
    if sources[0].series.run is None:
        facts = sources[0].facts
        columns = {name: facts[name].to_numpy() for name in facts}
        write_table(analysis.out / "tables" / "facts.parquet", "facts", columns)


def _published(row_id: str) -> str:
    return next((p.value for p in PUBLISHED if p.id == row_id), "")


def _tell(summary: list[dict[str, Any]], directory: Path, scoring_s: float, rest_s: float) -> None:
    lines = [
        f"{row['id']:<5} {_percent(row):<22} n={row['n'] or 0:<6,} {row['quantity']}"
        for row in summary
    ]
    sys.stdout.write(
        "\n" + "\n".join(lines) + f"\n\ntables       {directory}/*.parquet\n"
        f"time         scores {scoring_s:.0f} s, study {rest_s:.0f} s\n"
    )


def _percent(row: dict[str, Any]) -> str:
    """``28.1 % [20.0, 36.3]``; a dash where nothing could be measured."""
    value, *bounds = (row[name] for name in ("value", "low", "high"))
    if value is None:
        return "-"
    ends = "" if None in bounds else " [" + ", ".join(f"{100 * x:.1f}" for x in bounds) + "]"
    return f"{100 * value:.1f} %{ends}"
