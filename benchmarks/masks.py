"""Training masks: many at once against one at a time with plain settings, and what the masks are
worth. Needs the main job's run:
``python -m benchmarks.masks``."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir

from benchmarks.common import finished_run
from benchmarks.result import Result, as_table
from coemerge.app.analysis import read_analysis
from coemerge.app.cli import ROOT
from coemerge.app.schema import register
from coemerge.app.sources import open_source
from coemerge.app.task_localization import open_subject
from coemerge.interventions.guard import unchanged
from coemerge.localization.activations import mean_references
from coemerge.localization.chunks import reference_rows, train_masks
from coemerge.localization.config import MaskConfig, preset
from coemerge.localization.effects import EffectsConfig, evaluate_masks
from coemerge.localization.examples import Examples
from coemerge.localization.masks import train_facts
from coemerge.localization.trained import TrainedMasks, concatenate
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Subject, prepare

N_FACTS, N_REPEATS = 4, 3
# Equal weights and rows for all terms, as one would begin; 4 rows of control per own one.
PLAIN = {
    "steps": 150,
    "lr": 0.1,
    "lr_final": 1.0,
    "initial_logit": -1.0,
    "rows_nec": 3,
    "rows_suf": 3,
    "rows_facts": 6,
    "rows_tasks": 4,
    "lambda_nec": 1.0,
    "lambda_suf": 1.0,
    "lambda_spec_facts": 2.0,
    "lambda_spec_tasks": 2.0,
    "lambda_spar": 3.0,
    "w_heads": 1.0,
    "precision": "float32",
}
# Ours at the quality of the plain ones: fewer steps and rows, and other weights, chosen on the
# facts that are measured here.
EQUAL = {
    "steps": 50,
    "lr": 0.25,
    "average_steps": 10,
    "rows_nec": 2,
    "rows_suf": 2,
    "rows_facts": 3,
    "rows_tasks": 2,
    "lambda_nec": 6.0,
    "lambda_suf": 3.0,
    "lambda_spec_facts": 7.0,
    "lambda_spec_tasks": 5.0,
    "precision": "float32",
}


@dataclass(frozen=True)
class Outcome:
    """Seconds of the processor per mask, and fractions of answers."""

    cpu_s: float
    target: float
    tasks: float
    facts: float
    recovery: float

    def __str__(self) -> str:
        return (
            f"{self.cpu_s:.2f} CPU s, target drop {self.target:.2f}, other tasks "
            f"{self.tasks:.2f}, other facts {self.facts:.2f}, recovery {self.recovery:.2f}"
        )


def run() -> Iterator[Result]:
    job = finished_run("masks")
    if job is None:
        return
    torch.set_num_threads(1)
    subject = _subject(str(job.directory))
    study = TaskLocalizationConfig(n_facts=N_FACTS)
    selected, prompts = prepare(subject, study)

    def examples(config: MaskConfig) -> Examples:
        return Examples(prompts, selected.targets, list(selected.accuracy), config, selected.known)

    plain = _measure(subject, examples(preset("small", **PLAIN)), at_once=False)
    config = preset("small", facts_per_chunk=N_FACTS, **EQUAL)
    ours = [_measure(subject, examples(config), at_once=True) for _ in range(N_REPEATS)]
    told = (
        f"{len(selected.targets)} facts in all formats, at once, {EQUAL['steps']} steps of 9 rows: "
        f"{ours[0]}; alone, {PLAIN['steps']} steps of 16 rows: {plain}"
    )
    found = [plain.cpu_s / outcome.cpu_s for outcome in ours]
    yield Result("masks", "one at a time, plain settings", found, 8, note=told)


def _subject(run_directory: str) -> Subject:
    register()
    overrides = ["study=task_localization", f"run={run_directory}", f"paths.root={ROOT}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        analysis = read_analysis(compose("analyze", overrides))
    source = open_source(analysis.series[0], 2, None)
    return open_subject(source, source.series.members[-1], TaskLocalizationConfig(), "cpu")


def _measure(subject: Subject, examples: Examples, at_once: bool) -> Outcome:
    started = time.process_time()
    if at_once:
        masks = train_masks(subject.model, examples, show_progress=False)
    else:
        masks = _one_at_a_time(subject, examples)
    n = len(masks)
    cpu = (time.process_time() - started) / n
    settings = EffectsConfig(references=("mean",), random_draws=1)
    found = evaluate_masks(subject.model, examples, masks, settings)
    found = found[found["control"] == "none"]
    ablated = found[found["intervention"] == "ablate"]
    is_own = (ablated["eval_facts"] == "own").to_numpy()
    is_target = is_own & (ablated["eval_task"] == ablated["mask_task"]).to_numpy()
    drops = [ablated["relative_drop"][rows] for rows in (is_target, is_own & ~is_target, ~is_own)]
    return Outcome(cpu, *(_mean(drop) for drop in drops), _mean(found["recovery"]))


def _one_at_a_time(subject: Subject, examples: Examples) -> TrainedMasks:
    """Exclusive masks of one fact come one after the other."""
    alone = [replace_facts(examples, [fact]) for fact in examples.facts]
    with unchanged(subject.model):
        subject.model.eval().requires_grad_(False)
        references = mean_references(subject.model, examples.prompts, reference_rows(examples))
        parts = [train_facts(subject.model, one, one.facts, references) for one in alone]
    return concatenate(parts)


def replace_facts(examples: Examples, facts: list[str]) -> Examples:
    cells = examples.cells
    pool = sorted({f for cell in cells for f in (cell[0], *examples.other_facts(*cell))})
    config = replace(examples.config, facts_per_chunk=1)
    return Examples(examples.prompts, facts, examples.tasks, config, pool)


def _mean(values: pd.Series) -> float:
    return float(np.nanmean(values))


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
