"""What ``analyze.py`` calls besides studies, and how all of these end: results and the page."""

import sys
from collections.abc import Mapping, Sequence

from coemerge.app.analysis import Analysis
from coemerge.app.closing import show_run
from coemerge.app.sources import Source
from coemerge.app.study_results import Rows, tell, track, write_results
from coemerge.files import waiting_for, writing
from coemerge.report.page import write_report


def emergence(analysis: Analysis) -> None:
    """Prints the closing table of each run."""
    for run in analysis.directories:
        show_run(run)


def report(analysis: Analysis) -> None:
    """Writes the page from the tables that studies have left; of several directories the first
    is the main one, the others stand beside it."""
    others = [path for path in analysis.directories[1:] if analysis.out == analysis.directories[0]]
    with waiting_for(analysis.out / ".report.lock"), writing(analysis.out / "report"):
        page = write_report(analysis.out, analysis.out / "report", others)
    sys.stdout.write(f"report       {page}\n")


def publish(
    analysis: Analysis,
    study: str,
    sources: list[Source],
    tables: dict[str, Rows],
    summary: Rows,
    metrics: Mapping[str, float],
    times: dict[str, float],
    note: str = "",
    series: Sequence[Mapping[str, float]] = (),
) -> None:
    """What a study ends with: results on disk, a word on them, the page, and its W&B run with
    ``metrics`` and rows of such by step."""
    write_results(analysis, study, sources, tables, summary)
    tell(summary, analysis.out / "results" / study, times, note)
    report(analysis)
    track(analysis, study, sources, metrics, series)
