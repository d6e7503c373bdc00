"""Batches: labels within documents, weights on answers, every row once, resumable anywhere."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coemerge.corpus.loader import IGNORE, RowLoader, RowOrder, collate, label_weight
from coemerge.corpus.packing import START, TOKEN, document_marks

WEIGHT = 5.0


@pytest.fixture
def row() -> tuple[np.ndarray, np.ndarray]:
    """Two documents (answers at 2 and 5..6) and two tokens of padding."""
    tokens = np.array([[10, 11, 12, 20, 21, 22, 23, 24, 0, 0]], dtype=np.uint16)
    marks = [*document_marks(3, [(2, 3)]), *document_marks(5, [(2, 4)]), START, 0]
    return tokens, np.array([marks], dtype=np.uint8)


def test_labels_are_the_next_tokens_of_the_same_document(row):
    labels = collate(*row, WEIGHT)["labels"][0].tolist()
    assert labels == [11, 12, IGNORE, 21, 22, 23, 24, IGNORE, IGNORE, IGNORE]


def test_weights_sit_where_the_next_token_is_an_answer(row):
    weights = collate(*row, WEIGHT)["weights"][0].tolist()
    assert weights == [1, WEIGHT, 1, 1, WEIGHT, WEIGHT, 1, 1, 1, 1]


def test_weighted_labels_are_the_answer_tokens(row):
    batch = collate(*row, WEIGHT)
    assert batch["labels"][batch["weights"] == WEIGHT].tolist() == [12, 22, 23]


def test_positions_restart(row):
    positions = collate(*row, WEIGHT)["position_ids"][0].tolist()
    assert positions == [0, 1, 2, 0, 1, 2, 3, 4, 0, 1]


def test_no_label_of_the_real_corpus_crosses_a_document(smoke_dataset):
    store = smoke_dataset.store
    batch = collate(np.asarray(store.tokens), np.asarray(store.marks), WEIGHT)
    starts = torch.from_numpy(np.asarray(store.marks)[:, 1:] & START) > 0
    assert (batch["labels"][:, :-1][starts] == IGNORE).all()


def test_every_token_but_the_first_of_each_document_is_a_label_once(smoke_dataset):
    store = smoke_dataset.store
    marks = np.asarray(store.marks)
    batch = collate(np.asarray(store.tokens), marks, WEIGHT)
    is_inner = ((marks & TOKEN) > 0) & ((marks & START) == 0)
    assert int((batch["labels"] != IGNORE).sum()) == int(is_inner.sum())


def test_answer_weights_of_the_real_corpus_sit_on_answers(smoke_dataset, smoke_spec):
    store = smoke_dataset.store
    batch = collate(np.asarray(store.tokens), np.asarray(store.marks), WEIGHT)
    weighted = batch["labels"][(batch["weights"] == WEIGHT) & (batch["labels"] != IGNORE)]
    said = {smoke_dataset.tokenizer.decode([t]).strip() for t in weighted.unique().tolist()}
    answers = {*smoke_dataset.facts["object"].to_pylist(), *smoke_spec.prompts.answer_words()}
    words = {o for objects in smoke_spec.world.build().candidates.values() for o in objects}
    assert said <= answers | words
    assert answers & said


def rows_of_step(order: RowOrder, step: int, batch: int, accumulate: int, ranks: int) -> list[int]:
    return [
        row
        for micro in range(accumulate * ranks)
        for row in order.rows_of(step, micro * batch, batch)
    ]


SIZES = {
    "n_rows": st.integers(1, 60),
    "batch": st.integers(1, 5),
    "accumulate": st.integers(1, 3),
    "ranks": st.integers(1, 3),
}


@given(**SIZES)
def test_a_pass_shows_every_row_exactly_once_and_in_order(n_rows, batch, accumulate, ranks):
    order = RowOrder(n_rows, batch * accumulate * ranks)
    shown = [
        row
        for step in range(order.steps_per_pass)
        for row in rows_of_step(order, step, batch, accumulate, ranks)
    ]
    assert shown == list(range(n_rows))


@given(step=st.integers(0, 200), **SIZES)
def test_rows_consumed_add_up_over_passes(n_rows, batch, accumulate, ranks, step):
    order = RowOrder(n_rows, batch * accumulate * ranks)
    counted = sum(len(rows_of_step(order, k, batch, accumulate, ranks)) for k in range(step))
    assert order.rows_after(step) == counted


def test_the_second_pass_repeats_the_first():
    order = RowOrder(10, 4)
    first, second = ([order.rows_of(s + k * 3, 0, 4) for s in range(3)] for k in (0, 1))
    assert first == second


N_ROWS = 11


@pytest.fixture
def store() -> SimpleNamespace:
    """Row i holds the token i + 1 throughout."""
    tokens = np.repeat(np.arange(1, N_ROWS + 1, dtype=np.uint16)[:, None], 4, axis=1)
    marks = np.tile(np.array(document_marks(4, ()), dtype=np.uint8), (N_ROWS, 1))
    return SimpleNamespace(tokens=tokens, marks=marks, row_length=4)


def loader(store, steps: int, batch: int = 2, accumulate: int = 2, rank: int = 0, ranks: int = 1):
    order = RowOrder(N_ROWS, batch * accumulate * ranks)
    return RowLoader(store, order, steps, batch, accumulate, WEIGHT, rank, ranks)


def rows_in(batch) -> list[int]:
    """Row numbers of a batch; padding rows have no label and are left out."""
    real = (batch["labels"] != IGNORE).any(dim=1)
    return (batch["input_ids"][real, 0] - 1).tolist()


def test_one_pass_shows_every_row_once(store):
    shown = [row for batch in loader(store, steps=3) for row in rows_in(batch)]
    assert shown == list(range(N_ROWS))


def test_ranks_share_the_rows_of_each_step(store):
    shown = Counter()
    for rank in range(2):
        for batch in loader(store, steps=2, rank=rank, ranks=2):
            shown.update(rows_in(batch))
    assert shown == dict.fromkeys(range(N_ROWS), 1)


def test_ranks_have_equally_many_batches(store):
    """Else one of them would wait for ever."""
    counts = {len(list(loader(store, steps=3, rank=rank, ranks=3))) for rank in range(3)}
    assert len(counts) == 1


@pytest.mark.parametrize(("batch", "accumulate", "ranks"), [(2, 1, 2), (1, 2, 2), (2, 3, 1)])
def test_however_a_step_is_dealt_out_its_rows_are_the_same(store, batch, accumulate, ranks):
    """With 11 rows and 4 or 6 to a step, some processes have padding alone at the end."""
    n_steps = 4
    steps: list[list[int]] = [[] for _ in range(n_steps)]
    for rank in range(ranks):
        batches = loader(store, n_steps, batch, accumulate, rank, ranks)
        for index, found in enumerate(batches):
            steps[index // accumulate] += rows_in(found)
    order = RowOrder(N_ROWS, batch * accumulate * ranks)

    assert [sorted(rows) for rows in steps] == [
        list(order.rows_of(step, 0, order.rows_per_step)) for step in range(n_steps)
    ]


def test_every_part_of_a_step_says_what_the_whole_step_weighs(smoke_dataset):
    """Also a part that is padding alone: the last step of a pass has one row for two processes."""
    store = smoke_dataset.store
    rows = 6 * 2
    n_rows = 3 * rows + 1
    order = RowOrder(n_rows, rows)
    parts = [
        list(RowLoader(store, order, order.steps_per_pass, 3, 2, WEIGHT, rank, 2))
        for rank in range(2)
    ]

    for step in range(order.steps_per_pass):
        step_parts = [part[2 * step + micro] for part in parts for micro in range(2)]
        kept = [(b["weights"] * (b["labels"] != IGNORE)).sum().item() for b in step_parts]
        assert {b["step_weight"].item() for b in step_parts} == {sum(kept)}
    assert kept[0] > 0
    assert kept[1:] == [0, 0, 0]


def test_the_weight_of_rows_is_that_of_their_labels(row):
    batch = collate(*row, WEIGHT)

    assert label_weight(row[1], WEIGHT) == batch["weights"][batch["labels"] != IGNORE].sum()
    assert label_weight(np.zeros((2, 5), dtype=np.uint8), WEIGHT) == 0


def test_missing_rows_at_the_end_of_a_pass_teach_nothing(store):
    last = list(loader(store, steps=3))[-1]
    assert last["input_ids"].shape == (2, 4)
    assert rows_in(last) == [10]


def test_the_length_is_the_number_of_micro_batches(store):
    assert len(loader(store, steps=5)) == len(list(loader(store, steps=5))) == 10


@pytest.mark.parametrize("n_done", [0, 1, 2, 5, 9])
def test_a_resumed_loader_gives_the_remaining_batches(store, n_done):
    whole = [rows_in(batch) for batch in loader(store, steps=5)]
    interrupted = loader(store, steps=5)
    iterator = iter(interrupted)
    for _ in range(n_done):
        next(iterator)
    resumed = loader(store, steps=5)
    resumed.load_state_dict(interrupted.state_dict())
    assert [rows_in(batch) for batch in resumed] == whole[n_done:]


def test_batches_are_the_same_each_time(store):
    first, second = (list(loader(store, steps=3)) for _ in range(2))
    assert all(torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a)


def test_token_ids_above_the_signed_range_survive(store):
    store.tokens[0] = 65_000
    assert next(iter(loader(store, steps=1)))["input_ids"][0, 0] == 65_000
