"""The realised exposure: which documents the optimizer steps so far have used, counted exactly."""

from typing import Any

import numpy as np

from coemerge.corpus.documents import FORMS
from coemerge.corpus.patterns import TASK_NAMES
from coemerge.corpus.store import TokenStore

_KEY = ("fact", "task", "template", "form")


class ExposureLedger:
    """Cumulative counts per (fact, task, template, form), advanced row by row.

    A pure function of the number of rows consumed, so a resumed run recounts to where it was.
    Rows are consumed in order; past the last row the corpus starts again.
    """

    def __init__(self, store: TokenStore, fact_ids: list[str]) -> None:
        self._store = store
        self._fact_ids = fact_ids
        records = store.documents
        strides = (len(TASK_NAMES), _span(records["template"]), len(FORMS))
        self._strides = strides
        self._keys, self._inverse = np.unique(self._pack(records), return_inverse=True)
        self._counts = np.zeros(len(self._keys), dtype=np.int64)
        self._row_column = np.asarray(records["row"])
        self._n_rows_done = 0

    def advance_to(self, n_rows: int) -> None:
        """Counts up to ``n_rows`` rows consumed in all. Raises ValueError if it lies behind."""
        if n_rows < self._n_rows_done:
            raise ValueError(f"the ledger stands at row {self._n_rows_done}, past {n_rows}")
        size = self._store.n_rows
        while self._n_rows_done < n_rows:
            start = self._n_rows_done % size
            stop = min(size, start + n_rows - self._n_rows_done)
            low, high = np.searchsorted(self._row_column, (start, stop))
            self._counts += np.bincount(self._inverse[low:high], minlength=len(self._keys))
            self._n_rows_done += stop - start

    @property
    def n_tokens(self) -> int:
        """Tokens of the rows consumed, padding left out."""
        return self._store.tokens_in_rows(self._n_rows_done)

    @property
    def n_documents(self) -> int:
        return int(self._counts.sum())

    def columns(self, step: int) -> dict[str, Any]:
        """Rows of the exposure table: every cell shown so far."""
        shown = self._counts > 0
        fact, task, template, form = self._unpack(self._keys[shown])
        return {
            "step": np.full(len(fact), step, dtype=np.int64),
            "fact_id": [self._fact_ids[i] for i in fact],
            "task": [TASK_NAMES[i] for i in task],
            "template_id": template,
            "form": [FORMS[i] for i in form],
            "n_documents": self._counts[shown],
        }

    def exposures(self) -> dict[tuple[str, str], int]:
        """(fact_id, task) -> documents so far, over templates and forms."""
        totals: dict[tuple[str, str], int] = {}
        fact, task, _, _ = self._unpack(self._keys)
        for f, t, n in zip(fact, task, self._counts, strict=True):
            key = (self._fact_ids[f], TASK_NAMES[t])
            totals[key] = totals.get(key, 0) + int(n)
        return totals

    def _pack(self, records: np.ndarray) -> np.ndarray:
        packed = records["fact"].astype(np.int64)
        for name, stride in zip(_KEY[1:], self._strides, strict=True):
            packed = packed * stride + records[name]
        return packed

    def _unpack(self, packed: np.ndarray) -> tuple[np.ndarray, ...]:
        parts = []
        for stride in reversed(self._strides):
            packed, rest = np.divmod(packed, stride)
            parts.append(rest)
        return (packed, *reversed(parts))


def _span(values: np.ndarray) -> int:
    return int(values.max()) + 1 if len(values) else 1
