"""What neurons do for an answer: its probability with their activations suppressed or enhanced
(methods 5.4)."""

import torch
from torch import Tensor, nn

from coemerge.interventions.hooks import intervene
from coemerge.interventions.positions import PositionKind, position_mask
from coemerge.interventions.scaling import scale_neurons
from coemerge.localization.first_tokens import (
    Ids,
    answer_logprobs,
    check_neurons,
    checked_first_tokens,
    prompt_batches,
    relative_change,
    undisturbed,
)


def change_of_probability(
    model: nn.Module,
    prompts: Ids,
    answers: Ids,
    neurons: Tensor,
    prompt_of_row: Tensor,
    factor: float,
    positions: PositionKind = "last",
    show_progress: bool = False,
    least: float = 0.0,
) -> Tensor:
    """``(P' - P) / P`` of each answer's first token with a set of neurons times ``factor``.

    R rows are tried, many sets per prompt: ``neurons`` bool [R,L,m], ``prompt_of_row`` [R]; row r
    asks prompt ``prompt_of_row[r]`` with set r at ``mlp_act``, at the ``last`` position of the
    prompt, where knowledge neurons are looked for, or at ``all``. P is that of the untouched model,
    computed once per prompt.

    Returns [R], float32 on the CPU; 0 up to rounding for an empty set. Where P is tiny the ratio
    says little: it is NaN where P is below ``least`` (methods 2.11). A set is turned into numbers
    only while its batch is computed. Raises ValueError for shapes that do not fit and for empty
    prompts or answers.
    """
    first_tokens = checked_first_tokens(prompts, answers)
    prompt_of_row = torch.as_tensor(prompt_of_row, dtype=torch.long).cpu()
    check_neurons(model, neurons, len(prompt_of_row))
    if positions not in ("last", "all"):
        raise ValueError(f"positions={positions!r}: must be last or all")
    if len(prompt_of_row) and not 0 <= prompt_of_row.min() <= prompt_of_row.max() < len(prompts):
        raise ValueError(f"prompt_of_row must be indices of the {len(prompts)} prompts")

    before, after = torch.zeros(len(prompts)), torch.zeros(len(prompt_of_row))
    of_rows = [prompts[i] for i in prompt_of_row.tolist()]
    asked = prompt_of_row.unique()
    with undisturbed(model) as device:
        for rows, ids in prompt_batches([prompts[i] for i in asked.tolist()], device):
            which = asked[rows]
            before[which] = answer_logprobs(model, ids, first_tokens[which]).cpu()
        for rows, ids in prompt_batches(of_rows, device, _said(factor) if show_progress else None):
            at = position_mask(positions, *ids.shape).to(device)
            with intervene(model, scale_neurons(neurons[rows].to(device), factor, at)):
                targets = first_tokens[prompt_of_row[rows]]
                after[rows] = answer_logprobs(model, ids, targets).cpu()
    return relative_change(before[prompt_of_row], after, least)


def _said(factor: float) -> str:
    return f"neurons times {factor:g}"
