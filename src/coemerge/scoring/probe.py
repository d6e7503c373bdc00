"""Which prompts to ask: a table of prompts, grouped into the cells that are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from coemerge.scoring.forward import Question

_NEIGHBOURS = 64  # prompts that stay together when processes share them
CELL_COLUMNS = ("fact_id", "task", "template_id", "split", "options")


@dataclass(frozen=True)
class Probe:
    """A fixed set of prompts. ``cell_of`` [N] maps each prompt to its row of ``cells``.

    A cell is one paraphrase of one (fact, task) with one kind of option sets; its prompts are the
    rotations or polarities that are averaged.
    """

    questions: Sequence[Question]
    chance: Tensor
    cell_of: Tensor
    cells: pa.Table

    def __len__(self) -> int:
        return len(self.questions)

    def shard(self, rank: int, world_size: int) -> np.ndarray:
        """Indices of the prompts that this rank scores: neighbours, which begin alike, some from
        everywhere, as long ones lie together; no padding, so that sums stay exact."""
        n_rounds = max(1, len(self) // (_NEIGHBOURS * world_size))
        pieces = np.array_split(np.arange(len(self)), n_rounds * world_size)
        return np.concatenate(pieces[rank::world_size])


def make_probe(prompts: pa.Table, chance: str = "uniform") -> Probe:
    """A probe of all rows of a prompts table (columns: ``tables.records.PromptRecord``).

    ``chance``: whose guesses count as chance (see ``ScoreConfig``).
    """
    keys = list(zip(*(prompts[c].to_pylist() for c in CELL_COLUMNS), strict=True))
    index: dict[tuple, int] = {}
    cell_of = [index.setdefault(key, len(index)) for key in keys]
    columns = list(zip(*index, strict=True)) if index else [()] * len(CELL_COLUMNS)
    schema = pa.schema([prompts.schema.field(c) for c in CELL_COLUMNS])
    cells = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema)
    questions = [
        Question(ids, answer, candidates)
        for ids, answer, candidates in zip(
            prompts["ids"].to_pylist(),
            prompts["answer_ids"].to_pylist(),
            prompts["candidate_ids"].to_pylist(),
            strict=True,
        )
    ]
    floor = prompts["prior" if chance == "answer_prior" else "chance"]
    chances = torch.tensor(floor.to_pylist(), dtype=torch.float32)
    return Probe(questions, chances, torch.tensor(cell_of, dtype=torch.long), cells)


def cell_chance(probe: Probe) -> np.ndarray:
    """Chance of each cell (equal for all its prompts), [n_cells]."""
    chance = pd.Series(probe.chance.double().numpy()).groupby(probe.cell_of.numpy()).first()
    return chance.to_numpy()


def select_prompts(
    prompts: pa.Table,
    splits: Sequence[str] | None = None,
    options: Sequence[str] | None = None,
    templates_per_cell: int | None = None,
) -> pa.Table:
    """A part of the prompts: given splits and kinds of option sets, and at most the first
    ``templates_per_cell`` paraphrases of each (fact, task, split, options)."""
    frame = prompts.select(["fact_id", "task", "template_id", "split", "options"]).to_pandas()
    keep = np.ones(len(frame), dtype=bool)
    if splits is not None:
        keep &= frame["split"].isin(splits).to_numpy()
    if options is not None:
        keep &= frame["options"].isin([*options, "none"]).to_numpy()
    if templates_per_cell is not None:
        groups = frame.groupby(["fact_id", "task", "split", "options"])["template_id"]
        rank = groups.rank(method="dense").to_numpy()
        keep &= rank <= templates_per_cell
    return prompts.filter(pa.array(keep))
