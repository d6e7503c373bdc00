"""``study=co_emergence``: scores models, writes tables and report; also at the end of a
training."""

import logging
import sys
import time
from pathlib import Path

import pandas as pd

from coemerge.app.analysis import Analysis, analysis_of_run
from coemerge.app.settings import Settings
from coemerge.app.sources import Source, open_source, read_answers, read_scores
from coemerge.app.studies import publish
from coemerge.files import write_json
from coemerge.lm.machine import detect_machine
from coemerge.statistics.thresholds import THETA
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.dynamics import dynamics_tables
from coemerge.studies.co_emergence.runs import Rows, check_scores
from coemerge.studies.co_emergence.summary import summary_rows
from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.studies.co_emergence.transfer import Transfer
from coemerge.studies.shared.scored import Scores
from coemerge.tracking.co_emergence import co_emergence_metrics
from coemerge.units import alone

log = logging.getLogger(__name__)

STUDY = "co_emergence"


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
    alone("tables")
    scored = time.perf_counter()
    tables = {**co_emergence_tables(scores, config), **_dynamics(sources, scores, config)}
    tables["answers"] = pd.concat(answers).to_dict("records") if answers else []
    by_kind = Transfer(scores, config).by_kind()
    names = ", ".join(source.run_id for source in sources)
    summary = summary_rows(tables, by_kind, [source.seed for source in sources], names)
    times = {"scores": scored - started, "study": time.perf_counter() - scored}
    metrics, steps = co_emergence_metrics(tables)
    publish(analysis, STUDY, sources, tables, summary, metrics, times, series=steps)


def follow_up(settings: Settings, run: Path) -> None:
    """The study at the end of a training; one that is there already is not repeated.

    A run that kept no checkpoints, or not what was shown, has nothing to be studied: it says so.
    """
    config = settings.config
    if not config.end.study:
        return
    page, done = run / "report" / "index.html", run / "results" / "at_the_end.json"
    if page.is_file() and done.is_file():
        sys.stdout.write(f"report       {page}\n")
        return
    study = {"checkpoints": config.end.checkpoints}
    try:
        co_emergence(analysis_of_run(run, study, config))
    except ValueError as error:
        log.warning("no study of this run: %s", error)
    else:
        write_json(done, {STUDY: study})  # also its W&B run, the last that is written


def _dynamics(
    sources: list[Source], scores: list[Scores], config: CoEmergenceConfig
) -> dict[str, Rows]:
    runs = [source.series.run for source in sources]
    return dynamics_tables(scores, runs, THETA, config.seed, min(config.bootstrap_draws, 2000))
