"""Which queries edits are judged by, as rows to be asked, and scores from their answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from coemerge.interventions.architecture import ModuleMap, projection_matrix

_KINDS = ("edited", "others", "unrelated")  # what Rel, Gen and Loc are read from
_UNRELATED = _KINDS.index("unrelated")


@dataclass(frozen=True, slots=True)
class Trial:
    """What one edit is judged by. Queries are token ids; ``answer`` and ``wanted`` first tokens.

    ``edited``: the query that was edited; ``others``: of the same fact; ``unrelated``: of others.
    ``answer``: the right one before the edit. ``wanted``: what an update should make of it; None
    for an erasure, which succeeds when the answer is another one, whichever.
    """

    edited: Sequence[int]
    others: Sequence[Sequence[int]]
    unrelated: Sequence[Sequence[int]]
    answer: int
    wanted: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Rows to be asked, [R]: ``edit``, ``query`` (an index into ``queries``, all different) and
    ``kind`` of score. Per edit, [E]: ``answer`` and ``wanted``, -1 for an erasure."""

    queries: list[tuple[int, ...]]
    edit: np.ndarray
    query: np.ndarray
    kind: np.ndarray
    answer: np.ndarray
    wanted: np.ndarray

    @classmethod
    def of(cls, model: nn.Module, trials: Sequence[Trial]) -> "Asked":
        """All queries of all trials. Raises ValueError for an empty one and for ids outside the
        vocabulary."""
        n_vocab = projection_matrix(ModuleMap(model).unembedding).shape[1]
        number: dict[tuple[int, ...], int] = {}
        rows: list[tuple[int, int, int]] = []
        for edit, trial in enumerate(trials):
            goals = [trial.answer] if trial.wanted is None else [trial.answer, trial.wanted]
            _check_ids(goals, n_vocab, f"trials[{edit}].answer and wanted")
            for kind, asked in enumerate(([trial.edited], trial.others, trial.unrelated)):
                for query in map(tuple, asked):
                    if query not in number:
                        _check_ids(query, n_vocab, f"trials[{edit}].{_KINDS[kind]}")
                    rows.append((edit, number.setdefault(query, len(number)), kind))
        edit_of_row, query_of_row, kind_of_row = np.array(rows, int).reshape(-1, 3).T
        return cls(
            queries=list(number),
            edit=edit_of_row,
            query=query_of_row,
            kind=kind_of_row,
            answer=np.array([trial.answer for trial in trials], int),
            wanted=np.array([-1 if t.wanted is None else t.wanted for t in trials], int),
        )

    def scored(self, before: np.ndarray) -> "Asked":
        """Without the fact's queries that the untouched model, with answers ``before`` (per query),
        does not answer right."""
        keep = (self.kind == _UNRELATED) | (before[self.query] == self.answer[self.edit])
        return replace(self, edit=self.edit[keep], query=self.query[keep], kind=self.kind[keep])

    def scores(self, top: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(Rel, Gen, Loc) per edit, [E,3], of answers ``top`` [R]; NaN where nothing was asked."""
        answer, wanted = self.answer[self.edit], self.wanted[self.edit]
        success = np.where(wanted < 0, top != answer, top == wanted)
        value = np.where(self.kind == _UNRELATED, top == before[self.query], success)
        n = self.n_queries
        sums = np.bincount(self._cell, weights=value, minlength=n.size).reshape(n.shape)
        return np.divide(sums, n, out=np.full(n.shape, np.nan), where=n > 0)

    @property
    def n_queries(self) -> np.ndarray:
        """Rows per edit and kind, [E,3]."""
        n_edits, n_kinds = len(self.answer), len(_KINDS)
        return np.bincount(self._cell, minlength=n_edits * n_kinds).reshape(n_edits, n_kinds)

    @property
    def _cell(self) -> np.ndarray:
        return self.edit * len(_KINDS) + self.kind


def _check_ids(ids: Sequence[int], n_vocab: int, where: str) -> None:
    if not ids:
        raise ValueError(f"{where}: a query without tokens cannot be asked")
    if min(ids) < 0 or max(ids) >= n_vocab:
        raise ValueError(f"{where}: {list(ids)} leaves the model's tokens, 0 to {n_vocab - 1}")
