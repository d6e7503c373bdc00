"""Answer probabilities of many prompts from few forward passes (methods 2.5).

Always float32 with autocast off, so that a live model and its checkpoint score alike. Prompts that
begin alike share rows; of all others a batch holds those of equal length, without padding. Batched
equals single, and only the answer positions go through the last MLP and the unembedding.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from coemerge.interventions.speed import (
    fused_activations,
    last_positions_alone,
    long_row_attention,
    positions_alone,
)
from coemerge.interventions.waiting import known_rows, on_device
from coemerge.scoring.shared_prefixes import (
    SharedRows,
    attention_window,
    shared_rows,
    takes_shared_rows,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What the scorer needs of a prompt: ``ids`` of the prompt, ``answer_ids``, and the first
    tokens of all allowed answers (``candidate_ids``, the right one included)."""

    ids: Sequence[int]
    answer_ids: Sequence[int]
    candidate_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answers:
    """One entry per prompt, all shape [N], on the CPU.

    ``p_first``: probability of the first answer token in the full vocabulary; ``p_full``: of the
    whole answer, teacher forced; ``nll``: mean negative log-probability per answer token, nats;
    ``p_cand``: p_first over the sum of the candidates'; ``rank``: of the first answer token, 0 is
    best; ``correct``: whether it is the top-1 token.
    """

    p_first: Tensor
    p_full: Tensor
    nll: Tensor
    p_cand: Tensor
    rank: Tensor
    correct: Tensor


@torch.no_grad()
def score_prompts(
    model: nn.Module, questions: Sequence[Question], tokens_per_batch: int | None = None
) -> Answers:
    """Scores all questions; the model's mode, gradients and random state are left as found.

    ``tokens_per_batch`` bounds a batch; None takes what suits the device (on a CPU, batches that
    stay in cache are fastest). Raises ValueError on an empty answer or prompt.
    """
    if any(not q.answer_ids for q in questions):
        raise ValueError("a question has an empty answer: nothing can be scored")
    if any(not q.ids for q in questions):
        raise ValueError("a question has an empty prompt: it needs at least one token")
    device = next(model.parameters()).device
    kinds = {"rank": torch.long, "correct": torch.bool}
    found = {  # read when all is done
        field.name: torch.zeros(len(questions), dtype=kinds.get(field.name), device=device)
        for field in fields(Answers)
    }
    with (
        evaluation_mode(model),
        known_rows(device, packed=False),
        torch.autocast(device.type, enabled=False),
    ):
        for index, log_probs in _answer_log_probs(model, questions, tokens_per_batch):
            batch = [questions[i] for i in index]
            first = log_probs[:, 0]
            targets = on_device([q.answer_ids[0] for q in batch], device)
            chosen = first.gather(1, targets[:, None])
            where = on_device(index, device)
            found["p_first"][where] = chosen[:, 0].exp()
            found["rank"][where] = (first > chosen).sum(1)
            found["correct"][where] = first.argmax(1) == targets
            found["p_cand"][where] = _candidate_share(first, chosen, batch)
            answer_logprob_sum, n_answer = _full_answer(log_probs, batch)
            found["p_full"][where] = answer_logprob_sum.exp()
            found["nll"][where] = -answer_logprob_sum / n_answer
    return Answers(**{name: values.cpu() for name, values in found.items()})


@torch.no_grad()
def next_token_distribution(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """Shape [d_vocab], float32: the distribution that ``p_first`` is read from."""
    device = next(model.parameters()).device
    with evaluation_mode(model), torch.autocast(device.type, enabled=False):
        ((_, log_probs),) = _answer_log_probs(model, [Question(ids, [0], [0])])
        return log_probs[0, 0].exp()


def answers_right(
    model: nn.Module, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> np.ndarray:
    """Bool [N]: whether the answer's first token is the likeliest after its prompt."""
    pairs = zip(prompts, answers, strict=True)
    questions = [Question(prompt, answer, [answer[0]]) for prompt, answer in pairs]
    return score_prompts(model, questions).correct.numpy()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode restored afterwards, also on exceptions."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def equal_batches(
    sizes: Sequence[tuple[int, int]], device: torch.device, tokens_per_batch: int | None = None
) -> Iterator[list[int]]:
    """Indices of items of equal size: (tokens of the prompt, of the answer)."""
    tokens_per_batch = tokens_per_batch or _tokens_per_batch(device)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, size in enumerate(sizes):
        groups[size].append(index)
    for (n_prompt, n_answer), members in sorted(groups.items()):
        at_once = max(1, tokens_per_batch // (n_prompt + n_answer - 1))
        for start in range(0, len(members), at_once):
            yield members[start : start + at_once]


def _tokens_per_batch(device: torch.device) -> int:
    return 1024 * torch.get_num_threads() if device.type == "cpu" else 65_536


def _answer_log_probs(
    model: nn.Module, questions: Sequence[Question], tokens_per_batch: int | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """(which questions, log-probabilities at their answer positions [B, n_answer, d_vocab])."""
    like = next(model.parameters())
    tokens_per_batch = tokens_per_batch or _tokens_per_batch(like.device)
    texts = [(*q.ids, *q.answer_ids[:-1]) for q in questions]
    n_answers = [len(q.answer_ids) for q in questions]
    alone = list(range(len(texts)))
    if takes_shared_rows(model):
        window = attention_window(model)
        alone, shared = shared_rows(texts, n_answers, tokens_per_batch, like, window)
        for rows in shared:
            yield rows.index, _log_probs_of_shared(model, rows)
    sizes = [(len(questions[i].ids), n_answers[i]) for i in alone]
    for members in equal_batches(sizes, like.device, tokens_per_batch):
        index = [alone[i] for i in members]
        ids = on_device([texts[i] for i in index], like.device)
        yield index, _last_log_probs(model, ids, n_answers[index[0]])


def _log_probs_of_shared(model: nn.Module, shared: SharedRows) -> Tensor:
    where = {"position_ids": shared.positions, "attention_mask": shared.mask}
    alone = positions_alone(model, shared.rows, shared.columns)
    with fused_activations(model), long_row_attention(model), alone:
        logits = model(input_ids=shared.ids, use_cache=False, **where).logits
    return logits.float().log_softmax(-1)


def _last_log_probs(model: nn.Module, ids: Tensor, n: int) -> Tensor:
    with fused_activations(model), last_positions_alone(model, n):
        logits = model(input_ids=ids, use_cache=False, **keep_logits(model, n)).logits
    return logits[:, -n:].float().log_softmax(-1)


def keep_logits(model: nn.Module, n: int) -> dict[str, int]:
    """Arguments that spare the unembedding of all but the last ``n`` positions, where known."""
    known = "logits_to_keep" in inspect.signature(model.forward).parameters
    return {"logits_to_keep": n} if known else {}


def _candidate_share(first: Tensor, chosen: Tensor, batch: Sequence[Question]) -> Tensor:
    """p(answer) / sum of p(candidate), [B]."""
    width = max(len(q.candidate_ids) for q in batch)
    padded = [[*q.candidate_ids, *[-1] * (width - len(q.candidate_ids))] for q in batch]
    ids = on_device(padded, first.device)
    among = first.gather(1, ids.clamp(min=0)).masked_fill(ids < 0, -torch.inf)
    return (chosen[:, 0] - among.logsumexp(1)).exp()


def _full_answer(log_probs: Tensor, batch: Sequence[Question]) -> tuple[Tensor, int]:
    """(sum of the answer tokens' log-probabilities [B], number of answer tokens)."""
    ids = on_device([list(q.answer_ids) for q in batch], log_probs.device)
    return log_probs.gather(2, ids[..., None])[..., 0].sum(1), ids.shape[1]


def chance_normalised(p: Tensor | float, chance: Tensor | float) -> Tensor | float:
    """``(p - chance) / (1 - chance)``: 0 at chance, 1 when certain, not clipped (methods 2.5)."""
    return (p - chance) / (1 - chance)
