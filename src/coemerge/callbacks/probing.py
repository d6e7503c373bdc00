"""What callbacks that ask questions share: score a probe, store a row per paraphrase."""

from collections.abc import Iterable
from typing import Any

import lightning
from torch import Tensor

from coemerge.callbacks.base import ScheduledCallback, add_rows, drop_rows
from coemerge.callbacks.context import RunContext
from coemerge.callbacks.schedule import StepSchedule
from coemerge.lm.module import LanguageModule
from coemerge.lm.sharding import is_sharded
from coemerge.scoring.acquisition import prompt_score_columns
from coemerge.scoring.metrics import score_probe
from coemerge.scoring.probe import Probe, cell_chance


class ProbingCallback(ScheduledCallback):
    """Scores probes into ``table``, at the named steps."""

    def __init__(
        self, run: RunContext, steps: Iterable[int], table: str, tokens_per_batch: int | None
    ) -> None:
        super().__init__(run, StepSchedule(first=False, last=False, steps=sorted(set(steps))))
        self._table = run.table(table)
        self._tokens_per_batch = tokens_per_batch

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        drop_rows(trainer, self._table)
        super().on_train_start(trainer, pl_module)

    def score(
        self, trainer: lightning.Trainer, module: LanguageModule, step: int, probe: Probe
    ) -> dict[str, Tensor]:
        """Means per cell of the probe; they are stored as rows of the table.

        Processes share the prompts, unless the model is spread over them: then it takes all of
        them for every pass, and each has to make the same ones.
        """
        is_alone = is_sharded(module.model)
        means = score_probe(
            module.model,
            probe,
            self.run.score.base,
            0 if is_alone else trainer.global_rank,
            1 if is_alone else trainer.world_size,
            self._tokens_per_batch,
        )
        columns = prompt_score_columns(step, probe.cells, cell_chance(probe), means)
        add_rows(trainer, self._table, step, columns)
        return means
