"""Prompts that begin alike share a row, and what they share is computed once.

A row holds a tree of tokens: prompts in alphabetical order, of each what its predecessor does not
begin with. Every token sees its own beginning alone, at its own position, so the answers are those
of prompts asked one by one, up to rounding. The probe of a run asks each fact in many phrasings and
with rotated options: its trees have little more than half of its tokens.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import LAYOUTS
from coemerge.interventions.speed import is_plain
from coemerge.interventions.waiting import on_device

CAPACITY = 128  # tokens of a row: longer ones share more, and spend more on attention
WORTH = 0.8  # of the tokens of prompts one by one: a row's attention is dearer than a prompt's

Text = Sequence[int]


@dataclass
class Row:
    """``prompts``: which, and how many tokens each shares with the one before."""

    prompts: list[tuple[int, int]]
    n_tokens: int = 0


@dataclass(frozen=True)
class SharedRows:
    """B rows of T tokens with P prompts. ``index``: which these are; ``ids``, ``positions`` [B,T];
    ``mask`` [B,1,T,T], added to the scores of attention: 0 or -inf; ``rows`` [P,1] and ``columns``
    [P,A]: where the last A tokens of every prompt lie."""

    index: list[int]
    ids: Tensor
    positions: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor


def takes_shared_rows(model: nn.Module) -> bool:
    """Whether the model is of a known architecture and attends through a mask, and nothing is
    hooked onto it that would look for its prompts in rows of their own."""
    config = getattr(model, "config", None)
    return (
        getattr(config, "model_type", None) in LAYOUTS
        and getattr(config, "_attn_implementation", None) in ("eager", "sdpa")
        and all(is_plain(part) for part in model.modules())
    )


def attention_window(model: nn.Module) -> int | None:
    """Tokens that some layer sees at most; None where all layers see all."""
    return getattr(getattr(model, "config", None), "sliding_window", None)


def shared_rows(
    texts: Sequence[Text],
    n_last: Sequence[int],
    tokens_per_batch: int,
    like: Tensor,
    window: int | None = None,
) -> tuple[list[int], Iterator[SharedRows]]:
    """(the texts that gain nothing, batches of all others).

    ``n_last``: how many of its last tokens are asked for, of each text; a batch asks for an eighth
    of its tokens at most, as each gets logits. Tensors go where ``like`` is; masks are of its type.
    Texts longer than ``window`` stay alone.
    """
    alone = [i for i, text in enumerate(texts) if window is not None and len(text) > window]
    too_long = set(alone)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        if i not in too_long:
            capacity = min(CAPACITY, tokens_per_batch)
            while capacity < len(text):
                capacity *= 2
            groups[n_last[i], capacity].append(i)
    shared: list[tuple[int, list[Row]]] = []
    for (n, capacity), members in groups.items():
        rows = _fill_rows(texts, members, n, capacity)
        if sum(row.n_tokens for row in rows) <= WORTH * sum(len(texts[i]) for i in members):
            shared.append((n, rows))
        else:
            alone += members

    def batches() -> Iterator[SharedRows]:
        for n, rows in shared:
            for some in _cut(rows, n, tokens_per_batch):
                yield _assemble(texts, some, n, like)

    return alone, batches()


def _cut(rows: Sequence[Row], n_last: int, tokens_per_batch: int) -> Iterator[list[Row]]:
    """Batches of rows that hold as many tokens, and ask for an eighth of them, at most."""
    batch: list[Row] = []
    n_asked = 0
    for row in rows:
        n_asked += len(row.prompts) * n_last
        n_tokens = (len(batch) + 1) * (batch or [row])[0].n_tokens
        if batch and (n_tokens > tokens_per_batch or n_asked > tokens_per_batch // 8):
            yield batch
            batch, n_asked = [], len(row.prompts) * n_last
        batch.append(row)
    yield batch


def _fill_rows(
    texts: Sequence[Text], members: Sequence[int], n_last: int, capacity: int
) -> list[Row]:
    """Long ones first, as a batch is as long as its longest row. The tokens that a prompt is asked
    for are its own."""
    rows: list[Row] = []
    before: Text = ()
    for i in sorted(members, key=lambda i: tuple(texts[i])):
        n_shared = min(_n_shared(before, texts[i]), len(texts[i]) - n_last)
        if not rows or rows[-1].n_tokens + len(texts[i]) - n_shared > capacity:
            rows.append(Row([]))
            n_shared = 0
        rows[-1].prompts.append((i, n_shared))
        rows[-1].n_tokens += len(texts[i]) - n_shared
        before = texts[i]
    return sorted(rows, key=lambda row: -row.n_tokens)


def _n_shared(a: Text, b: Text) -> int:
    """Tokens that both begin with."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def _assemble(texts: Sequence[Text], rows: Sequence[Row], n_last: int, like: Tensor) -> SharedRows:
    """Unused places are beginnings that nothing follows."""
    shape = len(rows), rows[0].n_tokens
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    ends = np.tile(np.arange(1, shape[1] + 1), (shape[0], 1))
    index: list[int] = []
    of_row: list[int] = []
    stops: list[int] = []
    for number, row in enumerate(rows):
        own = [(texts[i], n_shared) for i, n_shared in row.prompts]
        used = slice(row.n_tokens)
        ids[number, used] = [token for text, n in own for token in text[n:]]
        positions[number, used] = [place for text, n in own for place in range(n, len(text))]
        ends[number, used] = _ends([(n, len(text)) for text, n in own])
        index += [i for i, _ in row.prompts]
        of_row += [number] * len(own)
        stops += accumulate(len(text) - n for text, n in own)
    columns = torch.tensor(stops)[:, None] + torch.arange(-n_last, 0)
    device = like.device
    return SharedRows(
        index,
        on_device(ids, device),
        on_device(positions, device),
        _mask(on_device(ends, device), like.dtype),
        on_device(of_row, device)[:, None],
        on_device(columns, device),
    )


def _ends(prompts: Sequence[tuple[int, int]]) -> list[int]:
    """Of every place of a row, the one behind the last that continues it. ``prompts``: how many
    tokens each shares with the one before, and has."""
    ends: list[int] = []
    path: list[int] = []
    for n_shared, length in prompts:
        n = len(ends)
        for place in path[n_shared:]:
            ends[place] = n
        ends += [0] * (length - n_shared)
        path[n_shared:] = range(n, len(ends))
    for place in path:
        ends[place] = len(ends)
    return ends


def _mask(ends: Tensor, dtype: torch.dtype) -> Tensor:
    """[B,1,T,T]: a place is seen by itself and by those behind it that continue it."""
    place = torch.arange(ends.shape[1], device=ends.device)
    sees = (place[:, None] >= place) & (place[:, None] < ends[:, None, :])
    mask = torch.zeros(sees.shape, dtype=dtype, device=ends.device)
    return mask.masked_fill_(~sees, -torch.inf)[:, None]
