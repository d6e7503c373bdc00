"""Rows to disk and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from coemerge.corpus.documents import BACKGROUND, Document
from coemerge.corpus.packing import START, TOKEN, Row, document_marks
from coemerge.corpus.store import TokenStore, TokenStoreWriter

LENGTH, PAD = 6, 9


def row(ids: list[int], *documents: Document) -> Row:
    return Row(ids, document_marks(len(ids), ()), list(documents))


def fact_document(fact: int) -> Document:
    return Document("x", (), fact, 0, 3, 0)


def write(directory: Path, rows: list[Row], vocab_size: int = 100) -> TokenStore:
    with TokenStoreWriter(directory, LENGTH, vocab_size, PAD) as writer:
        for item in rows:
            writer.append(item)
    return TokenStore(directory)


def test_tokens_come_back_padded(tmp_path):
    store = write(tmp_path, [row([1, 2, 3, 4]), row([5, 6, 7, 8, 0, 1])])
    assert store.tokens.tolist() == [[1, 2, 3, 4, PAD, PAD], [5, 6, 7, 8, 0, 1]]


def test_padding_starts_a_segment_and_holds_no_token(tmp_path):
    store = write(tmp_path, [row([1, 2, 3, 4])])
    assert store.marks.tolist() == [[TOKEN | START, TOKEN, TOKEN, TOKEN, START, 0]]


def test_fact_documents_are_recorded_by_row(tmp_path):
    store = write(tmp_path, [row([1], fact_document(7)), row([2], fact_document(8))])
    assert [(int(d["row"]), int(d["fact"])) for d in store.documents] == [(0, 7), (1, 8)]


def test_background_is_counted_but_not_recorded(tmp_path):
    background = Document("x", fact=BACKGROUND)
    store = write(tmp_path, [row([1, 2], background, fact_document(7))])
    assert len(store.documents) == 1
    assert json.loads((tmp_path / "store.json").read_text())["n_background"] == 1


def test_a_corpus_without_facts_can_be_read(tmp_path):
    assert len(write(tmp_path, [row([1, 2], Document("x"))]).documents) == 0


@pytest.mark.parametrize(("vocab_size", "width"), [(2**16, 2), (2**16 + 1, 4)])
def test_tokens_take_two_bytes_while_the_vocabulary_allows(tmp_path, vocab_size, width):
    assert write(tmp_path, [row([1])], vocab_size).tokens.itemsize == width


def test_large_token_ids_survive(tmp_path):
    assert write(tmp_path, [row([100_000])], 128_000).tokens[0, 0] == 100_000


@pytest.mark.parametrize(("n_rows", "tokens"), [(0, 0), (1, 4), (2, 10), (3, 14), (5, 24)])
def test_tokens_are_counted_without_padding_over_passes(tmp_path, n_rows, tokens):
    store = write(tmp_path, [row([1, 2, 3, 4]), row([5, 6, 7, 8, 0, 1])])
    assert store.tokens_in_rows(n_rows) == tokens


def test_a_failed_write_leaves_no_shape_file(tmp_path):
    with pytest.raises(RuntimeError), TokenStoreWriter(tmp_path, LENGTH, 100, PAD):
        raise RuntimeError
    assert not (tmp_path / "store.json").exists()


def test_the_store_is_mapped_not_loaded(tmp_path):
    store = write(tmp_path, [row([1, 2])])
    assert isinstance(store.tokens, np.memmap)
    assert isinstance(store.marks, np.memmap)


def test_the_store_cannot_be_written_through(tmp_path):
    store = write(tmp_path, [row([1, 2])])
    with pytest.raises(ValueError, match="read-only"):
        store.tokens[0, 0] = 5


def test_some_documents_are_whole_ones_without_padding(tmp_path):
    two = Row([1, 2, 3, 4, 5], [*document_marks(2, ()), *document_marks(3, ())], [])
    store = write(tmp_path, [two, row([6, 7, 8, 0, 1, 2]), row([3])])

    every = store.some_documents(1000)

    assert sorted(every) == [[1, 2], [3], [3, 4, 5], [6, 7, 8, 0, 1, 2]]
    some = store.some_documents(2)
    assert 0 < sum(map(len, some)) < 12
    assert some == store.some_documents(2)
    assert len({str(store.some_documents(2, seed)) for seed in range(9)}) > 1
