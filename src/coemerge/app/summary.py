"""The closing summary of a training: per task what emerged, on which facts, and since when."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from coemerge.prompts.tasks import TASKS
from coemerge.scoring.acquisition import emerged, step_of_share
from coemerge.statistics.intervals import Estimate, at_chance, wilson_mean
from coemerge.statistics.thresholds import COMPETENT, THETA
from coemerge.tables.views import steady_scores

SHAM_ARM = "A5_never"


@dataclass(frozen=True)
class Share:
    """A share of ``n`` facts; 0 where there are none."""

    value: float
    n: int


@dataclass(frozen=True)
class TaskSummary:
    """One row of the closing table: a task with one kind of option sets, at the last step, on
    held-out paraphrases. Shares are of facts with a score above the threshold; ``unexposed`` facts
    were shown in other formats only, ``sham`` is the mean score of facts never shown.

    The two steps are the first at which a quarter and nine tenths of the exposed facts had emerged,
    by the paraphrases asked at every step (``tables.views.steady_scores``); None where they never
    did, or were not asked.
    """

    task: str
    options: str
    everything: Share
    exposed: Share
    unexposed: Share
    sham: Estimate | None
    step_25: int | None
    step_90: int | None

    @property
    def competent(self) -> bool:
        return self.everything.value >= COMPETENT


def read_summary(run_directory: Path) -> list[TaskSummary]:
    """From the run's tables; empty where nothing was scored."""
    tables = run_directory / "tables"
    if not (tables / "acquisition.parquet").is_file():
        return []
    acquisition = pq.read_table(tables / "acquisition.parquet").to_pandas()
    prompt_scores = pq.read_table(tables / "prompt_scores.parquet").to_pandas()
    return summarise(acquisition, steady_scores(prompt_scores))


def summarise(acquisition: pd.DataFrame, steady: pd.DataFrame) -> list[TaskSummary]:
    """Rows in the order of the tasks; lettered tasks have one for fresh and one for seen sets."""
    last = acquisition[
        (acquisition["split"] == "held_out_templates")
        & (acquisition["step"] == acquisition["step"].max())
    ]
    rows = dict(iter(last.groupby(["task", "options"])))
    order = [(t, o) for t in TASKS for o in ("none", "fresh", "seen") if (t, o) in rows]
    return [_one(task, options, rows[task, options], steady) for task, options in order]


def _one(task: str, options: str, last: pd.DataFrame, steady: pd.DataFrame) -> TaskSummary:
    shown = last["exposures"] > 0
    never = last["arm"] == SHAM_ARM
    shown_ids = last.loc[shown, "fact_id"]
    curve = steady[(steady["task"] == task) & steady["fact_id"].isin(shown_ids)]
    was_asked = options != "seen"
    return TaskSummary(
        task=task,
        options=options,
        everything=_share(last["score"]),
        exposed=_share(last.loc[shown, "score"]),
        unexposed=_share(last.loc[~shown & ~never, "score"]),
        sham=_sham_estimate(last[never]) if never.sum() > 1 else None,  # one fact has no interval
        step_25=step_of_share(curve, 0.25) if was_asked else None,
        step_90=step_of_share(curve, 0.9) if was_asked else None,
    )


def _share(scores: pd.Series) -> Share:
    return Share(float(emerged(scores).mean()) if len(scores) else 0.0, len(scores))


def _sham_estimate(sham: pd.DataFrame) -> Estimate:
    lowest = (-sham["chance"] / (1 - sham["chance"])).mean()  # the score of p = 0
    return wilson_mean(sham["score"].to_numpy(), lowest)


def format_summary(rows: list[TaskSummary], chance: str = "uniform") -> str:
    """The table as text, with a legend; ``chance`` says whose guesses score 0."""
    if not rows:
        return "Nothing was scored (callbacks.acquisition is off)."
    table = pd.DataFrame([_cells(row) for row in rows])
    return "\n".join(
        [
            f"Facts emerged (score > {THETA}) on held-out paraphrases at the last step",
            table.to_string(index=False),
            f"all: of all facts; a task is competent from {COMPETENT:.0%}, (!) marks those that "
            "are not.  exposed: facts shown in",
            "this format.  others: facts shown in other formats only.  never: mean score of facts "
            "never shown, 95 % interval;",
            f"0 is chance{_CHANCE[chance]}.  step: first scored step at which 25 % and 90 % of the "
            "exposed facts had emerged.",
            "options: fresh sets were never shown together in training, seen ones were.",
        ]
    )


_CHANCE = {"uniform": "", "answer_prior": ": that of guessing answers as often as they are right"}


def _cells(row: TaskSummary) -> dict[str, str]:
    return {
        "task": row.task,
        "options": "" if row.options == "none" else row.options,
        "all": _text(row.everything) + ("" if row.competent else " (!)"),
        "exposed": _text(row.exposed),
        "others": _text(row.unexposed),
        "never": _sham_text(row.sham),
        "25 % at": "" if row.step_25 is None else str(row.step_25),
        "90 % at": "" if row.step_90 is None else str(row.step_90),
    }


def _text(share: Share) -> str:
    return f"{share.value:.0%} of {share.n}" if share.n else "-"


def _sham_text(sham: Estimate | None) -> str:
    if sham is None:
        return "-"
    verdict = "chance" if at_chance(sham) else "NOT CHANCE"
    return f"{sham.mean:+.2f} [{sham.low:+.2f}, {sham.high:+.2f}] n={sham.n} {verdict}"
