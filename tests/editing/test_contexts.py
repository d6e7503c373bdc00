"""Prefixes that a model writes itself."""

import pytest
import torch

from coemerge.editing.contexts import PUBLISHED_LENGTHS, sample_contexts
from tests.interventions.models import logits_of, shared_model


def test_the_published_contexts_are_the_bare_prompt_and_twenty_prefixes():
    model = shared_model("gpt2")

    found = sample_contexts(model, [0], PUBLISHED_LENGTHS, seed=1)

    assert [len(context) for context in found] == [0] + [5] * 10 + [10] * 10
    assert len(set(found)) > 10
    assert found == sample_contexts(model, [0], PUBLISHED_LENGTHS, seed=1)
    assert found != sample_contexts(model, [0], PUBLISHED_LENGTHS, seed=2)


def test_every_token_is_one_of_the_five_most_probable():
    model = shared_model("llama")

    for context in sample_contexts(model, [4, 2], [(4, 3)], separator=[7])[1:]:
        assert context[-1] == 7
        top = logits_of(model, torch.tensor([[4, 2, *context[:-1]]]))[0].topk(5).indices
        assert all(token in top[1 + i] for i, token in enumerate(context[:-1]))


def test_a_text_needs_a_beginning():
    with pytest.raises(ValueError, match="start: a text needs a token"):
        sample_contexts(shared_model("gpt2"), [])
