"""Edits of neurons: what becomes of the weights, on every architecture."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from coemerge.editing.neurons import erase, erase_each, update, update_each
from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.edits import Edit
from coemerge.interventions.gates import Gates, ablate
from coemerge.interventions.hooks import intervene
from coemerge.interventions.weight_edits import edited, edited_rows
from tests.interventions.models import (
    D_MLP,
    MODELS,
    N_HEADS,
    N_LAYERS,
    SAME_LOGITS,
    logits_of,
    make_model,
    random_binary,
    shared_model,
    tokens,
)

IDS = tokens(3, 8)
NONE = torch.zeros(N_LAYERS, D_MLP, dtype=torch.bool)
SOME = NONE.clone()
SOME[0, [3, 40]] = SOME[1, 7] = True


def columns(model: PreTrainedModel) -> Tensor:
    """What every neuron writes, [L,m,d]."""
    modules = ModuleMap(model)
    each = [projection_matrix(modules.down_projection(layer)) for layer in range(N_LAYERS)]
    return torch.stack(each).detach().clone()


@pytest.mark.parametrize("name", MODELS)
def test_erased_neurons_write_nothing_and_all_is_bitwise_restored(name: str):
    """T-Q6."""
    model = make_model(name)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    before = columns(model)

    with edited(model, erase(model, SOME)):
        during = columns(model)

    assert (during[SOME] == 0).all()
    assert torch.equal(during[~SOME], before[~SOME])
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_erasing_equals_closing_the_neurons(name: str):
    model = shared_model(name)
    many = random_binary(N_LAYERS, D_MLP).bool()

    with intervene(model, ablate(Gates(torch.zeros(N_LAYERS, N_HEADS), many))):
        closed = logits_of(model, IDS)
    with edited_rows(model, [erase(model, many)], [0, 0, 0]):
        erased = logits_of(model, IDS)

    torch.testing.assert_close(erased, closed, rtol=SAME_LOGITS, atol=SAME_LOGITS)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lambdas", [(2.0, 2.0), (1.0, 3.0)])
def test_updated_neurons_write_another_token(name: str, lambdas):
    """W[:,n] - lambda_1 e(old) + lambda_2 e(new); rank 1 per layer."""
    model, old, new = make_model(name), 5, 9
    before = columns(model)
    unembedding = model.get_output_embeddings().weight.detach()

    edit = update(model, SOME, old, new, lambdas)
    with edited(model, edit):
        during = columns(model)

    expected = before[SOME] - lambdas[0] * unembedding[old] + lambdas[1] * unembedding[new]
    torch.testing.assert_close(during[SOME], expected)
    assert torch.equal(during[~SOME], before[~SOME])
    assert [delta.left.shape[1] for delta in edit.deltas.values()] == [1, 1]


def test_tied_models_use_the_embedding_row_and_untied_ones_the_unembedding_row():
    tied, untied = shared_model("gpt2"), shared_model("llama")
    assert tied.get_input_embeddings().weight is tied.get_output_embeddings().weight
    assert untied.get_input_embeddings().weight is not untied.get_output_embeddings().weight

    for model in (tied, untied):
        change = update(model, SOME, 5, 9, (0.0, 1.0)).deltas[0].left[:, 0]
        assert torch.equal(change, model.get_output_embeddings().weight[9].detach())


def test_an_update_to_the_same_token_changes_nothing():
    model = make_model("gpt2")
    before = columns(model)

    with edited(model, update(model, SOME, 5, 5)):
        assert torch.equal(columns(model), before)


def test_many_sets_give_the_edits_of_each():
    model = shared_model("olmo2")
    one_layer = NONE.clone()
    one_layer[1, 2] = True
    sets = torch.stack([SOME, NONE, one_layer])

    erased, updated = erase_each(model, sets), update_each(model, sets, [1, 2, 3], [4, 5, 6])

    assert [edit.layers for edit in erased] == [[0, 1], [], [1]]
    for index, own in enumerate(sets):
        assert_same(erased[index], erase(model, own))
        assert_same(updated[index], update(model, own, 1 + index, 4 + index))


def assert_same(left: Edit, right: Edit) -> None:
    assert left.layers == right.layers
    for layer, delta in left.deltas.items():
        assert torch.equal(delta.left, right.deltas[layer].left)
        assert torch.equal(delta.right, right.deltas[layer].right)
    for layer, neurons in left.erased.items():
        assert torch.equal(neurons, right.erased[layer])


def test_a_set_without_neurons_is_the_edit_that_does_nothing():
    model = shared_model("gpt2")

    assert erase(model, NONE).is_empty
    assert update(model, NONE, 1, 2).is_empty


def test_no_sets_give_no_edits():
    model = shared_model("gpt2")

    assert erase_each(model, NONE[None][:0]) == []
    assert update_each(model, NONE[None][:0], [], []) == []


def test_neurons_and_tokens_that_do_not_fit_are_refused():
    model = shared_model("gpt2")
    with pytest.raises(ValueError, match=r"bool \[2, 48\] .* not float32 \[1, 2, 48\]"):
        erase(model, SOME.float())
    with pytest.raises(ValueError, match=r"not bool \[1, 3, 48\]"):
        erase(model, SOME[[0, 1, 1]])
    with pytest.raises(ValueError, match=r"new_ids: \[60\] are not tokens; there are 0 to 59"):
        update(model, SOME, 1, 60)
    with pytest.raises(ValueError, match=r"old_ids: \[-1\] are not tokens"):
        update(model, SOME, -1, 2)
    with pytest.raises(ValueError, match=r"old_ids holds 2 tokens for 1 sets"):
        update_each(model, SOME[None], [1, 2], [3])
