"""Documents into rows of one length: whole documents only, in order, little padding.

A row's ``marks`` hold one byte per token: where a document starts (positions restart there and
attention does not look back beyond it), which tokens are answers, and which are padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from coemerge.corpus.documents import Document
from coemerge.prompts.render import Span

TOKEN, START, ANSWER = 1, 2, 4  # bits of a mark; padding has none but START on its first token
_OPEN_ROWS = 8


@dataclass
class Row:
    """A row being filled."""

    ids: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)


class RowPacker:
    """First fit over a few open rows; the fullest row is closed when none has room.

    Documents therefore stay within a few rows of their place in the stream.
    """

    def __init__(self, row_length: int) -> None:
        self.row_length = row_length
        self._open: list[Row] = []

    def add(self, document: Document, ids: list[int], marks: list[int]) -> Iterator[Row]:
        """Yields the row that had to be closed, if any. Raises ValueError if it fits no row."""
        if len(ids) > self.row_length:
            raise ValueError(
                f"a document has {len(ids)} tokens, more than corpus.row_length="
                f"{self.row_length}: {document.text!r}"
            )
        row = next((r for r in self._open if len(r.ids) + len(ids) <= self.row_length), None)
        if row is None:
            if len(self._open) == _OPEN_ROWS:
                fullest = max(self._open, key=lambda r: len(r.ids))
                self._open.remove(fullest)
                yield fullest
            row = Row()
            self._open.append(row)
        row.ids += ids
        row.marks += marks
        row.documents.append(document)

    def finish(self) -> Iterator[Row]:
        yield from self._open
        self._open = []


def document_marks(n_tokens: int, answers: Sequence[Span]) -> list[int]:
    """Marks of one document; ``answers`` are token spans."""
    marks = [TOKEN] * n_tokens
    marks[0] |= START
    for answer in answers:
        for position in range(*answer):
            marks[position] |= ANSWER
    return marks


def position_ids(marks: np.ndarray) -> np.ndarray:
    """Positions that restart with each document and with the padding; shape as ``marks`` [B, T].

    transformers derives from restarting positions that attention may not cross documents (when no
    attention mask is passed), for every architecture.
    """
    here = np.broadcast_to(np.arange(marks.shape[1]), marks.shape)
    starts = np.where(marks & START, here, 0)
    return here - np.maximum.accumulate(starts, axis=1)
