"""Rows of tokens through the model, each under an edit of its own, in batches that fit memory."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit
from coemerge.interventions.speed import fused_activations, last_positions_alone
from coemerge.interventions.weight_edits import edited_rows
from coemerge.scoring.forward import equal_batches, keep_logits

Read = Callable[[Tensor, Tensor], Tensor]

# Numbers that a batch may hold in its edits and in its logits; float32 takes 4 bytes for each.
_MAX_VALUES = {"cpu": 1 << 25}
_MAX_VALUES_ELSEWHERE = 1 << 29


@torch.no_grad()
def read_rows(
    model: nn.Module,
    ids: Sequence[Sequence[int]],
    edits: Sequence[Edit],
    edit_of_row: np.ndarray,
    read: Read,
    n_logits: int,
    tokens_per_batch: int | None = None,
    description: str | None = None,
) -> np.ndarray:
    """What is read of each row, [R,...]: ``read(logits [B,n_logits,V] float32, tokens [B,T]) ->
    [B,...]``, row r under ``edits[edit_of_row[r]]``, -1 for none.

    ``n_logits``: how many of the last positions are read. Autocast is off; the model should be in
    eval mode. Rows of one edit should stand together: then a batch holds few edits.
    ``description``: of the progress bar, None for no bar.
    """
    device = next(model.parameters()).device
    found: list[Tensor] = []
    order: list[int] = []
    limits = _limits(model, edits, n_logits)
    with (
        torch.autocast(device.type, enabled=False),
        fused_activations(model),
        tqdm(total=len(ids), desc=description, unit="row", disable=description is None) as bar,
    ):
        for batch in equal_batches([(len(row), 1) for row in ids], device, tokens_per_batch):
            for index in _cut(np.asarray(batch), edit_of_row, *limits):
                tokens = torch.tensor([ids[i] for i in index], device=device)
                options = keep_logits(model, n_logits)
                under = edited_rows(model, edits, edit_of_row[index])
                with under, last_positions_alone(model, n_logits):
                    logits = model(input_ids=tokens, use_cache=False, **options).logits
                found.append(read(logits[:, -n_logits:].float(), tokens))
                order += index.tolist()
                bar.update(len(index))
    values = torch.cat(found).cpu().numpy() if found else np.zeros(0)
    return values[np.argsort(order)]


def top_tokens(
    model: nn.Module,
    ids: Sequence[Sequence[int]],
    tokens_per_batch: int | None = None,
    show_progress: bool = False,
    edits: Sequence[Edit] = (),
    edit_of_row: np.ndarray | None = None,
) -> np.ndarray:
    """What follows each row most probably, [R]; row r under ``edits[edit_of_row[r]]`` as in
    ``read_rows``, without ``edit_of_row`` of the untouched model."""
    description = "asking" if edit_of_row is None else "asking under edits"
    return read_rows(
        model,
        ids,
        edits,
        np.full(len(ids), -1) if edit_of_row is None else edit_of_row,
        lambda logits, _tokens: logits[:, -1].argmax(-1),
        n_logits=1,
        tokens_per_batch=tokens_per_batch,
        description=description if show_progress else None,
    ).astype(int)


def _limits(model: nn.Module, edits: Sequence[Edit], n_logits: int) -> tuple[int, int]:
    """How many rows, and how many different edits, a batch may hold at most."""
    device = next(model.parameters()).device
    n_values = _MAX_VALUES.get(device.type, _MAX_VALUES_ELSEWHERE)
    n_vocab = projection_matrix(ModuleMap(model).unembedding).shape[1]
    largest = max((edit.n_values for edit in edits), default=1)
    return max(1, n_values // (n_logits * n_vocab)), max(1, n_values // max(1, largest))


def _cut(
    batch: np.ndarray, edit_of_row: np.ndarray, n_rows: int, n_edits: int
) -> Iterator[np.ndarray]:
    """Parts of a batch within both limits, none empty."""
    for start in range(0, len(batch), n_rows):
        index = batch[start : start + n_rows]
        number = np.unique(edit_of_row[index], return_inverse=True)[1] // n_edits
        for part in range(number.max() + 1):
            yield index[number == part]
