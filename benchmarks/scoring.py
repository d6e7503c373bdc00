"""Scoring prompts of all tasks against lm-evaluation-harness: the same model, the same requests
(each prompt with each of its candidates), the same answers. ``python -m benchmarks.scoring``.

The harness is given token ids, as ours are: its tokenising, which takes it about as long again, is
left out. Its cache of one-token continuations, which asks a prompt once for all its candidates, is
at work. Its best batch size is looked for.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import small_dataset
from benchmarks.result import Result, as_table, cpu_time, ratios
from coemerge.lm.build import build_model
from coemerge.scoring.forward import Question, score_prompts
from coemerge.scoring.probe import make_probe

EVERY = 10  # of the prompts of a small data set one in so many
N_DEFAULT = 200  # prompts given to the harness at its default, a batch of one
BATCHES = (8, 16, 32, 64, 128, 256)
N_REPEATS = 5


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
    questions = list(make_probe(dataset.prompts).questions)[::EVERY]
    few = questions[:: len(questions) // N_DEFAULT]
    harness = partial(Harness, model, dataset.tokenizer)
    gap = largest_gap(model, few, harness(32))
    rates = {size: cpu_time(partial(harness(size), questions))() for size in BATCHES}
    best = min(rates, key=lambda size: rates[size])
    ours = cpu_time(partial(score, model, questions))
    note = f"{len(questions):,} prompts, probabilities differ by {gap:.0e}"
    for size, asked, goal in ((best, questions, 3), (1, few, 8)):
        name = "its default, batches of 1" if size == 1 else f"its best, batches of {size}"
        found = ratios(ours, cpu_time(partial(harness(size), asked)), N_REPEATS)
        yield Result("scoring, all tasks", f"lm-eval, {name}", found, goal, note=note)


def score(model: PreTrainedModel, questions: Sequence[Question]) -> int:
    score_prompts(model, questions)
    return n_requests(questions)


def n_requests(questions: Sequence[Question]) -> int:
    return sum(len(question.candidate_ids) for question in questions)


class Harness:
    """lm-evaluation-harness with batches of one size; called with questions, it answers."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int
    ) -> None:
        from lm_eval.models.huggingface import HFLM

        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        self._lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device="cpu")

    def __call__(self, questions: Sequence[Question]) -> int:
        return len(self.log_likelihoods(questions))

    def log_likelihoods(self, questions: Sequence[Question]) -> list[float]:
        """Of every candidate of every question, in order."""
        requests = [
            ((str(i), str(candidate)), list(question.ids), [candidate])
            for i, question in enumerate(questions)
            for candidate in question.candidate_ids
        ]
        found = self._lm._loglikelihood_tokens(requests, disable_tqdm=True)
        return [value for value, _ in found]


def largest_gap(model: PreTrainedModel, questions: Sequence[Question], harness: Harness) -> float:
    """Between shares of the right answer among the candidates."""
    found = torch.tensor(harness.log_likelihoods(questions)).exp()
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
