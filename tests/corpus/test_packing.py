"""Documents into rows: whole ones only, near their place, and nothing looks across a boundary."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from coemerge.corpus.documents import Document
from coemerge.corpus.packing import (
    ANSWER,
    START,
    TOKEN,
    Row,
    RowPacker,
    document_marks,
    position_ids,
)
from tests.tolerances import PACKED_DISPLACEMENT_ROWS, PACKED_LOGITS

LENGTH = 32


def pack(sizes: list[int], length: int = LENGTH) -> list[Row]:
    """Documents of the given sizes; document i consists of the token i."""
    packer, rows = RowPacker(length), []
    for i, size in enumerate(sizes):
        rows += packer.add(Document(str(i)), [i] * size, document_marks(size, ()))
    return rows + list(packer.finish())


@pytest.fixture
def sizes() -> list[int]:
    return np.random.default_rng(0).integers(3, 20, size=2000).tolist()


def test_every_document_is_stored_whole_and_once(sizes):
    stored = {}
    for row in pack(sizes):
        for token, count in zip(*np.unique(row.ids, return_counts=True), strict=True):
            assert token not in stored
            stored[int(token)] = int(count)
    assert stored == dict(enumerate(sizes))


def test_a_document_is_stored_in_one_piece(sizes):
    for row in pack(sizes):
        n_changes = int(np.count_nonzero(np.diff(row.ids)))
        assert n_changes == len(set(row.ids)) - 1


def test_no_row_is_longer_than_allowed(sizes):
    assert max(len(row.ids) for row in pack(sizes)) <= LENGTH


def test_a_row_lists_its_documents_in_the_order_of_its_tokens(sizes):
    for row in pack(sizes):
        assert [int(d.text) for d in row.documents] == list(dict.fromkeys(row.ids))


def test_little_is_padding(sizes):
    rows = pack(sizes)
    assert sum(sizes) / (LENGTH * len(rows)) > 0.9


def test_documents_stay_near_their_place_in_the_stream(sizes):
    """Timing counts on it: what is planned early must not be shown late."""
    place = np.cumsum([0, *sizes[:-1]]) / sum(sizes)
    rows = pack(sizes)
    displaced = [
        abs(k / len(rows) - place[int(d.text)]) * len(rows)
        for k, row in enumerate(rows)
        for d in row.documents
    ]
    assert max(displaced) < PACKED_DISPLACEMENT_ROWS


def test_a_document_as_long_as_a_row_fits():
    assert [len(row.ids) for row in pack([LENGTH])] == [LENGTH]


def test_a_document_longer_than_a_row_is_refused_with_its_text_and_the_key():
    packer = RowPacker(LENGTH)
    size = LENGTH + 1
    with pytest.raises(ValueError, match=rf"{size} tokens.*corpus\.row_length=32: 'Too long\.'"):
        list(packer.add(Document("Too long."), [0] * size, document_marks(size, ())))


def test_marks_tell_the_start_and_the_answer():
    assert document_marks(5, [(3, 4)]) == [TOKEN | START, TOKEN, TOKEN, TOKEN | ANSWER, TOKEN]


def test_marks_tell_every_answer():
    marks = document_marks(6, [(1, 2), (3, 5)])
    assert [i for i, mark in enumerate(marks) if mark & ANSWER] == [1, 3, 4]


def test_marks_without_an_answer_have_none():
    assert not any(mark & ANSWER for mark in document_marks(5, ()))


def test_positions_restart_with_each_document():
    marks = np.array([document_marks(3, ()) + document_marks(2, ())], dtype=np.uint8)
    assert position_ids(marks).tolist() == [[0, 1, 2, 0, 1]]


def test_positions_restart_with_the_padding():
    marks = np.array([[*document_marks(3, ()), START, 0]], dtype=np.uint8)
    assert position_ids(marks).tolist() == [[0, 1, 2, 0, 1]]


def test_positions_of_rows_do_not_depend_on_each_other():
    first = document_marks(4, ())
    second = document_marks(1, ()) + document_marks(3, ())
    both = position_ids(np.array([first, second], dtype=np.uint8))
    assert both.tolist() == [[0, 1, 2, 3], [0, 0, 1, 2]]


SHAPES = {
    "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": LENGTH},
    "gpt_neox": {
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": LENGTH,
    },
    "llama": {
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": LENGTH,
    },
}
VOCABULARY = 50


@pytest.fixture(
    scope="module",
    params=[(a, k) for a in SHAPES for k in ("eager", "sdpa")],
    ids=lambda p: "-".join(p),
)
def model(request) -> Iterator[PreTrainedModel]:
    """Random weights, large enough that attention matters."""
    architecture, attention = request.param
    config = AutoConfig.for_model(
        architecture,
        vocab_size=VOCABULARY,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=0,
        **SHAPES[architecture],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


@pytest.fixture(scope="module")
def packed() -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int]]]:
    """One full row of three documents and padding: ids, positions, document spans."""
    sizes = (9, 6, 12)
    marks = [mark for size in sizes for mark in document_marks(size, ())]
    marks += [START] + [0] * (LENGTH - len(marks) - 1)
    positions = torch.from_numpy(position_ids(np.array([marks], dtype=np.uint8)))
    ids = torch.from_numpy(np.random.default_rng(0).integers(VOCABULARY, size=(1, LENGTH)))
    stops = np.cumsum(sizes).tolist()
    return ids, positions, list(zip([0, *stops[:-1]], stops, strict=True))


@torch.no_grad()
def logits_of(model: PreTrainedModel, ids: torch.Tensor, **keywords) -> torch.Tensor:
    return model(input_ids=ids, use_cache=False, **keywords).logits[0]


def test_a_document_has_the_same_logits_in_a_packed_row_as_alone(model, packed):
    ids, positions, spans = packed
    together = logits_of(model, ids, position_ids=positions)
    for start, stop in spans:
        alone = logits_of(model, ids[:, start:stop])
        assert (together[start:stop] - alone).abs().max() < PACKED_LOGITS


def test_without_restarting_positions_documents_would_leak(model, packed):
    """The test above can fail."""
    ids, _, spans = packed
    together = logits_of(model, ids, position_ids=torch.arange(LENGTH)[None])
    start, stop = spans[1]
    alone = logits_of(model, ids[:, start:stop])
    assert (together[start:stop] - alone).abs().max() > 1000 * PACKED_LOGITS


def test_a_document_does_not_feel_what_its_neighbours_say(model, packed):
    ids, positions, spans = packed
    other = ids.clone()
    start, stop = spans[0]
    other[:, start:stop] = (other[:, start:stop] + 1) % VOCABULARY
    first, second = (logits_of(model, x, position_ids=positions) for x in (ids, other))
    assert (first[stop:] - second[stop:]).abs().max() < PACKED_LOGITS


def test_packing_holds_for_rows_of_a_batch_with_other_boundaries(model, packed):
    """What is derived from positions must be derived per row."""
    ids, positions, spans = packed
    batch_ids = torch.cat([ids.flip(1), ids])
    batch_positions = torch.cat([torch.arange(LENGTH)[None], positions])
    with torch.no_grad():
        logits = model(input_ids=batch_ids, position_ids=batch_positions, use_cache=False).logits[1]
    start, stop = spans[1]
    alone = logits_of(model, ids[:, start:stop])
    assert (logits[start:stop] - alone).abs().max() < PACKED_LOGITS
