"""Rows of tokens on disk, memory-mapped: a corpus of any size costs no memory to train on.

``tokens.bin`` [n_rows, row_length] token ids, ``marks.bin`` [n_rows, row_length] bytes (see
``packing``), ``documents.bin`` one record per fact document, sorted by row.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from coemerge.corpus.documents import BACKGROUND
from coemerge.corpus.packing import START, TOKEN, Row
from coemerge.files import write_json

DOCUMENT_DTYPE = np.dtype(
    [("row", "<i4"), ("fact", "<i4"), ("template", "<i2"), ("task", "i1"), ("form", "i1")]
)
_ROWS_AT_ONCE = 65_536
_FILES = ("tokens.bin", "marks.bin", "documents.bin")


class TokenStoreWriter:
    """Appends closed rows; ``close`` writes ``store.json`` with the shape."""

    def __init__(self, directory: Path, row_length: int, vocab_size: int, pad_id: int) -> None:
        self._directory = directory
        self._row_length = row_length
        self._dtype = np.dtype("<u2" if vocab_size <= 2**16 else "<u4")
        self._pad_id = pad_id
        self._files: dict[str, BinaryIO] = {}
        self.n_rows = 0
        self.n_documents = 0
        self.n_background = 0
        self.n_tokens = 0

    def __enter__(self) -> "TokenStoreWriter":
        self._directory.mkdir(parents=True, exist_ok=True)
        self._files = {name: (self._directory / name).open("wb") for name in _FILES}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        if kind is None:
            shape = {
                "n_rows": self.n_rows,
                "row_length": self._row_length,
                "dtype": self._dtype.str,
                "n_documents": self.n_documents,
                "n_background": self.n_background,
                "n_tokens": self.n_tokens,
            }
            write_json(self._directory / "store.json", shape)

    def append(self, row: Row) -> None:
        padding = self._row_length - len(row.ids)
        tokens = np.array(row.ids + [self._pad_id] * padding, dtype=self._dtype)
        marks = np.array(row.marks + [0] * padding, dtype=np.uint8)
        if padding:
            marks[len(row.ids)] = START
        self._files["tokens.bin"].write(tokens.tobytes())
        self._files["marks.bin"].write(marks.tobytes())
        self._write_documents(row)
        self.n_tokens += len(row.ids)
        self.n_rows += 1

    def _write_documents(self, row: Row) -> None:
        records = [
            (self.n_rows, d.fact, d.template_id, d.task, d.form)
            for d in row.documents
            if d.fact != BACKGROUND
        ]
        self._files["documents.bin"].write(np.array(records, dtype=DOCUMENT_DTYPE).tobytes())
        self.n_documents += len(records)
        self.n_background += len(row.documents) - len(records)


class TokenStore:
    """Read-only view: ``tokens``, ``marks`` [n_rows, row_length], ``documents`` DOCUMENT_DTYPE."""

    def __init__(self, directory: Path) -> None:
        shape = json.loads((directory / "store.json").read_text(encoding="utf-8"))
        self.n_rows: int = shape["n_rows"]
        self.row_length: int = shape["row_length"]
        self.n_tokens: int = shape["n_tokens"]
        self._counts: np.ndarray | None = None
        size = (self.n_rows, self.row_length)
        self.tokens = np.memmap(directory / "tokens.bin", shape["dtype"], "r", shape=size)
        self.marks = np.memmap(directory / "marks.bin", np.uint8, "r", shape=size)
        # an empty file cannot be mapped
        self.documents: np.ndarray = (
            np.memmap(directory / "documents.bin", DOCUMENT_DTYPE, "r")
            if shape["n_documents"]
            else np.empty(0, DOCUMENT_DTYPE)
        )

    def tokens_in_rows(self, n_rows: int) -> int:
        """Tokens in the first ``n_rows`` rows, padding left out, counted on over further passes."""
        passes, rest = divmod(n_rows, self.n_rows)
        return passes * self.n_tokens + int(self._token_counts()[:rest].sum())

    def some_documents(self, n_tokens: int, seed: int = 0) -> list[list[int]]:
        """Documents of rows at random, about ``n_tokens`` in all, fewer if there are no more."""
        found: list[list[int]] = []
        n_taken = 0
        for row in np.random.default_rng(seed).permutation(self.n_rows):
            marks = self.marks[row]
            starts = np.flatnonzero(marks & START)[1:]  # padding is marked as one too
            parts = zip(np.split(self.tokens[row], starts), np.split(marks, starts), strict=True)
            found += [ids.tolist() for ids, own in parts if own[0] & TOKEN]
            n_taken += int(np.count_nonzero(marks & TOKEN))
            if n_taken >= n_tokens:
                break
        return found

    def _token_counts(self) -> np.ndarray:
        if self._counts is None:
            chunks = range(0, self.n_rows, _ROWS_AT_ONCE)
            counts = [
                np.count_nonzero(self.marks[i : i + _ROWS_AT_ONCE] & TOKEN, axis=1) for i in chunks
            ]
            self._counts = np.concatenate(counts)
        return self._counts
