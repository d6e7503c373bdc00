"""Batch rows grouped by the low-rank map that each goes through, so that rows share its factors.

With factors gathered per row, memory and bandwidth would be B copies of them; with one group per
map, as many places per map as the largest group has. Blocks bound both: with E maps, a block holds
up to k = ceil(B/E) rows of one map: there are fewer than 2E blocks, of at most 2B + E places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from coemerge.interventions.edits import LowRank


@dataclass(frozen=True, slots=True, eq=False)
class RowBlocks:
    """``map_of_block`` [N]; row b is number ``place`` [B] of block ``block`` [B]; ``size`` is k."""

    map_of_block: list[int]
    block: Tensor
    place: Tensor
    size: int

    @classmethod
    def of(cls, map_of_row: Tensor, n_maps: int) -> "RowBlocks":
        """``map_of_row``: [B] on the CPU, each of 0..n_maps-1 at least once."""
        size = max(1, -(-len(map_of_row) // max(1, n_maps)))
        counts = map_of_row.bincount(minlength=n_maps)
        order = map_of_row.argsort(stable=True)
        rank = torch.empty_like(map_of_row)  # of a row among those of its map
        first_row = counts.cumsum(0) - counts
        rank[order] = torch.arange(len(order)) - first_row[map_of_row[order]]
        n_blocks = counts.add(size - 1) // size
        first_block = n_blocks.cumsum(0) - n_blocks
        return cls(
            map_of_block=torch.arange(n_maps).repeat_interleave(n_blocks).tolist(),
            block=first_block[map_of_row] + rank // size,
            place=rank % size,
            size=size,
        )

    def padded(self, maps: Sequence[LowRank | None], like: Tensor) -> tuple[Tensor, Tensor]:
        """(U^T [N,r,d], V^T [N,r,m]) per block, zero beyond a map's rank and for None; on the
        device and of the type of ``like``, which is [m,d]."""
        m, d = like.shape
        none = LowRank(like.new_zeros(d, 0), like.new_zeros(m, 0))
        each = [maps[i] or none for i in self.map_of_block]
        left = pad_sequence([delta.left.to(like).T for delta in each], batch_first=True)
        right = pad_sequence([delta.right.to(like).T for delta in each], batch_first=True)
        return left, right

    def apply(self, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """``U_b (V_b^T x_b)`` for every row: [B,T,m] -> [B,T,d]."""
        block, place = self.block.to(x.device), self.place.to(x.device)
        grid = x.new_zeros(len(self.map_of_block), self.size, *x.shape[1:])
        grid[block, place] = x
        changed = (grid.flatten(1, 2) @ right.mT.to(x)) @ left.to(x)
        return changed.unflatten(1, (self.size, x.shape[1]))[block, place]
