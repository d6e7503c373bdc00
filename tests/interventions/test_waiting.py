"""What transformers is told of rows is what it would find, and it is told no longer than asked."""

import contextlib

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, masking_utils

from coemerge.interventions.waiting import known_rows

GPU = torch.device("cuda")  # a name: nothing is put there
PACKED = [[0, 1, 2, 0, 1, 0, 1, 2], [0, 1, 2, 3, 4, 5, 0, 1]]


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def model(request: pytest.FixtureRequest) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=2)
    model = GPT2LMHeadModel(config).eval()
    model.set_attn_implementation(request.param)
    return model


@torch.no_grad()
def _logits(model: GPT2LMHeadModel, positions: list[list[int]]) -> Tensor:
    ids = torch.arange(16).view(2, 8)
    return model(input_ids=ids, position_ids=torch.tensor(positions), use_cache=False).logits


def test_packed_rows_are_told_as_they_are_found(model: GPT2LMHeadModel) -> None:
    found = _logits(model, PACKED)
    with known_rows(GPU, packed=True):
        assert torch.equal(_logits(model, PACKED), found)


def test_rows_of_one_document_are_told_as_they_are_found(model: GPT2LMHeadModel) -> None:
    alone = [list(range(8))] * 2
    found = _logits(model, alone)
    with known_rows(GPU, packed=False):
        assert torch.equal(_logits(model, alone), found)
    with known_rows(GPU, packed=True):
        assert torch.allclose(_logits(model, alone), found, atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_transformers_is_left_as_found(device: str) -> None:
    def functions() -> tuple[object, object]:
        warning = PreTrainedModel.warn_if_padding_and_no_attention_mask
        return masking_utils.find_packed_sequence_indices, warning

    before = functions()
    with contextlib.suppress(KeyError), known_rows(torch.device(device), packed=True):
        assert (functions() == before) == (device == "cpu")
        raise KeyError
    assert functions() == before
