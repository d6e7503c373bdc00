"""What becomes of the facts that the base model was trained on: tables/old_facts.parquet."""

import lightning

from coemerge.callbacks.base import log_metrics
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.probing import ProbingCallback
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.module import LanguageModule
from coemerge.scoring.acquisition import emerged
from coemerge.scoring.probe import make_probe, select_prompts


class OldFacts(ProbingCallback):
    """Scores the base run's facts on held-out paraphrases with fresh option sets.

    Does nothing where the base is no run of ours: nobody knows which facts it was shown.
    """

    def __init__(
        self,
        run: RunContext,
        schedule: StepSchedule,
        templates_per_cell: int = 1,
        tokens_per_batch: int | None = None,
    ) -> None:
        steps = schedule.resolve(run.max_steps) if run.old else []
        super().__init__(run, steps, "old_facts", tokens_per_batch)
        if run.old:
            asked = select_prompts(
                run.old.prompts, ["held_out_templates"], ["fresh"], templates_per_cell
            )
            self._probe = make_probe(asked, run.old_score.chance)

    def at_step(self, trainer: lightning.Trainer, module: LanguageModule, step: int) -> None:
        means = self.score(trainer, module, step, self._probe)
        frame = self._probe.cells.to_pandas().assign(score=means["score"].numpy())
        shares = frame.groupby(["task", "fact_id"])["score"].mean().groupby("task")
        metrics = {
            f"old_facts/{task}/emerged_fraction": float(emerged(scores).mean())
            for task, scores in shares
        }
        log_metrics(trainer, self.run, step, metrics)
