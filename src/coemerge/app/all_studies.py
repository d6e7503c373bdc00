"""``study=all``: whatever studies the runs support, one after the other, and one page of all.

Of several experiments each study gets the runs that suit it best, the seeds of one experiment.
What a study refuses is told, and the next one runs.
"""

import dis
import logging
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import TracebackType

from coemerge.app.analysis import Analysis
from coemerge.app.kept_results import why_anew
from coemerge.app.studies import report
from coemerge.app.study_settings import CONFIGS
from coemerge.app.supported import Run, choose, experiments

log = logging.getLogger(__name__)
DONE, THERE, SKIPPED, FAILED = "done", "there already", "skipped", "failed"
_WIDTH = 100  # characters of a terminal
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Outcome:
    """Of one study. ``part``: what was asked of which runs, None where no run supports it;
    ``note``: why it did not run, or what else there is to say."""

    study: str
    status: str
    part: Analysis | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def row(self) -> tuple[str, str, str, str]:
        runs = ", ".join(path.name for path in self.part.directories) if self.part else "-"
        return self.study, self.status, f"{self.seconds:.0f}", runs


def all_studies(analysis: Analysis) -> None:
    """Exits with 1 if a study broke instead of saying what it lacks. Raises ValueError where no
    study could be run."""
    groups = experiments([Run(series) for series in analysis.series])
    studies = [study for study in CONFIGS if study in analysis.settings]
    outcomes = []
    for k, study in enumerate(studies):
        part, lacking = choose(study, groups, analysis)
        told = ", ".join(path.name for path in part.directories) if part else "no run supports it"
        sys.stdout.write(f"\n[{k + 1}/{len(studies)}] {study}: {told}\n")
        sys.stdout.flush()
        skipped = Outcome(study, SKIPPED, note="; ".join(lacking))
        outcomes.append(_run(study, part) if part else skipped)
    sys.stdout.write(f"\n{summary_table(outcomes)}\n\n")
    has_failed = any(outcome.status == FAILED for outcome in outcomes)
    homes = _homes(outcomes, analysis)
    if homes:
        _write_page(homes, analysis)
    elif not has_failed:
        raise ValueError("run: no study could be run; the table above says what each of them lacks")
    if has_failed:
        raise SystemExit(1)


def summary_table(outcomes: Sequence[Outcome]) -> str:
    """A line per study, and below it what there is to say."""
    rows = [("study", "status", "seconds", "runs"), *(outcome.row for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for (study, status, seconds, runs), note in zip(
        rows, ["", *(outcome.note for outcome in outcomes)], strict=True
    ):
        lines.append(f"{study:<{widths[0]}}  {status:<{widths[1]}}  {seconds:>{widths[2]}}  {runs}")
        lines += textwrap.wrap(note, _WIDTH, initial_indent="    ", subsequent_indent="    ",
                               break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines)


def _run(study: str, part: Analysis) -> Outcome:
    anew = why_anew(part, study)
    if anew is None:
        return Outcome(study, THERE, part, note="of the same settings and code")
    module, _, name = part.target.rpartition(".")
    started = time.perf_counter()
    try:
        getattr(import_module(module), name)(part)
        status, note = DONE, f"computed again: {anew}" if anew else ""
    except Exception as error:
        if isinstance(error, ValueError) and _is_own_check(error.__traceback__):
            status, note = SKIPPED, str(error).replace("study.", f"study.{study}.")
            log.warning("%s is skipped: %s", study, note)
        else:
            log.exception("%s broke", study)
            status, note = FAILED, f"{type(error).__name__}: {error}"
    return Outcome(study, status, part, time.perf_counter() - started, note)


def _is_own_check(raised: TracebackType | None) -> bool:
    """Whether a line of this package says ``raise``; what arrays of the wrong shape raise, in
    another package or in compiled code that one of our lines calls, is a fault."""
    if raised is None:
        return False
    while raised.tb_next is not None:
        raised = raised.tb_next
    code = raised.tb_frame.f_code
    if _PACKAGE not in Path(code.co_filename).parents:
        return False
    return dis.opname[code.co_code[raised.tb_lasti]] == "RAISE_VARARGS"


def _homes(outcomes: Sequence[Outcome], analysis: Analysis) -> list[Path]:
    """Where results are, in the order in which runs were named; those of more runs first."""
    parts = [o.part for o in outcomes if o.part and o.status in (DONE, THERE)]
    parts.sort(key=lambda p: (analysis.directories.index(p.directories[0]), -len(p.directories)))
    return list(dict.fromkeys(part.out for part in parts))


def _write_page(homes: list[Path], analysis: Analysis) -> None:
    report(replace(analysis, directories=homes, out=homes[0]))
    named = ",".join(map(str, homes))
    if len(homes) > 1:
        sys.stdout.write(f"page anew    python analyze.py study=report run='[{named}]'\n")
