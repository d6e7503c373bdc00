"""Which value a subject should have, so that a model answers as requested (methods 2.10).

A change delta [d] is added at the subject's last token, and moved by gradient until the model says
the target behind every context. Requests are independent, and many are optimised at once.
Axes: E requests, d residual width.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.editing.contexts import check_contexts
from coemerge.editing.descent import Descent, descend
from coemerge.editing.objective import Objective, Where
from coemerge.editing.requests import Ids, Request, check_layers, check_requests
from coemerge.editing.value_config import ValueConfig
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.guard import unchanged
from coemerge.interventions.speed import fast_passes

# Tokens that one pass runs, and numbers that its logits hold.
_MAX_SIZES = {"cpu": (2048, 1 << 24)}
_MAX_SIZES_ELSEWHERE = (32_768, 1 << 28)


def optimise_values(
    model: nn.Module,
    requests: Sequence[Request],
    contexts: Sequence[Ids],
    layer: int,
    where: Where,
    config: ValueConfig,
    show_progress: bool = False,
) -> tuple[Tensor, Descent]:
    """(v0 [E,d], the deltas [E,d] and how they were found) at each subject's last token.

    v0 is what stands there behind no context. The model is left as found.

    Loss: for each goal the mean over contexts of the target's NLL per token, plus KL and weight
    decay (see ``ValueConfig``). Raises ValueError for bad requests, layer, contexts or settings.
    """
    config.check()
    if not requests:
        raise ValueError("requests: there are none, so there is nothing to edit")
    check_layers(model, [layer])
    check_contexts(contexts)
    check_requests(model, requests, max(map(len, contexts)))
    found: list[tuple[Tensor, Descent]] = []
    order: list[int] = []
    device = next(model.parameters()).device
    with (
        unchanged(model),
        torch.autocast(device.type, enabled=False),
        fast_passes(model.eval().requires_grad_(False)),
        tqdm(total=len(requests), desc="values", unit="edit", disable=not show_progress) as bar,
    ):
        for index in _cut(model, requests, contexts, config):
            chosen = [requests[i] for i in index]
            found.append(_optimise(model, chosen, contexts, layer, where, config))
            order += index
            bar.update(len(index))
    descent = Descent.joined([part for _, part in found], order)
    place = torch.tensor(order, device=device).argsort()
    return torch.cat([before for before, _ in found])[place], descent


def _cut(
    model: nn.Module, requests: Sequence[Request], contexts: Sequence[Ids], config: ValueConfig
) -> Iterator[list[int]]:
    """Requests of similar size, as many as suit the device's memory or cache."""
    device = next(model.parameters()).device
    most_tokens, most_values = _MAX_SIZES.get(device.type, _MAX_SIZES_ELSEWHERE)
    n_vocab = projection_matrix(ModuleMap(model).unembedding).shape[1]

    def longest(request: Request) -> int:
        return max(len(g.ids) - g.subject[1] + len(g.target) for g in request.goals)

    part: list[int] = []
    for index in sorted(range(len(requests)), key=lambda i: longest(requests[i])):
        n_rows = len(contexts) + 1 + (requests[index].also is not None) * config.also_contexts
        rows = n_rows * (len(part) + 1)
        n_places = 1 + max(len(g.target) for i in [*part, index] for g in requests[i].goals)
        too_long = rows * longest(requests[index]) > most_tokens
        if part and (too_long or rows * n_places * n_vocab > most_values):
            yield part
            part = []
        part.append(index)
    if part:
        yield part


def _optimise(
    model: nn.Module,
    requests: Sequence[Request],
    contexts: Sequence[Ids],
    layer: int,
    where: Where,
    config: ValueConfig,
) -> tuple[Tensor, Descent]:
    """(v0 [E,d], what was found) of requests that fit one pass."""
    objective = Objective.of(model, requests, contexts, layer, where, config.also_contexts)
    before = objective.value
    norm = before.norm(dim=1)
    with torch.no_grad():
        reference = objective.neutral_log_probs(torch.zeros_like(before))

    def losses(delta: Tensor, counts: Tensor) -> Tensor:
        nonlocal objective
        if not bool(counts[objective.neutral.request].all()):  # what is done needs no more passes
            objective = objective.keep(counts)
        return objective.losses(delta, reference, config)

    return before, descend(
        losses,
        torch.zeros_like(before),
        config.lr,
        config.steps - 1,
        config.stop_loss,
        lambda delta: delta * (config.max_norm * norm / delta.norm(dim=1)).clamp(max=1)[:, None],
    )
