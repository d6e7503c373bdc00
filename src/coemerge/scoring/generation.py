"""What a model says by itself, and whether that is the answer: greedy, batched, float32."""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from coemerge.scoring.forward import equal_batches, evaluation_mode, keep_logits

Within = Callable[[Sequence[int]], AbstractContextManager[object]]
N_TOLERATED = 3  # generated tokens in which the answer may stand (methods 2.5)


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    n_tokens: int,
    tokens_per_batch: int | None = None,
    within: Within | None = None,
    stop: int | None = None,
) -> Tensor:
    """The ``n_tokens`` most probable next tokens of each prompt, one after the other, [N, n].

    Prompts of equal length share a batch, and keys and values are kept from token to token. The
    model's mode is left as found.

    ``within``: given the prompts of a batch (their indices, in the order of its rows), a context
    in which all passes of that batch run: where interventions go. ``stop``: a token after which a
    row has nothing more to say; the rest of the row is that token.
    """
    device = next(model.parameters()).device
    said = torch.zeros(len(prompts), n_tokens, dtype=torch.long)
    sizes = [(len(prompt), n_tokens) for prompt in prompts]
    with evaluation_mode(model), torch.autocast(device.type, enabled=False):
        for index in equal_batches(sizes, device, tokens_per_batch):
            ids = torch.tensor([list(prompts[i]) for i in index], device=device)
            with within(index) if within else nullcontext():
                said[torch.as_tensor(index)] = _continue(model, ids, n_tokens, stop).cpu()
    return said


def _continue(model: nn.Module, ids: Tensor, n_tokens: int, stop: int | None) -> Tensor:
    """The next ``n_tokens`` of each row of ``ids`` [B,T], [B,n]."""
    said = ids.new_full((len(ids), n_tokens), 0 if stop is None else stop, dtype=torch.long)
    past, is_done = None, torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for position in range(n_tokens):
        out = model(input_ids=ids, past_key_values=past, use_cache=True, **keep_logits(model, 1))
        ids = out.logits[:, -1].float().argmax(-1, keepdim=True)
        past = out.past_key_values
        if stop is not None:
            ids = ids.masked_fill(is_done[:, None], stop)
            is_done |= ids[:, 0] == stop
        said[:, position] = ids[:, 0]
        if stop is not None and is_done.all():
            break
    return said


@dataclass(frozen=True, slots=True)
class Correct:
    """Per prompt, bool [N] (methods 2.5). ``first``: the top-1 token is the answer's first;
    ``full``: greedy decoding says the whole answer; ``tolerant``: the top-1 token begins the
    answer, or the answer stands in the first three generated tokens."""

    first: np.ndarray
    full: np.ndarray
    tolerant: np.ndarray


def judge(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    answer_ids: Sequence[Sequence[int]],
    answers: Sequence[str],
) -> Correct:
    """``answers`` are the texts of ``answer_ids``."""
    rows = _say_enough(model, prompts, [max(N_TOLERATED, len(ids)) for ids in answer_ids])
    texts = tokenizer.batch_decode([row[:N_TOLERATED] for row in rows], skip_special_tokens=True)
    tops = tokenizer.batch_decode([row[:1] for row in rows], skip_special_tokens=True)
    first = [row[0] == ids[0] for row, ids in zip(rows, answer_ids, strict=True)]
    full = [row[: len(ids)] == list(ids) for row, ids in zip(rows, answer_ids, strict=True)]
    tolerant = [
        _is_said(answer, text) or (bool(top.strip()) and answer.startswith(top.strip()))
        for text, top, answer in zip(texts, tops, answers, strict=True)
    ]
    return Correct(np.array(first, bool), np.array(full, bool), np.array(tolerant, bool))


def _is_said(answer: str, text: str) -> bool:
    """As words of their own: the letter A does not stand in "Answer"."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def _say_enough(
    model: nn.Module, prompts: Sequence[Sequence[int]], lengths: Sequence[int]
) -> list[list[int]]:
    """As many tokens after each prompt as its entry of ``lengths`` says."""
    said: list[list[int]] = [[] for _ in prompts]
    for length in sorted(set(lengths)):
        chosen = [i for i, n in enumerate(lengths) if n == length]
        rows = generate(model, [prompts[i] for i in chosen], length).tolist()
        for i, row in zip(chosen, rows, strict=True):
            said[i] = row
    return said
