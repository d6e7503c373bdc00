"""Scoring all prompts in batches against one prompt at a time; same answers."""

import time
from collections.abc import Iterator

import torch

from benchmarks.common import small_dataset
from coemerge.lm.build import build_model
from coemerge.scoring.forward import Question, score_prompts
from coemerge.scoring.probe import make_probe

N_SINGLE = 500


def run() -> Iterator[str]:
    chosen, dataset = small_dataset()
    config = chosen.config
    model = build_model(config.model, dataset.tokenizer, dataset.store.row_length, "sdpa", 0)
    questions = list(make_probe(dataset.prompts).questions)[::10]
    single, answers = _timed(model, questions[:N_SINGLE], tokens_per_batch=1)
    for tokens_per_batch in (2048, 8192, 32768):
        rate, batched = _timed(model, questions, tokens_per_batch)
        gap = (batched[:N_SINGLE] - answers).abs().max()
        yield (
            f"scoring         {tokens_per_batch} tokens per batch: {rate:,.0f} prompts/s, "
            f"{rate / single:.1f} x one at a time (largest difference {gap:.0e})"
        )


def _timed(
    model: torch.nn.Module, questions: list[Question], tokens_per_batch: int
) -> tuple[float, torch.Tensor]:
    started = time.perf_counter()
    answers = score_prompts(model, questions, tokens_per_batch)
    return len(questions) / (time.perf_counter() - started), answers.p_first
