"""Scoring what training asks at every checkpoint, in all tasks, against lm-evaluation-harness: the
same model, the same requests (each prompt with each of its candidates), the same answers. ``python
-m benchmarks.scoring``.

The harness is measured as it is called, with strings, of which it takes each apart; and without
that, given token ids. Its cache of one-token continuations, which asks a prompt once for all its
candidates, is at work. Its best batch size is looked for.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import small_dataset
from benchmarks.result import Result, as_table, cpu_time, ratios
from coemerge.lm.build import build_model
from coemerge.scoring.forward import Question, score_prompts
from coemerge.scoring.probe import make_probe, select_prompts

N_DEFAULT = 200  # prompts given to the harness at its default, a batch of one
BATCHES = (8, 16, 32, 64)
N_REPEATS = 3


@dataclass(frozen=True)
class Asked:
    """Prompts, as text and as token ids."""

    texts: Sequence[str]
    questions: Sequence[Question]

    def __getitem__(self, part: slice) -> "Asked":
        return Asked(self.texts[part], self.questions[part])

    @property
    def n_requests(self) -> int:
        return sum(len(question.candidate_ids) for question in self.questions)


def run() -> Iterator[Result]:
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        sys.stderr.write("scoring: skipped, lm-eval is not there (requirements-bench.txt)\n")
        return
    chosen, dataset = small_dataset()
    torch.set_num_threads(1)
    model = build_model(chosen.config.model, dataset.tokenizer, dataset.store.row_length, "sdpa", 0)
    model.eval()
    prompts = select_prompts(dataset.prompts, ["held_out_templates"], ["fresh"], 1)
    asked = Asked(prompts["text"].to_pylist(), list(make_probe(prompts).questions))
    few = asked[:: len(asked.texts) // N_DEFAULT]
    harness = partial(Harness, model, dataset.tokenizer)
    gap = largest_gap(model, few, harness(32))
    rates = {size: cpu_time(partial(harness(size).from_ids, asked))() for size in BATCHES}
    best = min(rates, key=lambda size: rates[size])
    ours = cpu_time(partial(score, model, asked))
    note = f"{len(asked.texts):,} prompts, probabilities differ by {gap:.0e}"
    for size, part, goal in ((best, asked, 3), (1, few, 8)):
        name = "its default, batches of 1" if size == 1 else f"its best, batches of {size}"
        ways: tuple[tuple[str, Callable[[Asked], int], float | None], ...] = (
            ("strings", harness(size).from_strings, goal),
            ("token ids", harness(size).from_ids, goal),
        )
        for given, way, its_goal in ways:
            found = ratios(ours, cpu_time(partial(way, part)), N_REPEATS)
            yield Result("scoring, all tasks", f"lm-eval given {given}, {name}", found, its_goal,
                         note=note)  # fmt: skip


def score(model: PreTrainedModel, asked: Asked) -> int:
    score_prompts(model, asked.questions)
    return asked.n_requests


class Harness:
    """lm-evaluation-harness with batches of one size. Each way returns the number of requests."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int
    ) -> None:
        from lm_eval.models.huggingface import HFLM

        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        self._lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device="cpu")
        self._tokenizer = tokenizer

    def from_strings(self, asked: Asked) -> int:
        from lm_eval.api.instance import Instance

        requests = [
            Instance("loglikelihood", {}, (text, self._tokenizer.decode([candidate])), 0)
            for text, question in zip(asked.texts, asked.questions, strict=True)
            for candidate in question.candidate_ids
        ]
        return len(self._lm.loglikelihood(requests, disable_tqdm=True))

    def from_ids(self, asked: Asked) -> int:
        return len(self.log_likelihoods(asked))

    def log_likelihoods(self, asked: Asked) -> list[float]:
        """Of every candidate of every question, in order."""
        requests = [
            ((str(i), str(candidate)), list(question.ids), [candidate])
            for i, question in enumerate(asked.questions)
            for candidate in question.candidate_ids
        ]
        found = self._lm._loglikelihood_tokens(requests, disable_tqdm=True)
        return [value for value, _ in found]


def largest_gap(model: PreTrainedModel, asked: Asked, harness: Harness) -> float:
    """Between shares of the right answer among the candidates."""
    questions = asked.questions
    found = torch.tensor(harness.log_likelihoods(asked)).exp()
    parts = found.split([len(question.candidate_ids) for question in questions])
    theirs = torch.stack(
        [
            part[list(question.candidate_ids).index(question.answer_ids[0])] / part.sum()
            for question, part in zip(questions, parts, strict=True)
        ]
    )
    return float((theirs - score_prompts(model, questions).p_cand).abs().max())


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(list(run()))}\n")
