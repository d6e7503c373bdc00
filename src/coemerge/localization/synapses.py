"""Knowledge synapses: the columns of attention that a query relies on, and what changing them does
to its knowledge neurons and its answer (methods 5.4).

A synapse is a (layer, head, key position). Axes: N prompts, B rows of a batch, L layers, H query
heads, T tokens, m neurons of a layer.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.attention import eager_attention
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.placement import Function
from coemerge.interventions.scaling import scale_columns
from coemerge.interventions.sites import Site
from coemerge.localization.first_tokens import (
    Ids,
    answer_logprobs,
    check_neurons,
    checked_first_tokens,
    prompt_batches,
    relative_change,
    undisturbed,
)
from coemerge.scoring.forward import keep_logits


def column_scores(pattern: Tensor) -> Tensor:
    """How much attention each key gets, [B,H,T,T] -> [B,H,T]: mean over the queries that see it,
    ``1/(T-j) sum_{i>=j} A[i,j]``.

    Patterns are causal, 0 above the diagonal. A plain sum would favour early keys. The first
    column, where heads without anything to do rest their attention, takes no part: 0.
    """
    n_tokens = pattern.shape[-1]
    n_queries = torch.arange(n_tokens, 0, -1, device=pattern.device)
    scores = pattern.sum(-2) / n_queries
    return torch.cat((torch.zeros_like(scores[..., :1]), scores[..., 1:]), -1)


def synapse_scores(model: nn.Module, prompts: Ids, show_progress: bool = False) -> list[Tensor]:
    """``column_scores`` of all layers and heads, [L,H,T] per prompt, float32 on the CPU.

    Raises ValueError for an empty prompt.
    """
    if any(not len(ids) for ids in prompts):
        raise ValueError("a prompt has no tokens: nothing can be asked")
    sites = [Site("attn_pattern", layer) for layer in range(ModuleMap(model).n_layers)]
    scores = [torch.empty(0)] * len(prompts)
    progress = "synapses" if show_progress else None
    with undisturbed(model) as device, eager_attention(model):
        for rows, ids in prompt_batches(prompts, device, progress):
            with capture(model, sites) as patterns:
                model(input_ids=ids, use_cache=False, **keep_logits(model, 1))
            of_layers = [column_scores(patterns[site].float()) for site in sites]
            of_rows = torch.stack(of_layers, 1).cpu()
            for row, of_row in zip(rows.tolist(), of_rows, strict=True):
                scores[row] = of_row.clone()  # a view would keep the whole batch
    return scores


def chosen_synapses(scores: Tensor, alpha: float = 0.3) -> Tensor:
    """Bool [L,H,T]: scores strictly above ``alpha`` times the prompt's highest; none for a prompt
    of one token. Raises ValueError unless 0 <= alpha < 1."""
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha={alpha}: a share of the highest score, from 0 to below 1")
    return scores > alpha * scores.max()


def find_synapses(model: nn.Module, prompts: Ids, alpha: float = 0.3) -> list[Tensor]:
    """The synapses of each prompt, bool [L,H,T], on the CPU. The paper's ``alpha`` is not known."""
    return [chosen_synapses(scores, alpha) for scores in synapse_scores(model, prompts)]


def unrelated_synapses(synapses: Tensor, other_scores: Tensor) -> Tensor:
    """The control: as many synapses, bool [L,H,T], where another query has its strongest ones.

    ``synapses``: bool [L,H,T] of the query at hand; ``other_scores``: [L,H,S], the other's
    ``synapse_scores``. Its column j lies at the same relative place as column ``j (T-1)/(S-1)``,
    rounded, so that last tokens meet; the first column takes no part. Of columns that meet in one
    the higher score counts. Then as many as in ``synapses`` are taken, highest scores first: the
    other query's own synapses, cut, or filled up by what comes next. Equal scores, and columns that
    none meets, go by layer, head and column. None is among ``synapses``, unless these are more
    than half of all.

    Raises ValueError for other layers or heads.
    """
    if other_scores.shape[:2] != synapses.shape[:2]:
        raise ValueError(
            f"scores {list(other_scores.shape)} and synapses {list(synapses.shape)} are not of one "
            "model: layers and heads differ"
        )
    n_other, n_tokens = other_scores.shape[-1], synapses.shape[-1]
    column = torch.arange(1, n_other, device=other_scores.device)
    column = (column * (n_tokens - 1) / max(n_other - 1, 1)).round().long().clamp(min=1)
    met = other_scores.new_full(synapses.shape, -1.0)  # below any score
    if n_tokens > 1:
        places = column.expand(*synapses.shape[:2], -1)
        met.scatter_reduce_(-1, places, other_scores[..., 1:], "amax")
    met[synapses] = -2.0  # the query's own are what it is compared with
    met[..., 0] = -3.0  # never: at most all others are synapses
    strongest = met.flatten().argsort(descending=True, stable=True)[: int(synapses.sum())]
    chosen = torch.zeros_like(synapses).flatten()
    chosen[strongest.to(chosen.device)] = True
    return chosen.view_as(synapses)


def synapse_effects(
    model: nn.Module,
    prompts: Ids,
    answers: Ids,
    neurons: Tensor,
    synapses: Sequence[Tensor],
    factor: float,
    renormalise: bool = False,
    show_progress: bool = False,
    least: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """(delta_kn [N], delta_prob [N]), float32 on the CPU, of each prompt with attention to its
    ``synapses`` times ``factor`` (see ``scale_columns``).

    ``neurons``: bool [N,L,m], the knowledge neurons of each prompt; ``synapses``: bool [L,H,T] per
    prompt. ``delta_kn = sum (a' - a) / sum |a|`` over the neurons, at ``mlp_act`` of the last
    position; NaN without neurons, or where all are at 0. ``delta_prob = (P' - P) / P`` of the
    answer's first token; NaN where P is below ``least``.

    Raises ValueError for shapes that do not fit and for empty prompts or answers.
    """
    first_tokens = checked_first_tokens(prompts, answers)
    check_neurons(model, neurons, len(prompts))
    _check_synapses(model, prompts, synapses)
    delta_kn, delta_prob = torch.zeros(2, len(prompts))
    progress = f"synapses times {factor:g}" if show_progress else None
    with undisturbed(model) as device, eager_attention(model):
        for rows, ids in prompt_batches(prompts, device, progress):
            columns = torch.stack([synapses[i] for i in rows.tolist()]).to(device)
            changes = scale_columns(columns, factor, renormalise)
            a, p = _run(model, ids, first_tokens[rows], {})
            a_new, p_new = _run(model, ids, first_tokens[rows], changes)
            chosen = neurons[rows].to(device)
            delta_kn[rows] = _relative_change_of_sum(a, a_new, chosen).cpu()
            delta_prob[rows] = relative_change(p, p_new, least).cpu()
    return delta_kn, delta_prob


def _run(
    model: nn.Module, ids: Tensor, first_tokens: Tensor, changes: Mapping[Site, Function]
) -> tuple[Tensor, Tensor]:
    """(neurons at the last position [B,L,m], log-probability of the answer [B]), float32."""
    last: list[Tensor] = []  # layers fire in order

    def read(x: Tensor) -> Tensor:
        last.append(x[:, -1].float().clone())  # not a view, which would keep all positions
        return x

    reading: dict[Site, Callable[[Tensor], Tensor]] = {
        Site("mlp_act", layer): read for layer in range(ModuleMap(model).n_layers)
    }
    with intervene(model, {**reading, **changes}):
        logprobs = answer_logprobs(model, ids, first_tokens)
    return torch.stack(last, 1), logprobs


def _relative_change_of_sum(before: Tensor, after: Tensor, chosen: Tensor) -> Tensor:
    """``sum (a' - a) / sum |a|`` over the chosen of [B,L,m], [B]; NaN where nothing is divided."""
    change = ((after - before) * chosen).sum((1, 2))
    size = (before.abs() * chosen).sum((1, 2))
    return torch.where(size > 0, change / size, torch.nan)


def _check_synapses(model: nn.Module, prompts: Ids, synapses: Sequence[Tensor]) -> None:
    modules = ModuleMap(model)
    if len(synapses) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts, but synapses of {len(synapses)}")
    for i, (ids, of_prompt) in enumerate(zip(prompts, synapses, strict=True)):
        wanted = (modules.n_layers, modules.n_heads, len(ids))
        if of_prompt.dtype != torch.bool or of_prompt.shape != wanted:
            raise ValueError(
                f"synapses of prompt {i} must be bool {list(wanted)}, not {of_prompt.dtype} "
                f"{list(of_prompt.shape)}"
            )
