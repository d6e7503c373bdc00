"""What a model predicts next with many sets of neurons suppressed or enhanced (methods 6.4).

Neurons are changed at the last position of a prompt alone. So what comes before is computed once,
for all changes of a prompt together, and each change costs one token (see ``last_position``).

Axes: N prompts, S sorts of prompts, C changes, L layers, m neurons of a layer, K tokens asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap
from coemerge.localization.first_tokens import undisturbed
from coemerge.localization.knowledge_neurons import check_tokens, default_rows
from coemerge.localization.last_position import LastPosition
from coemerge.scoring.forward import equal_batches

_MAX_CHANGES = 128  # in a pass: each has a key that all others only mask


@dataclass(frozen=True)
class Predictions:
    """On the CPU: ``log_probs`` float32 [N,1+C,K] of the tokens asked for, ``likeliest`` [N,1+C] of
    all tokens. Entry 0 is the untouched model, the others are its changes in order."""

    log_probs: Tensor
    likeliest: Tensor


def predict_changed(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    tokens: Tensor,
    neurons: Tensor,
    sort_of_prompt: Tensor,
    factors: Sequence[float],
    show_progress: bool = False,
) -> Predictions:
    """Of every prompt under every change: the neurons of ``neurons`` bool [S,C,L,m] times
    ``factors`` [C], at the prompt's last position.

    ``tokens`` [N,K]: whose probabilities are read; ``sort_of_prompt`` [N]: whose changes a prompt
    undergoes. A change without neurons is the untouched model to the bit. In float32, in eval mode;
    the model is left as found, also when this raises. Raises ValueError for shapes that do not fit,
    empty prompts, and tokens or lengths that the model does not know.
    """
    sort_of_prompt = torch.as_tensor(sort_of_prompt, dtype=torch.long)
    _check(model, prompts, tokens, neurons, sort_of_prompt, factors)
    n_changes = neurons.shape[1]
    log_probs = torch.zeros(len(prompts), 1 + n_changes, tokens.shape[1])
    likeliest = torch.zeros(len(prompts), 1 + n_changes, dtype=torch.long)
    untouched = neurons.new_zeros(1, *neurons.shape[2:])
    bar = tqdm(
        total=len(prompts), desc="changing neurons", unit="prompt", disable=not show_progress
    )
    with bar, undisturbed(model) as device:
        of_change = torch.tensor([1.0, *factors], device=device)
        rows = default_rows(ModuleMap(model), device)
        # a prompt takes its own tokens but for the last, and one for each variant of that
        sizes = [(len(ids), 1 + n_changes) for ids in prompts]
        for index in equal_batches(sizes, device, rows):
            ids = torch.tensor([prompts[i] for i in index], device=device)
            changed = [torch.cat((untouched, neurons[s])) for s in sort_of_prompt[index]]
            chosen = torch.stack(changed).to(device)
            found = _run(LastPosition(model, ids), chosen, of_change, tokens[index], rows)
            log_probs[index], likeliest[index] = (part.cpu() for part in found)
            bar.update(len(index))
    return Predictions(log_probs, likeliest)


def _run(
    last: LastPosition, chosen: Tensor, factors: Tensor, tokens: Tensor, rows: int
) -> tuple[Tensor, Tensor]:
    """Log-probabilities [B,1+C,K] of ``tokens`` and the likeliest ones [B,1+C]."""
    at_once = min(_MAX_CHANGES, max(1, rows // len(chosen)))
    tokens = tokens.to(chosen.device)[:, None]
    log_probs, likeliest = [], []
    for part, of_part in zip(chosen.split(at_once, 1), factors.split(at_once), strict=True):
        found = last.scaled(part, of_part)
        log_probs.append(found.gather(2, tokens.expand(-1, part.shape[1], -1)))
        likeliest.append(found.argmax(-1))
    values, top = torch.cat(log_probs, 1), torch.cat(likeliest, 1)
    # rows of one product may be rounded differently
    is_changed = chosen.flatten(2).any(-1)
    values = torch.where(is_changed[..., None], values, values[:, :1])
    return values, torch.where(is_changed, top, top[:, :1])


def _check(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    tokens: Tensor,
    neurons: Tensor,
    sort_of_prompt: Tensor,
    factors: Sequence[float],
) -> None:
    modules = ModuleMap(model)
    wanted = [len(neurons), len(factors), modules.n_layers, modules.d_mlp]
    if neurons.dtype != torch.bool or list(neurons.shape) != wanted:
        raise ValueError(
            f"neurons must be bool {wanted}, not {neurons.dtype} {list(neurons.shape)}: a set for "
            "each of the factors"
        )
    if (
        tokens.ndim != 2
        or not tokens.shape[1]
        or not len(prompts) == len(tokens) == len(sort_of_prompt)
    ):
        raise ValueError(
            f"{len(prompts)} prompts need tokens [{len(prompts)}, K], not {list(tokens.shape)}, "
            f"and as many sorts, not {list(sort_of_prompt.shape)}"
        )
    if len(prompts) and not 0 <= sort_of_prompt.min() <= sort_of_prompt.max() < len(neurons):
        raise ValueError(f"sort_of_prompt must be indices of the {len(neurons)} sorts")
    # one at a time: none of these tokens is read together with another
    for extreme in (tokens.amin(1), tokens.amax(1)):
        check_tokens(modules, prompts, extreme[:, None].tolist())
