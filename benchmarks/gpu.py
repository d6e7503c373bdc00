"""On a GPU: our training, scoring and localization with a model of 125 million parameters, training
in bfloat16. ``python -m benchmarks.gpu``; where there is no GPU, one line says so.

By the clock, after a warm-up, and when the device is done. Utilisation: floating-point operations
of a step as torch counts them, over those that the same GPU does in that time when it multiplies
large bfloat16 matrices, measured here, since a vendor's peak is not always in reach of its cards.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from transformers import PreTrainedModel

from benchmarks.common import settings, small_dataset
from benchmarks.counting import operations
from benchmarks.result import Result, as_table, ratios
from benchmarks.training import Job, bare, finish, loss_of, ours, setup
from coemerge.app.instances import quiet_libraries
from coemerge.app.settings import Settings
from coemerge.corpus.dataset import Dataset
from coemerge.corpus.loader import RowLoader
from coemerge.lm.build import build_model
from coemerge.lm.config import ModelConfig
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.causal_tracing import trace
from coemerge.localization.chunks import train_masks
from coemerge.localization.config import preset
from coemerge.localization.examples import Examples
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.scoring.forward import Question, score_prompts
from coemerge.scoring.probe import make_probe
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Subject, prepare

# Dense bfloat16 operations per second, as vendors state them, of cards with one such figure.
PEAKS = {"H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
Work = Callable[[], int]  # does some items, and says how many


@dataclass(frozen=True)
class Size:
    """How much is measured: rows of a batch and steps of training, prompts scored, every which of
    them is attributed and traced, facts and steps of masks, and the side of the matrices."""

    batch_rows: int = 128
    steps: int = 60
    warm_up: int = 20
    prompts: int = 20_000
    every: int = 100
    facts: int = 20
    mask_steps: int = 150
    side: int = 8192
    repeats: int = 3


def run() -> Iterator[Result]:
    if not torch.cuda.is_available():
        sys.stderr.write("gpu: skipped, torch finds none\n")
        return
    quiet_libraries()
    _, dataset = small_dataset()
    chosen = settings(["experiment=fact_injection", "model=gpt2_125m"])
    name = torch.cuda.get_device_name()
    yield from Bench(chosen, dataset, "cuda", Size(), name).results()


@dataclass
class Bench:
    """One model on one device; ``device_name`` is told with each figure."""

    settings: Settings
    dataset: Dataset
    device: str
    size: Size
    device_name: str

    def results(self) -> Iterator[Result]:
        yield from self.training()
        for what, work in self.analyses().items():
            yield self.rate(what, work)

    @cached_property
    def job(self) -> Job:
        size = self.size
        return Job(self.settings, self.dataset, self.device, None, size.batch_rows, size.steps,
                   size.warm_up)  # fmt: skip

    @property
    def config(self) -> ModelConfig:
        return self.settings.config.model

    @cached_property
    def model(self) -> PreTrainedModel:
        """Of random weights, in float32: analyses choose their precision themselves."""
        length = self.dataset.store.row_length
        model = build_model(self.config, self.dataset.tokenizer, length, "sdpa", 0)
        return model.eval().requires_grad_(False).to(self.device)

    def training(self) -> Iterator[Result]:
        """Tokens per second, against a bare loop, and utilisation of the device."""
        job, n = self.job, self.size.repeats
        found = ratios(partial(ours, job), partial(bare, job), n)
        told = f"{setup(job).precision}, batches of {self.size.batch_rows} rows"
        yield self._told("training", found, "a bare PyTorch loop", "x", told, goal=0.98)
        speeds = [1 / ours(job) for _ in range(n)]
        yield self._told("training", speeds, "", "tokens/s", told)
        per_token = operations_per_token(job)
        ceilings = {"dense bf16 products, measured": ceiling(self.device, self.size.side)}
        words = re.findall(r"\w+", self.device_name)
        ceilings |= {f"the vendor's {k}": v for k, v in PEAKS.items() if k in words}
        for against, most in ceilings.items():
            shares = [speed * per_token / most for speed in speeds]
            note = f"{per_token:.3g} operations a token, of {most:.3g}/s"
            yield self._told("training, utilisation", shares, against, "of it", note)

    def analyses(self) -> dict[str, Work]:
        """What studies do to a model, each with how many items it does."""
        return {
            "scoring, prompts": self._score,
            "training masks, masks": self._mask,
            "attribution, prompts": self._attribute,
            "causal tracing, prompts": self._trace,
        }

    def rate(self, what: str, work: Work) -> Result:
        """Items per second, after a first time that does not count."""
        work()
        found = []
        for _ in range(self.size.repeats):
            finish(self.device)
            began = time.perf_counter()
            n = work()
            finish(self.device)
            found.append(n / (time.perf_counter() - began))
        return self._told(what, found, "", "/s", f"{n:,} at once")

    def _told(
        self,
        what: str,
        found: Sequence[float],
        against: str,
        unit: str,
        note: str,
        goal: float | None = None,
    ) -> Result:
        n = sum(parameter.numel() for parameter in self.model.parameters())
        where = f"{n / 1e6:.3g} M parameters on {self.device_name}"
        return Result(what, against, found, goal, unit=unit, note=f"{where}; {note}")

    @cached_property
    def _questions(self) -> list[Question]:
        return list(make_probe(self.dataset.prompts).questions)[: self.size.prompts]

    def _score(self) -> int:
        score_prompts(self.model, self._questions)
        return len(self._questions)

    def _attribute(self) -> int:
        few = self._questions[:: self.size.every]
        asked = [list(q.ids) for q in few], [[q.answer_ids[0]] for q in few]
        attribute(self.model, *asked, AttributionConfig("joint", 20))
        return len(few)

    def _trace(self) -> int:
        few = self._questions[:: self.size.every]
        asked = [TracedPrompt(list(q.ids), q.answer_ids[0], (1, 3)) for q in few]
        trace(self.model, asked, TracingConfig(noise_std=1.0))
        return len(few)

    @cached_property
    def _examples(self) -> Examples:
        """Of random facts: the model has learned nothing that could be chosen by."""
        facts = sorted(set(self.dataset.prompts["fact_id"].to_pylist()))
        config = TaskLocalizationConfig(threshold=0, n_facts=self.size.facts, min_facts=1)
        subject = Subject(self.model, 0, self.dataset.prompts, facts, None, 5)
        selected, asked = prepare(subject, config)
        masks = preset("small", steps=self.size.mask_steps)
        return Examples(asked, selected.targets, list(selected.accuracy), masks, selected.known)

    def _mask(self) -> int:
        return len(train_masks(self.model, self._examples, show_progress=False))


def operations_per_token(job: Job) -> float:
    """Floating-point operations of a step of training, forwards and backwards, per token."""
    ready = setup(job)
    model = ready.model.to(job.device)
    batch = {name: x.to(job.device) for name, x in next(iter(RowLoader(*ready.batches))).items()}
    with torch.autocast(job.device, torch.bfloat16, enabled=ready.is_mixed):
        n = operations(lambda: loss_of(model, batch).backward())
    return n / batch["input_ids"].numel()


def ceiling(
    device: str, side: int, dtype: torch.dtype = torch.bfloat16, seconds: float = 1.0
) -> float:
    """Operations per second of products of square matrices: the best of some rounds."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best, began = 0.0, time.perf_counter()
    while not best or time.perf_counter() - began < seconds:
        finish(device)
        started = time.perf_counter()
        for _ in range(10):
            left @ right
        finish(device)
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
