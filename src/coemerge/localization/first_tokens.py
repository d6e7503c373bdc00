"""The probability of an answer's first token, whatever is done inside the model meanwhile.

Prompts of equal length share a batch: no padding, hence the last position is -1 in all rows.
Several-token answers count by their first token: neurons and attention are changed while the prompt
is read, not while an answer is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.guard import unchanged
from coemerge.interventions.speed import fast_passes
from coemerge.interventions.waiting import known_rows
from coemerge.scoring.forward import equal_batches, keep_logits

Ids = Sequence[Sequence[int]]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[torch.device]:
    """Eval mode, float32 and no gradients inside; the model is left as found. Yields its device."""
    device = next(model.parameters()).device
    with (
        unchanged(model, weights="unchecked"),
        fast_passes(model),
        known_rows(device, packed=False),
        torch.autocast(device.type, enabled=False),
        torch.no_grad(),
    ):
        model.eval()
        yield device


def prompt_batches(
    prompts: Ids, device: torch.device, progress: str | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows [B], on the CPU; their token ids [B,T]), all prompts, in batches that suit the device.

    ``progress``: what a bar says; None shows none.
    """
    sizes = [(len(ids), 1) for ids in prompts]
    with tqdm(total=len(sizes), desc=progress, unit="prompt", disable=progress is None) as bar:
        for rows in equal_batches(sizes, device):
            yield torch.tensor(rows), torch.tensor([prompts[i] for i in rows], device=device)
            bar.update(len(rows))


def answer_logprobs(model: nn.Module, ids: Tensor, first_tokens: Tensor) -> Tensor:
    """Log-probability of ``first_tokens`` [B] after each row of ``ids`` [B,T], float32 [B]."""
    logits = model(input_ids=ids, use_cache=False, **keep_logits(model, 1)).logits[:, -1]
    chosen = first_tokens.to(logits.device)[:, None]
    return logits.float().log_softmax(-1).gather(1, chosen)[:, 0]


def relative_change(before: Tensor, after: Tensor, least: float = 0.0) -> Tensor:
    """``(P' - P) / P`` of log-probabilities: exact for small changes, defined for vanishing P; NaN
    where P is below ``least``."""
    return torch.expm1(after - before).masked_fill(before.exp() < least, torch.nan)


def checked_first_tokens(prompts: Ids, answers: Ids) -> Tensor:
    """First answer tokens [N]. Raises ValueError, naming the prompt, for missing or empty ones."""
    if len(prompts) != len(answers):
        raise ValueError(f"{len(prompts)} prompts have {len(answers)} answers: each needs one")
    for name, texts in (("prompt", prompts), ("answer", answers)):
        for i, ids in enumerate(texts):
            if not len(ids):
                raise ValueError(f"{name} {i} has no tokens: nothing can be asked")
    return torch.tensor([ids[0] for ids in answers], dtype=torch.long)


def check_neurons(model: nn.Module, neurons: Tensor, n_rows: int) -> None:
    """Raises ValueError unless ``neurons`` is bool [n_rows,L,m] of this model."""
    modules = ModuleMap(model)
    wanted = (n_rows, modules.n_layers, modules.d_mlp)
    if neurons.dtype != torch.bool or neurons.shape != wanted:
        raise ValueError(
            f"neurons must be bool {list(wanted)}, one set per row, not {neurons.dtype} "
            f"{list(neurons.shape)}"
        )
