"""The training step: next-token loss within documents, AdamW, warm-up and cosine decay."""

import math
from collections.abc import Callable

import lightning
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from coemerge.corpus.loader import IGNORE, Batch
from coemerge.interventions.waiting import known_rows
from coemerge.lm.config import OptimizerConfig
from coemerge.lm.sharding import shard, whole_tensor


class LanguageModule(lightning.LightningModule):
    """Wraps a transformers model.

    For callbacks to read: ``step_loss`` and ``grad_norm`` are those of the last optimizer step, of
    all its micro-batches on all processes; ``last_loss`` is what the last micro-batch of this
    process adds to the loss of its step.

    Dropout, where a model has some, is a function of (seed, step, micro-batch, rank), so that an
    interrupted run draws the same masks as an uninterrupted one.
    """

    def __init__(
        self, model: PreTrainedModel, optimizer: OptimizerConfig, max_steps: int, seed: int = 0
    ) -> None:
        super().__init__()
        self._seed = seed
        self._place = (-1, -1)
        self.model = model
        self._optimizer = optimizer
        self._max_steps = max_steps
        self.last_loss = torch.zeros(())
        self.step_loss = torch.zeros(())
        self._loss_so_far: Tensor | float = 0.0
        self.grad_norm = torch.zeros(())

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Positions restart with each document and no mask is passed: transformers then keeps
        attention within documents (see ``corpus.packing.position_ids``)."""
        self._seed_dropout()
        with known_rows(batch["input_ids"].device, packed=True):
            logits = self.model(
                input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
            ).logits
        loss = weighted_loss(logits, batch["labels"], batch["weights"], batch["step_weight"])
        self.last_loss = loss.detach()
        self._loss_so_far = self._loss_so_far + self.last_loss
        # the trainer averages gradients over micro-batches and processes: these losses add up
        return loss * (self.trainer.accumulate_grad_batches * self.trainer.world_size)

    def _seed_dropout(self) -> None:
        step = self.trainer.global_step
        self._place = (step, self._place[1] + 1 if self._place[0] == step else 0)
        torch.manual_seed(hash((self._seed, *self._place, self.global_rank)) % 2**63)

    def configure_model(self) -> None:
        """Spreads the model over devices where the strategy has some."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            shard(self.model, self.trainer.strategy.device_mesh["data_parallel"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self._optimizer.lr,
            betas=(self._optimizer.betas[0], self._optimizer.betas[1]),
            weight_decay=self._optimizer.weight_decay,
            fused=True,
        )
        factor = lr_factor(self._optimizer, self._max_steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips and keeps the norm before clipping, once per optimizer step."""
        self.step_loss, self._loss_so_far = torch.as_tensor(self._loss_so_far), 0.0
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(self.step_loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._optimizer.clip_norm)
        self.grad_norm = whole_tensor(norm.detach())


def weighted_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, total: Tensor | None = None
) -> Tensor:
    """Weighted mean cross-entropy in nats; logits [B, T, V], labels and weights [B, T].

    ``total``: sum of weights of a batch that these rows are a part of; the losses of its parts
    then add up to its mean, however unequal they are. A part without labels adds nothing.
    """
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="none"
    )
    kept = weights.flatten() * (labels.flatten() != IGNORE)
    return (losses * kept).sum() / (kept.sum() if total is None else total).clamp(min=1e-12)


def lr_factor(config: OptimizerConfig, max_steps: int) -> Callable[[int], float]:
    """Multiplier of the learning rate as a function of the optimizer step."""

    def factor(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        progress = (step - config.warmup_steps) / max(1, max_steps - config.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return config.final_lr + (1 - config.final_lr) * cosine

    return factor
