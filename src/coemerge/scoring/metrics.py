"""Sums over prompts as a torchmetrics Metric: exact on one process and on many."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from coemerge.scoring.config import BASES
from coemerge.scoring.forward import Answers, chance_normalised, score_prompts
from coemerge.scoring.probe import Probe

_SUMS = ("p_first", "p_full", "nll", "score", "accuracy")


class PromptScores(Metric):
    """Per cell of a probe, the mean over its prompts. States are sums, so ranks add up.

    ``score_base`` names the probability that is normalised (see ``ScoreConfig``).
    """

    full_state_update = False

    def __init__(self, n_cells: int, score_base: str = "full", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if score_base not in BASES:
            raise ValueError(f"score_base: {score_base!r} not in {BASES}")
        self.score_base = score_base
        for name in (*_SUMS, "count"):
            zeros = torch.zeros(n_cells, dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, cells: Tensor, answers: Answers, chance: Tensor) -> None:
        """``cells`` and ``chance`` [N] go with the N prompts of ``answers``."""
        p = getattr(answers, f"p_{self.score_base}")
        values = {
            "p_first": answers.p_first,
            "p_full": answers.p_full,
            "nll": answers.nll,
            "score": chance_normalised(p.double(), chance.double()),
            "accuracy": answers.correct,
            "count": torch.ones(len(cells)),
        }
        for name, value in values.items():
            state = getattr(self, name)
            state.index_add_(0, cells.to(state.device), torch.as_tensor(value).to(state))

    def compute(self) -> dict[str, Tensor]:
        """Means per cell, float64 [n_cells], and ``n_rotations``, the number averaged."""
        count = torch.as_tensor(self.count)
        means = {name: getattr(self, name) / count for name in _SUMS}
        return {**means, "n_rotations": count.long()}


def score_probe(
    model: nn.Module,
    probe: Probe,
    score_base: str = "full",
    rank: int = 0,
    world_size: int = 1,
    tokens_per_batch: int | None = None,
) -> dict[str, Tensor]:
    """Scores a probe on this rank's share of the prompts and reduces over ranks; with a
    ``world_size`` of 1, all prompts, whoever else is there."""
    metric = PromptScores(len(probe.cells), score_base, sync_on_compute=world_size > 1)
    index = probe.shard(rank, world_size)
    answers = score_prompts(model, [probe.questions[i] for i in index], tokens_per_batch)
    where = torch.as_tensor(index)
    metric.update(probe.cell_of[where], answers, probe.chance[where])
    return metric.compute()
