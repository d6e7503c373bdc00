"""The terms of the objective, pure functions of logits (methods 3.5).

Axes: B rows (prompts under their masks), V vocabulary, C candidates, J masks. ``logits`` [B,V] are
those of the position that predicts the answer. Terms are in nats, one per row; sparsity is one per
mask.
"""

import torch
from torch import Tensor

NO_CANDIDATE = -1  # fills rows of ``candidates`` that have fewer than others


def necessity_kl_to_uniform(logits: Tensor, candidates: Tensor) -> Tensor:
    """KL(uniform || answer distribution restricted to the candidates), [B].

    Zero at chance, and rises on both sides of it: a mask gains nothing from installing a wrong
    answer. ``candidates`` [B,C]: token ids, padded with ``NO_CANDIDATE``.
    """
    is_real = candidates != NO_CANDIDATE
    among = logits.gather(1, candidates.clamp(min=0)).masked_fill(~is_real, -torch.inf)
    log_probs = among.log_softmax(1).masked_fill(~is_real, 0)
    n = is_real.sum(1)
    return -log_probs.sum(1) / n - n.to(logits).log()


def necessity_nll_of_rest(logits: Tensor, answers: Tensor, candidates: Tensor) -> Tensor:
    """-log(1 - p'), p' the answer's probability normalised by chance and not below 0, [B].

    1 - p' = (1 - p) / (1 - chance), from a sum over all other tokens, so that a certain answer
    still has a gradient; at chance or below the loss and its gradient are 0.
    """
    others = logits.scatter(1, answers[:, None], -torch.inf)
    log_rest = others.logsumexp(1) - logits.logsumexp(1)
    chance = 1 / (candidates != NO_CANDIDATE).sum(1)
    return ((1 - chance).log() - log_rest).clamp(min=0)


def answer_nll(logits: Tensor, answers: Tensor) -> Tensor:
    """-log p(answer) in the full vocabulary, [B]: sufficiency in patched runs."""
    return -logits.log_softmax(1).gather(1, answers[:, None])[:, 0]


def specificity_kl(logits: Tensor, clean_log_probs: Tensor) -> Tensor:
    """KL(clean || ablated) over the full vocabulary, [B]; ``clean_log_probs`` [B,V]."""
    difference = clean_log_probs - logits.log_softmax(1)
    return (clean_log_probs.exp() * difference).sum(1)


def sparsity(p_heads: Tensor, p_neurons: Tensor, w_heads: float, w_neurons: float) -> Tensor:
    """w_h * mean P(head open) + w_n * mean P(neuron open), [J]; from [J,L,H] and [J,L,m].

    Kinds are normalised separately, since neurons outnumber heads.
    """
    return w_heads * p_heads.mean((1, 2)) + w_neurons * p_neurons.mean((1, 2))
