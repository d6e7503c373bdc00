"""Requests of random tokens, of several shapes, for the tiny models of every architecture."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from coemerge.editing.requests import Goal, Request
from tests.interventions.models import D_VOCAB, tokens

CONTEXTS = [(), (5, 9, 11), (8, 2), (40, 3, 17)]


def some_requests(n: int = 5) -> list[Request]:
    """Subjects at the front, inside and at the end of prompts; targets of one and two tokens."""
    requests = []
    for index in range(n):
        ids = tokens(7 - index % 3, seed=index).tolist()
        first = (0, 2, len(ids) - 2)[index % 3]
        target = [(index * 7 + 3) % D_VOCAB, 9][: 1 + index % 2]
        true = [(index * 11 + 1) % D_VOCAB]
        requests.append(Request(Goal(ids, (first, first + 2), target), true))
    return requests


def broken_request(model: PreTrainedModel, others: Sequence[Request]) -> Request:
    """One that diverges: its subject has a token whose embedding in ``model``, a GPT-2, is made
    infinite. It is in none of the ``others``, nor in ``CONTEXTS``."""
    rows = [*CONTEXTS, *(goal.ids for request in others for goal in request.goals)]
    bad = min(set(range(D_VOCAB)) - {token for row in rows for token in row})
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        model.transformer.wte.weight[bad] = torch.inf
    return Request(Goal([1, bad, 2], (0, 2), [4]), [5])
