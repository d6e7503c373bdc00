"""Which studies runs support, told from what they were trained to be asked, without a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from coemerge.app.analysis import Analysis, Series, one_study
from coemerge.app.run_directory import data_of_run, read_run_manifest
from coemerge.app.study_settings import CONFIGS, needs_of_run
from coemerge.prompts.tasks import CORE_TASKS, NAMING
from coemerge.studies.chain_of_thought.config import routes


@dataclass(frozen=True)
class Run:
    """Files are read once."""

    series: Series

    @property
    def directory(self) -> Path:
        assert self.series.run is not None
        return self.series.run

    @cached_property
    def experiment(self) -> str:
        return str(self._manifest.get("experiment"))

    @cached_property
    def wordings(self) -> dict[str, int]:
        """Format -> held-out wordings in which every fact is asked; empty without a data set."""
        path = self._data / "prompts.parquet"
        if not path.is_file():
            return {}
        columns = ["task", "fact_id", "template_id"]
        held_out = [("split", "==", "held_out_templates")]
        asked = pq.read_table(path, columns=columns, filters=held_out).to_pandas()
        counts = asked.groupby(["task", "fact_id"])["template_id"].nunique().groupby("task").min()
        return {str(task): int(n) for task, n in counts.items()}

    @cached_property
    def has_pairs(self) -> bool:
        return (self._data / "minimal_pairs.parquet").is_file()

    @cached_property
    def restates(self) -> bool:
        """Whether some facts say what others say."""
        path = self.directory / "tables" / "facts.parquet"
        if not path.is_file():
            return False
        facts = pq.read_table(path, columns=["fact_id", "root_id"]).to_pandas()
        return bool((facts["fact_id"] != facts["root_id"]).any())

    @cached_property
    def reasons(self) -> bool:
        """Whether it was trained on chains of thought."""
        try:
            return bool(routes(self.directory))
        except ValueError:
            return False

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return read_run_manifest(self.directory) or {}

    @property
    def _data(self) -> Path:
        return data_of_run(self.directory)


# How well runs suit a study, where several experiments support it; else the first named is taken.
_SUITS: dict[str, Callable[[Run], int]] = {
    "co_emergence": lambda run: len(set(run.wordings) & set(CORE_TASKS)),
    "task_localization": lambda run: run.reasons,  # chain_of_thought asks for their masks
    "entity_relation": lambda run: NAMING in run.wordings,
    "knowledge_neurons": lambda run: 2 * run.has_pairs + run.restates,
}


def experiments(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that can be analysed together: of one experiment, asked in the same formats, each of
    another seed. In the order in which they were named."""
    groups: list[list[Run]] = []
    for run in runs:
        alike = [group for group in groups if _are_alike(group, run)]
        if alike:
            alike[0].append(run)
        else:
            groups.append([run])
    return groups


def choose(
    study: str, groups: Sequence[Sequence[Run]], analysis: Analysis
) -> tuple[Analysis | None, list[str]]:
    """The study of the experiment that suits it best, without the runs that do not support it; None
    where no run does. And what those lack."""
    found: list[tuple[Run, Analysis]] = []
    reasons = []
    for group in groups:
        name = analysis.name
        if name and len(groups) > 1:
            name = f"{name}-{group[0].experiment}"
        part = one_study(analysis, study, [run.series for run in group], name)
        config = CONFIGS[study](**part.settings)
        lacking = [lacks(study, run, config, part.out) for run in group]
        kept = [run for run, reason in zip(group, lacking, strict=True) if not reason]
        if kept and len(kept) < len(group):
            part = one_study(analysis, study, [run.series for run in kept], None)
        if kept:
            found.append((kept[0], part))
        reasons += [
            reason if str(run.directory) in reason else f"{run.directory.name}: {reason}"
            for run, reason in zip(group, lacking, strict=True)
            if reason
        ]
    suits = _SUITS.get(study, lambda run: 0)
    best = max(found, key=lambda of: suits(of[0]), default=None)
    return (best[1] if best else None), reasons


def lacks(study: str, run: Run, config: Any, out: Path) -> str:
    """What ``study`` would refuse a run for, as far as this can be told; empty for nothing."""
    asked = run.wordings
    if not asked:
        return "the data set that it was trained on is not there any more"
    if study in ("co_emergence", "task_localization", "chain_of_thought"):
        named = getattr(config, "tasks", None) or list(asked)
        tasks = [task for task in asked if task in named]
        if len(tasks) < 2:
            return f"asked in {', '.join(tasks) or 'none of the formats'} alone; it takes two"
        if few := [task for task in tasks if asked[task] < 2]:
            return f"fewer than two held-out wordings in {', '.join(few)}"
    task = getattr(config, "task", None)
    if getattr(config, "pairs", None) is not None and run.has_pairs:
        return "has minimal pairs of its own, so that those of study.pairs are not asked"
    if task is not None and task not in asked:
        return f"not asked in {task}, but in {', '.join(asked)}"
    try:
        if check := needs_of_run(study):
            check(config, run.directory, out)
    except ValueError as error:
        return str(error)
    return ""


def _are_alike(group: Sequence[Run], run: Run) -> bool:
    first = group[0]
    same = (first.experiment, sorted(first.wordings)) == (run.experiment, sorted(run.wordings))
    return same and run.series.seed not in [other.series.seed for other in group]
