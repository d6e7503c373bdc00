"""Which neurons an answer is due to: attribution at the last position of a prompt (methods 2.9).

For prompt x, answer token y and layer l, P(u) is the probability of y when ``mlp_act.l`` at the
last prompt position is replaced by u [m], everything else live; a is its own value there. A neuron
is credited with its part of what P gains between 0 and a. After Dai et al., Knowledge Neurons
(2104.08696), and the public code for causal models.

Where a norm follows the MLP (Gemma-2, OLMo-2, OLMo-3), it undoes the scale of what the neurons
write: P changes with the path's scale just above 0 alone, where no grid of some points looks.
There, scores of ``joint`` and ``gradient`` do not sum to what P gains, and ``single`` is the
method to trust.

Axes: N prompts, B prompts of one batch, L layers, m neurons of a layer.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.guard import unchanged
from coemerge.interventions.speed import fast_passes
from coemerge.interventions.waiting import known_rows, on_device
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.last_position import LastPosition
from coemerge.localization.paths import ablation_loss, mean_gradient
from coemerge.scoring.forward import equal_batches

log = logging.getLogger(__name__)

_MAX_POINTS = 128  # of one prompt in a pass: each has a key that all others only mask


def attribute(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    config: AttributionConfig | None = None,
    show_progress: bool = False,
) -> Tensor:
    """Attribution of every neuron for every prompt, float32 [N,L,m] on the CPU.

    ``prompts``, ``answers``: token ids, of any lengths. An answer of several tokens is teacher
    forced: position j asks for its token j after the prompt and the tokens before j, and the mean
    over positions is returned.

    In float32 without autocast, in eval mode; the model is left as found, also when this raises.
    Raises ValueError for an empty prompt or answer, a token that the model does not know, a
    sequence longer than its context, and bad settings.
    """
    config = config or AttributionConfig()
    config.check()
    modules = ModuleMap(model)
    check_tokens(modules, prompts, answers)
    _warn_of_norm(modules, config)
    asked = _answer_positions(prompts, answers)
    attribution = torch.zeros(len(prompts), modules.n_layers, modules.d_mlp)
    device = next(model.parameters()).device
    rows = config.rows_per_chunk or default_rows(modules, device)
    bar = tqdm(total=len(asked), desc="attributing", unit="prompt", disable=not show_progress)
    with (
        bar,
        unchanged(model),
        fast_passes(model),
        known_rows(device, packed=False),
        torch.autocast(device.type, enabled=False),
        torch.enable_grad(),
    ):
        model.eval().requires_grad_(False)
        for index in equal_batches([(len(one.ids), 1) for one in asked], device, rows):
            batch = [asked[i] for i in index]
            ids, targets, owner = (torch.tensor(part) for part in zip(*batch, strict=True))
            last = LastPosition(model, on_device(ids, device), on_device(targets, device))
            scores = _attribute_batch(last, config, rows)
            attribution.index_add_(0, owner, scores.float().cpu())
            bar.update(len(batch))
    n_tokens = torch.tensor([len(answer) for answer in answers]).view(-1, 1, 1)
    return attribution / n_tokens


class _Asked(NamedTuple):
    """``target``: the token asked for after ``ids``. ``owner``: for which prompt of the call."""

    ids: list[int]
    target: int
    owner: int


def _answer_positions(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> list[_Asked]:
    return [
        _Asked([*prompt, *answer[:j]], token, n)
        for n, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        for j, token in enumerate(answer)
    ]


def default_rows(modules: ModuleMap, device: torch.device) -> int:
    """Rows of a pass that, with their logits, a CPU's cache or another device's memory holds."""
    n_vocab = projection_matrix(modules.unembedding).shape[1]
    most, logit_bytes = (2048, 1 << 24) if device.type == "cpu" else (65_536, 1 << 30)
    return max(1, min(most, logit_bytes // (4 * n_vocab)))


def _attribute_batch(last: LastPosition, config: AttributionConfig, rows: int) -> Tensor:
    """[B,L,m]."""
    if config.method == "gradient":
        activations = torch.stack(last.activations, 1)
        shift = torch.zeros_like(activations).requires_grad_()
        (gradient,) = torch.autograd.grad(last.with_shift(shift).sum(), shift)
        return activations * gradient
    return torch.stack(list(_by_layer(last, config, rows)), 1)


def _by_layer(last: LastPosition, config: AttributionConfig, rows: int) -> Iterator[Tensor]:
    """[B,m] per layer."""
    for layer, activation in enumerate(last.activations):
        at_once = min(_MAX_POINTS, max(1, rows // len(activation)))
        if config.method == "joint":  # the way from neurons to their product is linear
            down = last.down_projection(layer)
            with_product = partial(last.with_product, layer)
            slope = mean_gradient(with_product, activation @ down, config, at_once)
            yield activation * (slope @ down.T)
        else:
            yield ablation_loss(partial(last.with_neurons, layer), activation, at_once)


def _warn_of_norm(modules: ModuleMap, config: AttributionConfig) -> None:
    if config.method != "single" and "norm" in modules.layout.mlp_out:
        log.warning(
            "a norm after the MLP of this %s model undoes the scale of its neurons: scores of %r "
            "do not sum to what the answer gains; attribution.method=single does not depend on it",
            modules.model_type,
            config.method,
        )


def check_tokens(
    modules: ModuleMap, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> None:
    """Raises ValueError, naming the prompt, for empty ones, and tokens or lengths that the model
    does not know."""
    if len(prompts) != len(answers):
        raise ValueError(f"{len(prompts)} prompts but {len(answers)} answers: give one for each")
    n_vocab = projection_matrix(modules.unembedding).shape[1]
    context = getattr(modules.model.config, "max_position_embeddings", None)
    for n, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        for name, ids in (("prompt", prompt), ("answer", answer)):
            if not len(ids):
                raise ValueError(f"{name} {n} is empty: it needs at least one token")
            if not 0 <= min(ids) <= max(ids) < n_vocab:
                raise ValueError(
                    f"{name} {n} has tokens outside of 0 to {n_vocab - 1}, the model's vocabulary"
                )
        length = len(prompt) + len(answer) - 1
        if context is not None and length > context:
            raise ValueError(
                f"prompt {n} with its answer takes {length} tokens, the model {context}"
            )
