"""Held-out text for perplexity, as rows of equal length."""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

ROW = 64  # tokens


def held_out_rows(prompts: pa.Table, n_tokens: int, seed: int) -> Tensor | None:
    """Prompts with their answers in wordings that training never showed (of models from elsewhere
    all), any format and fact, at random one after the other, cut into [N,T]; about ``n_tokens`` in
    all. None for 0 tokens, or where there is less than a row."""
    is_held_out = [split == "held_out_templates" for split in prompts["split"].to_pylist()]
    rows = prompts.filter(pa.array(is_held_out, pa.bool_()))
    ids, answers = (rows[name].to_pylist() for name in ("ids", "answer_ids"))
    found: list[int] = []
    for row in np.random.default_rng(seed).permutation(len(rows)):
        if len(found) >= n_tokens:
            break
        found += [*ids[row], *answers[row]]
    return cut(found, n_tokens)


def cut(ids: list[int], n_tokens: int) -> Tensor | None:
    """[N,T] of the first ``n_tokens``; what does not fill a row is left out. None without a row."""
    n_rows = min(n_tokens, len(ids)) // ROW
    return torch.tensor(ids[: n_rows * ROW]).view(n_rows, ROW) if n_rows else None
