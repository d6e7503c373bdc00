"""A thousand edits of every kind, written and taken back or tried per row, leave nothing behind."""

import gc
import tracemalloc
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from coemerge.editing.fine_tuning import FineTuningConfig, fine_tune
from coemerge.editing.memit import memit
from coemerge.editing.neurons import erase, update
from coemerge.editing.rank_one import rank_one
from coemerge.editing.value_config import ValueConfig
from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.edits import Edit
from coemerge.interventions.guard import unchanged
from coemerge.interventions.weight_edits import edited, edited_rows
from tests.editing.requests import CONTEXTS, some_requests
from tests.interventions.models import (
    D_MLP,
    N_LAYERS,
    logits_of,
    make_model,
    n_hooks,
    random_binary,
    tokens,
)

N_EDITS, N_WARM = 1000, 300
QUICK = ValueConfig(steps=3)
IDS = tokens(3, 4)
# Bytes per edit: what Python keeps for later still moves by some 30, an empty dict takes 64 and a
# hook that stayed 500.
_MAY_GROW = 100


class BlockError(Exception):
    """Raised inside of blocks."""


@cache
def model_and_edits(name: str) -> tuple[PreTrainedModel, list[Edit]]:
    """Rank-one, over two layers, of full rank, of neurons written anew and erased; none."""
    model = make_model(name)
    requests = some_requests(3)
    neurons = random_binary(N_LAYERS, D_MLP, seed=3).bool()
    outcomes = [
        *rank_one(model, requests, 0, CONTEXTS, None, QUICK),
        *memit(model, requests, [0, 1], CONTEXTS, None, 1.0, QUICK),
        *fine_tune(model, requests, 1, FineTuningConfig(lr=1e-3, steps=3)),
    ]
    found = [outcome.edit for outcome in outcomes]
    assert not any(edit.is_empty for edit in found)
    return model, [*found, update(model, neurons, 3, 9), erase(model, neurons), Edit()]


def live_tensors() -> tuple[int, int]:
    """(how many, bytes)."""
    gc.collect()
    found = [x for x in gc.get_objects() if isinstance(x, Tensor)]
    return len(found), sum(x.nbytes for x in found)


def assert_nothing_is_left(model: PreTrainedModel, turn: Callable[[int], None]) -> None:
    """``turn(i)`` N_EDITS times: the same bits, tensors, memory and hooks."""
    state = {key: value.clone() for key, value in model.state_dict().items()}
    projections = [ModuleMap(model).down_projection(layer) for layer in range(N_LAYERS)]
    attributes = [dict(module.__dict__) for module in projections]
    with unchanged(model, "bitwise"):
        tracemalloc.start()
        try:
            for i in range(N_WARM):
                turn(i)
            before, held = live_tensors(), tracemalloc.get_traced_memory()[0]
            for i in range(N_EDITS):
                turn(i)
            after, grown = live_tensors(), tracemalloc.get_traced_memory()[0] - held
        finally:
            tracemalloc.stop()
    assert after == before
    assert grown < _MAY_GROW * N_EDITS
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert [module.__dict__ for module in projections] == attributes
    assert n_hooks(model) == 0


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_thousand_edits_written_and_taken_back(name: str):
    """T-E8, of every kind, every third in a block that raises, every fifth within another."""
    model, edits = model_and_edits(name)

    def turn(i: int) -> None:
        edit, outer = edits[i % len(edits)], edits[(i + 5) % len(edits)]
        if i % 5 == 0:
            with edited(model, outer), edited(model, edit):
                pass
        elif i % 3 == 0:
            with pytest.raises(BlockError), edited(model, edit):
                raise BlockError
        else:
            with edited(model, edit):
                pass

    assert_nothing_is_left(model, turn)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_edits_do_something_inside(name: str):
    """Or the test above would show nothing."""
    model, edits = model_and_edits(name)
    untouched = logits_of(model, IDS)
    for edit in edits:
        with edited(model, edit):
            assert torch.equal(logits_of(model, IDS), untouched) == edit.is_empty


def test_a_thousand_edits_tried_per_row():
    """Several at once, some rows without one; every second in a block that raises."""
    model, edits = model_and_edits("llama")

    def turn(i: int) -> None:
        rows = [-1, *((i + k) % len(edits) for k in range(len(IDS) - 1))]
        if i % 2 == 0:
            with pytest.raises(BlockError), edited_rows(model, edits, rows):
                raise BlockError
        else:
            with edited_rows(model, edits, rows):
                logits_of(model, IDS)

    assert_nothing_is_left(model, turn)
