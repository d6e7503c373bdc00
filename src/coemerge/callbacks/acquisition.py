"""Which facts the model can answer, task by task: tables/prompt_scores.parquet and W&B."""

from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import pandas as pd
from torch import Tensor

from coemerge.callbacks.base import ScheduledCallback, add_rows, drop_rows, log_metrics
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.module import LanguageModule
from coemerge.scoring.acquisition import emerged, prompt_score_columns
from coemerge.scoring.metrics import score_probe
from coemerge.scoring.probe import Probe, make_probe, select_prompts


class FactAcquisition(ScheduledCallback):
    """Scores a held-out subset at every scheduled step, and more at the steps of ``full``.

    The subset is ``templates_per_cell`` held-out paraphrases of every (fact, task), with fresh
    option sets. A full scoring asks up to ``full_templates_per_cell`` seen and as many held-out
    paraphrases (null: all), with both kinds of option sets.
    """

    def __init__(
        self,
        run: RunContext,
        schedule: StepSchedule,
        full: StepSchedule,
        templates_per_cell: int = 1,
        full_templates_per_cell: int | None = 3,
        tokens_per_batch: int = 8192,
    ) -> None:
        self._full_steps = frozenset(full.resolve(run.max_steps))
        merged = sorted({*schedule.resolve(run.max_steps), *self._full_steps})
        super().__init__(run, StepSchedule(first=False, last=False, steps=merged))
        prompts = run.dataset.prompts
        subset = select_prompts(prompts, ["held_out_templates"], ["fresh"], templates_per_cell)
        everything = select_prompts(prompts, templates_per_cell=full_templates_per_cell)
        self._subset, self._everything = make_probe(subset), make_probe(everything)
        self._arms = run.dataset.facts.select(["fact_id", "arm"]).to_pandas()
        self._table = run.table("prompt_scores")
        self._tokens_per_batch = tokens_per_batch

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        drop_rows(trainer, self._table)
        super().on_train_start(trainer, pl_module)

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        probe = self._everything if step in self._full_steps else self._subset
        means = score_probe(
            module.model,
            probe,
            self.run.score_base,
            trainer.global_rank,
            trainer.world_size,
            self._tokens_per_batch,
        )
        chance = _cell_chance(probe)
        columns = prompt_score_columns(step, probe.cells, chance, means)
        add_rows(trainer, self._table, step, columns)
        log_metrics(trainer, self.run, step, self._metrics(probe, means))

    def _metrics(self, probe: Probe, means: Mapping[str, Tensor]) -> dict[str, float]:
        """Held-out paraphrases with fresh option sets: emerged fraction and mean score."""
        frame = probe.cells.to_pandas().assign(score=means["score"].numpy())
        frame = frame[(frame["split"] == "held_out_templates") & (frame["options"] != "seen")]
        facts = frame.groupby(["task", "fact_id"])["score"].mean().reset_index()
        facts = facts.merge(self._arms, on="fact_id")
        metrics = {}
        for task, rows in facts.groupby("task"):
            metrics[f"acquisition/{task}/emerged_fraction"] = emerged(rows["score"]).mean()
            metrics[f"acquisition/{task}/score"] = rows["score"].mean()
        for (arm, task), rows in facts.groupby(["arm", "task"]):
            metrics[f"acquisition/{arm}/{task}/emerged_fraction"] = emerged(rows["score"]).mean()
        return {name: float(value) for name, value in metrics.items()}


def _cell_chance(probe: Probe) -> np.ndarray:
    """Chance of each cell (equal for all its prompts)."""
    chance = pd.Series(probe.chance.double().numpy()).groupby(probe.cell_of.numpy()).first()
    return chance.to_numpy()
