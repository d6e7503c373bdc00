"""Which facts the model can answer, task by task: tables/prompt_scores.parquet and W&B."""

from collections.abc import Mapping

import lightning
from torch import Tensor

from coemerge.callbacks.base import log_metrics
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.probing import ProbingCallback
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.module import LanguageModule
from coemerge.scoring.acquisition import emerged
from coemerge.scoring.probe import Probe, make_probe, select_prompts


class FactAcquisition(ProbingCallback):
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
        tokens_per_batch: int | None = None,
    ) -> None:
        self._full_steps = frozenset(full.resolve(run.max_steps))
        steps = {*schedule.resolve(run.max_steps), *self._full_steps}
        super().__init__(run, steps, "prompt_scores", tokens_per_batch)
        prompts = run.dataset.prompts
        subset = select_prompts(prompts, ["held_out_templates"], ["fresh"], templates_per_cell)
        everything = select_prompts(prompts, templates_per_cell=full_templates_per_cell)
        chance = run.score.chance
        self._subset, self._everything = make_probe(subset, chance), make_probe(everything, chance)
        self._arms = run.dataset.facts.select(["fact_id", "arm"]).to_pandas()

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        probe = self._everything if step in self._full_steps else self._subset
        means = self.score(trainer, module, step, probe)
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
