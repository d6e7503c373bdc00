"""What a callback may use of the run: its directory, its data, its identity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coemerge.corpus.dataset import Dataset
from coemerge.corpus.ledger import ExposureLedger
from coemerge.corpus.loader import RowOrder
from coemerge.scoring.config import ScoreConfig
from coemerge.tables.parts import PartedTable


@dataclass
class RunContext:
    """``order`` tells which rows of the corpus each optimizer step uses; ``old`` is the data set
    of the run that this one continues, if it does, ``old_score`` how that run scored its facts."""

    run_id: str
    seed: int
    directory: Path
    fingerprint: str
    dataset: Dataset
    max_steps: int
    order: RowOrder
    score: ScoreConfig = field(default_factory=ScoreConfig)
    old: Dataset | None = None
    old_score: ScoreConfig = field(default_factory=ScoreConfig)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ledger = self.new_ledger()

    def new_ledger(self) -> ExposureLedger:
        return ExposureLedger(self.dataset.store, self.dataset.facts["fact_id"].to_pylist())

    @property
    def checkpoints_dir(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def tables_dir(self) -> Path:
        return self.directory / "tables"

    def table(self, name: str) -> PartedTable:
        return PartedTable(self.tables_dir, name, self.provenance)

    def ledger_at(self, step: int) -> ExposureLedger:
        """The shared ledger after ``step`` optimizer steps; within one training steps only grow."""
        self._ledger.advance_to(self.order.rows_after(step))
        return self._ledger

    def tokens_after(self, step: int) -> int:
        """Tokens that the first ``step`` optimizer steps show, padding left out."""
        return self.dataset.store.tokens_in_rows(self.order.rows_after(step))
