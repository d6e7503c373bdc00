"""Held-out text for perplexity, as rows of equal length."""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

ROW = 64  # tokens, of a file


def held_out_rows(prompts: pa.Table, n_tokens: int, seed: int) -> Tensor | None:
    """Questions with their answers that training never showed as a whole, [N,T], about ``n_tokens``
    in all: those with fresh option sets, in wordings that training did show, of any fact; where
    there are none (models from elsewhere) any in a held-out wording. At random, of the length that
    is most frequent. None for 0 tokens."""
    options, splits = (np.array(prompts[name].to_pylist()) for name in ("options", "split"))
    chosen = (options == "fresh") & (splits == "seen_templates")
    if not chosen.any():
        chosen = splits == "held_out_templates"
    rows = prompts.filter(pa.array(chosen))
    pairs = zip(rows["ids"].to_pylist(), rows["answer_ids"].to_pylist(), strict=True)
    texts = [[*ids, *answer] for ids, answer in pairs]
    lengths = np.array([len(text) for text in texts], int)
    if not n_tokens or not len(lengths):
        return None
    length = int(np.bincount(lengths).argmax())
    alike = np.random.default_rng(seed).permutation(np.flatnonzero(lengths == length))
    return torch.tensor([texts[row] for row in alike[: max(1, n_tokens // length)]])


def cut(ids: list[int], n_tokens: int) -> Tensor | None:
    """[N,T] of the first ``n_tokens``; what does not fill a row is left out. None without a row."""
    n_rows = min(n_tokens, len(ids)) // ROW
    return torch.tensor(ids[: n_rows * ROW]).view(n_rows, ROW) if n_rows else None
