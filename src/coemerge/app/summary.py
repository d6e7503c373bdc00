"""The closing summary of a training: per task, what emerged, with n, and what that means by arm."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from coemerge.app.run_directory import read_run_manifest, update_manifest
from coemerge.files import write_json
from coemerge.prompts.tasks import TASKS
from coemerge.report.emergence import draw_emergence
from coemerge.scoring.acquisition import COMPETENT, emerged, step_of_share
from coemerge.statistics.intervals import Estimate, at_chance, wilson_mean

SHAM_ARM = "A5_never"
HELD_OUT = "held_out_templates"


@dataclass(frozen=True)
class TaskSummary:
    """One row of the closing table: a task with one kind of option sets, last step, held-out
    paraphrases. Shares are of facts above the threshold."""

    task: str
    options: str
    n_facts: int
    all_share: float
    n_exposed: int
    exposed_share: float
    n_unexposed: int
    unexposed_share: float
    sham: str
    sham_ok: bool | None
    step_25: int | None
    step_90: int | None

    @property
    def competent(self) -> bool:
        return self.all_share >= COMPETENT


def summarise(acquisition: pd.DataFrame) -> list[TaskSummary]:
    """Rows in the order of the tasks; lettered tasks have one for fresh and one for seen sets."""
    held_out = acquisition[acquisition["split"] == HELD_OUT]
    present = held_out.groupby(["task", "options"]).groups
    order = [(t, o) for t in TASKS for o in ("none", "fresh", "seen") if (t, o) in present]
    return [_one(held_out, task, options) for task, options in order]


def read_summary(run_directory: Path) -> list[TaskSummary]:
    """From the run's tables; empty where nothing was scored."""
    path = run_directory / "tables" / "acquisition.parquet"
    return summarise(pq.read_table(path).to_pandas()) if path.is_file() else []


def close_run(run_directory: Path) -> dict[str, Any]:
    """Draws the pictures, marks the run finished, prints the summary and where things are.

    For a run that was finished before, prints only. Returns the manifest.
    """
    rows = read_summary(run_directory)
    manifest = read_run_manifest(run_directory) or {}
    if manifest.get("status") != "finished":
        if rows:
            draw_emergence(
                run_directory / "tables" / "acquisition.parquet", run_directory / "figures"
            )
        write_json(run_directory / "summary.json", [asdict(row) for row in rows])
        manifest = update_manifest(run_directory, status="finished")
    lines = [format_summary(rows), "", *_where(run_directory, manifest)]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    return manifest


def _where(run_directory: Path, manifest: dict[str, Any]) -> list[str]:
    n_checkpoints = len(list((run_directory / "checkpoints").glob("step-*/manifest.json")))
    return [
        f"run          {run_directory}  ({manifest['steps']} steps, {manifest['tokens']:,} tokens, "
        f"{manifest['wall_s']:.0f} s)",
        f"weights      sha256 {manifest['final_weights_sha256'][:16]}; {n_checkpoints} checkpoints "
        f"in {run_directory / 'checkpoints'}",
        f"tables       {run_directory / 'tables'}",
        f"pictures     {run_directory / 'figures'}",
        f"W&B          wandb leet {run_directory / 'wandb'}   (offline; wandb sync publishes)",
    ]


def _one(held_out: pd.DataFrame, task: str, options: str) -> TaskSummary:
    rows = held_out[(held_out["task"] == task) & (held_out["options"] == options)]
    last = rows[rows["step"] == rows["step"].max()]
    has_emerged = emerged(last["score"])
    exposed = last["exposures"] > 0
    sham = last[last["arm"] == SHAM_ARM]
    others = ~exposed & (last["arm"] != SHAM_ARM)
    estimate = _sham_estimate(sham) if len(sham) else None
    shown_ids = set(last.loc[exposed, "fact_id"])
    curve = rows[rows["fact_id"].isin(shown_ids)]
    return TaskSummary(
        task=task,
        options=options,
        n_facts=len(last),
        all_share=float(has_emerged.mean()),
        n_exposed=int(exposed.sum()),
        exposed_share=float(has_emerged[exposed].mean()),
        n_unexposed=int(others.sum()),
        unexposed_share=float(has_emerged[others].mean()),
        sham=f"{estimate.mean:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
        if estimate
        else "",
        sham_ok=at_chance(estimate) if estimate else None,
        step_25=step_of_share(curve, 0.25),
        step_90=step_of_share(curve, 0.9),
    )


def _sham_estimate(sham: pd.DataFrame) -> Estimate:
    lowest = (-sham["chance"] / (1 - sham["chance"])).mean()  # the score of p = 0
    return wilson_mean(sham["score"].to_numpy(), lowest)


def format_summary(rows: list[TaskSummary]) -> str:
    """The table as text, with a legend."""
    if not rows:
        return "Nothing was scored (callbacks.acquisition is off)."
    n_sham = next((r.n_facts - r.n_exposed - r.n_unexposed for r in rows), 0)
    table = pd.DataFrame([_cells(row, n_sham) for row in rows])
    return "\n".join(
        [
            "Emerged facts (score > 0.6) on held-out paraphrases at the last step",
            table.to_string(index=False),
            "options: fresh = option sets never shown together in training, seen = shown together",
            f"all: competent from {COMPETENT:.0%}; A5: mean score of facts never stated, with its "
            "95 % interval (0 is chance)",
            "step 25 % / 90 %: first scored step at which that share of exposed facts had emerged",
        ]
    )


def _cells(row: TaskSummary, n_sham: int) -> dict[str, Any]:
    verdict = {None: "", True: "at chance", False: "NOT at chance"}[row.sham_ok]
    return {
        "task": row.task,
        "options": "-" if row.options == "none" else row.options,
        "all": f"{row.all_share:4.0%} of {row.n_facts}" + ("" if row.competent else " (!)"),
        "exposed": f"{row.exposed_share:4.0%} of {row.n_exposed}",
        "unexposed": f"{row.unexposed_share:4.0%} of {row.n_unexposed}",
        f"A5 score (n={n_sham})": f"{row.sham} {verdict}",
        "step 25%": "-" if row.step_25 is None else str(row.step_25),
        "step 90%": "-" if row.step_90 is None else str(row.step_90),
    }
