"""Requests of random tokens, of several shapes, for the tiny models of every architecture."""

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
