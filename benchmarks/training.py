"""Training tokens per second against a bare PyTorch loop on the same batches and model."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import lightning
import torch
from transformers import PreTrainedModel

from benchmarks.common import small_dataset
from coemerge.corpus.loader import CorpusDataModule, RowLoader, RowOrder
from coemerge.lm.build import build_model
from coemerge.lm.config import OptimizerConfig
from coemerge.lm.machine import Execution, choose_execution, detect_machine
from coemerge.lm.module import LanguageModule, weighted_loss

STEPS, WARM_UP = 150, 30


class _Clock(lightning.Callback):
    """Seconds of the steps after the warm-up."""

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: object, batch: object, batch_idx: int
    ) -> None:
        if batch_idx == WARM_UP:
            self.t0 = time.perf_counter()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: object) -> None:
        self.seconds = time.perf_counter() - self.t0


class _Setup(NamedTuple):
    optimizer: OptimizerConfig
    execution: Execution
    model: PreTrainedModel
    batches: tuple  # the arguments of RowLoader


def run() -> Iterator[str]:
    chosen, dataset = small_dataset()
    bare, ours = _bare(), _ours()
    tokens = (STEPS - WARM_UP) * chosen.config.trainer.batch_rows * dataset.store.row_length
    yield (
        f"training        {tokens / ours:,.0f} tokens/s, {bare / ours:.2f} x a bare PyTorch loop"
    )


def _setup() -> _Setup:
    chosen, dataset = small_dataset()
    config = chosen.config
    execution = choose_execution(detect_machine("cpu"), config.model, config.trainer)
    torch.set_num_threads(execution.threads)
    rows = config.trainer.batch_rows
    order = RowOrder(dataset.store.n_rows, rows)
    batches = (dataset.store, order, STEPS, rows, 1, config.optimizer.answer_weight)
    model = build_model(
        config.model, dataset.tokenizer, dataset.store.row_length, execution.attention, 0
    )
    return _Setup(config.optimizer, execution, model, batches)


def _bare() -> float:
    config, execution, model, batches = _setup()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, fused=True)
    mixed = execution.precision == "bf16-mixed"
    for step, batch in enumerate(RowLoader(*batches)):
        if step == WARM_UP:
            t0 = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = model(
                input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
            ).logits
            loss = weighted_loss(logits, batch["labels"], batch["weights"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - t0


def _ours() -> float:
    config, execution, model, batches = _setup()
    clock = _Clock()
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision=execution.precision,
        max_steps=STEPS,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(LanguageModule(model, config, STEPS), CorpusDataModule(*batches))
    return clock.seconds
