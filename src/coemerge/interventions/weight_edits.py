"""Edited weights for a while: the only code that writes weights, and puts them back (methods 2.10).

``edited`` writes one edit into the model. ``edited_rows`` leaves the weights alone and computes
each row of a batch as if they were edited, each row under an edit of its own: many independent
edits are tried at once, equal up to rounding to trying them one by one.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit, LowRank, check_edits
from coemerge.interventions.placement import Function, Projection, attach_to_projection
from coemerge.interventions.row_blocks import RowBlocks

__all__ = ["Edit", "LowRank", "edited", "edited_rows"]


@contextmanager
def edited(model: nn.Module, edit: Edit) -> Iterator[None]:
    """The model's weights are edited inside the block; afterwards every bit is what it was.

    Saved values are copied back, also when the block raises; blocks may be nested. The new values
    are computed in float32 at least and rounded once to the weight's type.

    Raises ValueError, before anything is written, for an edit that does not fit the model (see
    ``check_edits``) or whose result is not finite.
    """
    modules = ModuleMap(model)
    check_edits(modules, [edit])
    new = {layer: _edited_columns(modules, edit, layer) for layer in edit.layers}
    old = {
        layer: (neurons, _matrix(modules, layer)[neurons]) for layer, (neurons, _) in new.items()
    }
    try:
        _write(modules, new)
        new.clear()  # the block needs the old values alone
        yield
    finally:
        _write(modules, old)


@contextmanager
def edited_rows(
    model: nn.Module, edits: Sequence[Edit], edit_of_row: Tensor | Sequence[int]
) -> Iterator[None]:
    """Every forward pass inside the block computes row b of its batch under
    ``edits[edit_of_row[b]]``; -1 is no edit.

    No weight is written. Down-projections answer as if theirs were other weights, so every site
    shows, and every function of ``intervene`` receives, what it would under ``edited``. Gradients
    flow through. Fits passes with cached keys and values, of the same rows.

    Raises ValueError for edits that do not fit the model, an index that is no edit, and, from the
    forward pass, a batch of another number of rows; RuntimeError at the end of the block if the
    model never ran, so that no result can pass for one under the edits.
    """
    modules = ModuleMap(model)
    rows = torch.as_tensor(edit_of_row, dtype=torch.long, device="cpu")
    if rows.ndim != 1 or bool(((rows < -1) | (rows >= len(edits))).any()):
        raise ValueError(
            f"edit_of_row must be [B] of -1 (no edit) to {len(edits) - 1}, not {rows.tolist()}"
        )
    indices, which = rows.unique(return_inverse=True)
    used = [Edit() if index < 0 else edits[index] for index in indices.tolist()]
    check_edits(modules, used)
    layers = sorted({layer for edit in used for layer in edit.layers})
    blocks = RowBlocks.of(which, len(used))
    fired: set[int] = set()
    with ExitStack() as attached:
        for layer in layers:
            projection = _row_projection(modules, layer, used, which, blocks, fired)
            attached.callback(attach_to_projection(modules, layer, projection))
        yield
    silent = [layer for layer in layers if layer not in fired]
    if silent:  # not reached when the block raised
        raise RuntimeError(f"no forward pass went through the edited layers {silent}")


def _edited_columns(modules: ModuleMap, edit: Edit, layer: int) -> tuple[Tensor, Tensor]:
    """(neurons [n] whose outgoing weights change, their new weights [n,d])."""
    matrix = _matrix(modules, layer)
    erased, delta = edit.erased.get(layer), edit.deltas.get(layer)
    changes = torch.zeros(modules.d_mlp, dtype=torch.bool, device=matrix.device)
    if erased is not None:
        erased = erased.to(matrix.device)
        changes |= erased
    if delta is not None:
        changes |= (delta.right != 0).any(1).to(matrix.device)
    neurons = changes.nonzero()[:, 0]
    new = matrix[neurons].to(torch.promote_types(matrix.dtype, torch.float32))
    if erased is not None:
        new[erased[neurons]] = 0
    if delta is not None:
        new += delta.right.detach().to(new)[neurons] @ delta.left.detach().to(new).T
    new = new.to(matrix.dtype)
    if not new.isfinite().all():
        raise ValueError(
            f"layer {layer}: edited weights would not be finite in {matrix.dtype}; nothing was "
            "written"
        )
    return neurons, new


@torch.no_grad()
def _write(modules: ModuleMap, columns: dict[int, tuple[Tensor, Tensor]]) -> None:
    for layer, (neurons, values) in columns.items():
        matrix = _matrix(modules, layer)  # found anew: the model may have moved to another device
        matrix[neurons.to(matrix.device)] = values.to(matrix.device)
    torch.clear_autocast_cache()  # within autocast, passes would go on with casts of the old values


def _matrix(modules: ModuleMap, layer: int) -> Tensor:
    """W^T, [m,d], a view of the parameter without gradient: row n is the column of neuron n."""
    return projection_matrix(modules.down_projection(layer)).detach()


def _row_projection(
    modules: ModuleMap,
    layer: int,
    used: Sequence[Edit],
    which: Tensor,
    blocks: RowBlocks,
    fired: set[int],
) -> Projection:
    """[B,T,m] -> [B,T,d] with row b under ``used[which[b]]``: the projection of what is not
    erased, plus ``U_b (V_b^T x_b)``. Adds the layer to ``fired``."""
    matrix = _matrix(modules, layer)
    none = torch.zeros(modules.d_mlp, dtype=torch.bool)
    erased: Tensor | None = None
    if any(layer in edit.erased for edit in used):
        each = [edit.erased.get(layer, none).to(matrix.device) for edit in used]
        erased = torch.stack(each)[which.to(matrix.device)][:, None, :]
    factors = None
    if any(layer in edit.deltas for edit in used):
        factors = blocks.padded([edit.deltas.get(layer) for edit in used], matrix)

    def project_rows(project: Function, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[0] != len(which):
            raise ValueError(
                f"layer {layer}: edit_of_row names {len(which)} rows, the batch is {list(x.shape)}"
            )
        fired.add(layer)
        out = project(x if erased is None else x.masked_fill(erased, 0))
        return out if factors is None else out + blocks.apply(x, *factors).to(out.dtype)

    return project_rows
