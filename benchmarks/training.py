"""Training tokens per second, callbacks off, against a bare PyTorch loop and transformers.Trainer:
the same model, batches, loss, precision and optimizer. ``python -m benchmarks.training``.

By the clock, after a warm-up: threads count here, and what a trainer does between steps.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from benchmarks.common import small_dataset
from benchmarks.result import Result, Timed, as_table, ratios
from coemerge.app.instances import quiet_libraries
from coemerge.app.settings import Settings
from coemerge.corpus.dataset import Dataset
from coemerge.corpus.loader import Batch, CorpusDataModule, RowLoader, RowOrder
from coemerge.lm.build import build_model
from coemerge.lm.config import ModelConfig, OptimizerConfig
from coemerge.lm.machine import choose_execution, detect_machine
from coemerge.lm.module import LanguageModule, weighted_loss

STEPS, WARM_UP, N_REPEATS = 90, 20, 3


def run() -> Iterator[Result]:
    quiet_libraries()
    job = Job(*small_dataset())
    peers: list[tuple[str, Timed, float]] = [("a bare PyTorch loop", partial(bare, job), 0.98)]
    try:
        import accelerate  # noqa: F401

        peers.append(("transformers.Trainer", partial(hugging_face, job), 1.0))
    except ImportError:
        sys.stderr.write("training: no accelerate for a peer (requirements-bench.txt)\n")
    for name, peer, goal in peers:
        found = ratios(partial(ours, job), peer, N_REPEATS)
        told = f"{1 / ours(job):,.0f} tokens/s, the model of fact_injection"
        yield Result("training, tokens/s, callbacks off", name, found, goal, note=told)


@dataclass(frozen=True)
class Job:
    """What is trained, where, and for how many steps, of which the first ``warm_up`` do not count.
    ``model``, ``batch_rows``: None takes those of the settings."""

    settings: Settings
    dataset: Dataset
    device: str = "cpu"
    model: ModelConfig | None = None
    batch_rows: int | None = None
    steps: int = STEPS
    warm_up: int = WARM_UP


@dataclass
class Setup:
    """A fresh model and its batches. ``began``: when the warm-up was over."""

    job: Job
    optimizer: OptimizerConfig
    precision: str
    model: PreTrainedModel
    batches: tuple[Any, ...]  # the arguments of RowLoader
    began: float = field(default=0.0)

    @property
    def is_mixed(self) -> bool:
        return self.precision == "bf16-mixed"

    def warm(self, step: int) -> None:
        """Called as ``step`` begins."""
        if step == self.job.warm_up:
            finish(self.job.device)
            self.began = time.perf_counter()

    @property
    def seconds_per_token(self) -> float:
        finish(self.job.device)
        store, _, _, rows, *_ = self.batches
        tokens = (self.job.steps - self.job.warm_up) * rows * store.row_length
        return (time.perf_counter() - self.began) / tokens


def finish(device: str) -> None:
    """Waits until a GPU has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def setup(job: Job) -> Setup:
    config, store = job.settings.config, job.dataset.store
    chosen = job.model or config.model
    execution = choose_execution(detect_machine(job.device), chosen, config.trainer)
    torch.set_num_threads(execution.threads)
    rows = job.batch_rows or config.trainer.batch_rows
    order = RowOrder(store.n_rows, rows)
    batches = (store, order, job.steps, rows, 1, config.optimizer.answer_weight)
    attention = execution.attention
    model = build_model(chosen, job.dataset.tokenizer, store.row_length, attention, 0)
    return Setup(job, config.optimizer, execution.precision, model.train(), batches)


def loss_of(model: PreTrainedModel, batch: Batch) -> Tensor:
    logits = model(
        input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
    ).logits
    return weighted_loss(logits, batch["labels"], batch["weights"])


def bare(chosen: Job) -> float:
    job, device = setup(chosen), chosen.device
    model = job.model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job.optimizer.lr, fused=True)
    for step, batch in enumerate(RowLoader(*job.batches)):
        job.warm(step)
        there = {name: x.to(device, non_blocking=device != "cpu") for name, x in batch.items()}
        with torch.autocast(device, torch.bfloat16, enabled=job.is_mixed):
            loss = loss_of(model, there)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), job.optimizer.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
    return job.seconds_per_token


def ours(chosen: Job) -> float:
    job = setup(chosen)

    class Clock(lightning.Callback):
        def on_train_batch_start(
            self, trainer: lightning.Trainer, pl_module: object, batch: object, batch_idx: int
        ) -> None:
            job.warm(batch_idx)

        def on_train_end(self, trainer: lightning.Trainer, pl_module: object) -> None:
            self.seconds_per_token = job.seconds_per_token

    clock = Clock()
    fit(job, [clock], accelerator=chosen.device, devices=1)
    return clock.seconds_per_token


def fit(job: Setup, callbacks: list[lightning.Callback], **where: Any) -> None:
    """Our training; ``where``: arguments of the trainer."""
    steps = job.job.steps
    trainer = lightning.Trainer(
        precision=job.precision,  # type: ignore[arg-type]
        max_steps=steps,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **where,
    )
    trainer.fit(LanguageModule(job.model, job.optimizer, steps), CorpusDataModule(*job.batches))


class Batches(IterableDataset):
    """Whole batches, as transformers.Trainer wants to be given data."""

    def __init__(self, loader: RowLoader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._loader)


class WeightedTrainer(Trainer):
    """With our loss."""

    def compute_loss(
        self, model: PreTrainedModel, inputs: Batch, *arguments: Any, **named: Any
    ) -> Tensor:
        return loss_of(model, inputs)


def hugging_face(chosen: Job) -> float:
    job = setup(chosen)

    class Clock(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            job.warm(state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            self.seconds_per_token = job.seconds_per_token

    clock = Clock()
    arguments = TrainingArguments(
        output_dir=str(Path(tempfile.gettempdir()) / "coemerge-bench-trainer"),
        max_steps=chosen.steps,
        per_device_train_batch_size=1,  # a whole batch of ours
        learning_rate=job.optimizer.lr,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        max_grad_norm=job.optimizer.clip_norm,
        bf16=job.is_mixed,
        use_cpu=chosen.device == "cpu",
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        accelerator_config={"dispatch_batches": False},  # one of their tensors is a mere number
    )
    WeightedTrainer(
        model=job.model,
        args=arguments,
        train_dataset=Batches(RowLoader(*job.batches)),
        data_collator=lambda batches: batches[0],
        callbacks=[clock],
    ).train()
    return clock.seconds_per_token


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
