"""Predictions with many sets of neurons changed, against whole forward passes (methods 6.4)."""

import pytest
import torch
from torch import Tensor

from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.positions import position_mask
from coemerge.interventions.scaling import scale_neurons
from coemerge.localization import changed_neurons
from coemerge.localization.changed_neurons import Predictions, predict_changed
from tests.interventions.models import (
    D_MLP,
    D_VOCAB,
    MODELS,
    N_LAYERS,
    make_model,
    n_hooks,
    random_binary,
    shared_model,
    tokens,
)
from tests.localization import models as planted

LENGTHS = (5, 3, 5, 1, 7)
PROMPTS = [tokens(length, seed=i).tolist() for i, length in enumerate(LENGTHS)]
EVERY = torch.arange(D_VOCAB).expand(len(PROMPTS), -1)
FACTORS = [0.0, 2.0, 0.0, 2.0, 0.5]
SORT = torch.tensor([0, 1, 1, 0, 1])
NEURONS = random_binary(2, len(FACTORS), N_LAYERS, D_MLP).bool()
SAME = 1e-5  # probabilities, float32 in another order; measured 2e-7


def predict(model, neurons: Tensor = NEURONS, **changes) -> Predictions:
    given = {"prompts": PROMPTS, "tokens": EVERY, "sort_of_prompt": SORT, "factors": FACTORS}
    return predict_changed(model, neurons=neurons, **{**given, **changes})


@torch.no_grad()
def by_whole_pass(model, prompt: int, change: int) -> Tensor:
    """Log-probabilities [V] after the whole prompt."""
    ids = torch.tensor([PROMPTS[prompt]])
    at = position_mask("last", *ids.shape)
    neurons = NEURONS[SORT[prompt], change][None]
    with intervene(model, scale_neurons(neurons, FACTORS[change], at)):
        return model(input_ids=ids, use_cache=False).logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_what_whole_passes_give(name: str):
    model = shared_model(name)

    found = predict(model)

    for n in range(len(PROMPTS)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([PROMPTS[n]]), use_cache=False).logits[0, -1]
        expected = [logits.log_softmax(-1)]
        expected += [by_whole_pass(model, n, c) for c in range(len(FACTORS))]
        wanted = torch.stack(expected)
        torch.testing.assert_close(found.log_probs[n].exp(), wanted.exp(), rtol=SAME, atol=SAME)
        assert torch.equal(found.likeliest[n], wanted.argmax(-1))
    moved = (found.log_probs[:, 1:].exp() - found.log_probs[:, :1].exp()).abs().amax(-1)
    assert moved.min() > 100 * SAME, "changes that do nothing would agree whatever is computed"


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_the_size_of_passes_changes_nothing(name: str, monkeypatch):
    model = shared_model(name)
    together = predict(model)

    monkeypatch.setattr(changed_neurons, "default_rows", lambda *_: 1)  # a prompt, a change at once
    found = predict(model)

    torch.testing.assert_close(found.log_probs, together.log_probs, rtol=SAME, atol=SAME)
    assert torch.equal(found.likeliest, together.likeliest)


def test_empty_sets_are_the_untouched_model_to_the_bit():
    neurons = NEURONS.clone()
    neurons[0, 1:3] = False
    neurons[1] = False

    found = predict(shared_model("llama"), neurons)

    for n, sort in enumerate(SORT.tolist()):
        for c in range(len(FACTORS)):
            is_same = torch.equal(found.log_probs[n, 1 + c], found.log_probs[n, 0])
            assert is_same == (sort == 1 or c in (1, 2))
    torch.testing.assert_close(
        found.log_probs[:, 0], predict(shared_model("llama")).log_probs[:, 0], rtol=0, atol=SAME
    )


def test_rows_that_are_rounded_differently_leave_empty_sets_alone(monkeypatch):
    real = changed_neurons.LastPosition.scaled

    def rounded(self, neurons: Tensor, factors: Tensor) -> Tensor:
        return real(self, neurons, factors) + 1e-6 * torch.arange(len(factors))[:, None]

    monkeypatch.setattr(changed_neurons.LastPosition, "scaled", rounded)
    found = predict(shared_model("gpt2"), torch.zeros_like(NEURONS))

    assert torch.equal(found.log_probs[:, 1:], found.log_probs[:, :1].expand(-1, 5, -1))


def test_only_the_tokens_asked_for_are_read():
    asked = torch.tensor([[3, 3, 59], [0, 1, 2], [7, 8, 9], [4, 4, 4], [59, 0, 5]])

    found = predict(shared_model("gpt2"), tokens=asked)

    every = predict(shared_model("gpt2")).log_probs
    expected = every.gather(2, asked[:, None].expand(-1, 1 + len(FACTORS), -1))
    assert torch.equal(found.log_probs, expected)


def test_one_neuron_holds_a_planted_answer():
    """Suppressed, all objects are equally likely; another fact's neuron does nothing."""
    model, (fact, task) = planted.planted_model(), (2, 1)
    prompt = [planted.FIRST_TASK + task, planted.FIRST_SUBJECT + fact, 0]
    neurons = torch.zeros(1, 2, 1, planted.D_MLP, dtype=torch.bool)
    neurons[0, 0, 0, planted.neuron_of(fact, task)] = True
    neurons[0, 1, 0, planted.neuron_of(fact + 1, task)] = True
    objects = torch.arange(planted.FIRST_OBJECT, planted.FIRST_OBJECT + planted.N_FACTS)[None]

    found = predict_changed(model, [prompt], objects, neurons, torch.zeros(1), [0.0, 0.0])

    before, without, with_other = found.log_probs[0].exp()
    assert before.argmax() == fact
    assert before[fact] > 0.9
    assert without == pytest.approx(float(without[0]), rel=1e-4)
    assert torch.equal(with_other, before), "a neuron that is silent"
    assert found.likeliest[0, 0] == found.likeliest[0, 2] == planted.FIRST_OBJECT + fact


def test_the_model_is_left_as_found_amid_training(monkeypatch):
    model = make_model("gpt2", attention="sdpa").train()
    with unchanged(model, "bitwise"):
        predict(model)
    assert model.training

    def broken(*_args, **_options):
        raise ZeroDivisionError

    monkeypatch.setattr(model.lm_head, "forward", broken)
    with unchanged(model, "bitwise"), pytest.raises(ZeroDivisionError):
        predict(model)
    assert n_hooks(model) == 0
    assert all("forward" not in layer.__dict__ for layer in model.transformer.h)
    assert model.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": NEURONS.float()}, "bool \\[2, 5, 2, 48\\], not torch.float32"),
        ({"neurons": NEURONS[:, :4]}, "a set for each of the factors"),
        ({"tokens": EVERY[:3]}, "5 prompts need tokens \\[5, K\\], not \\[3, 60\\]"),
        ({"tokens": EVERY[:, :0]}, "need tokens"),
        ({"tokens": EVERY + 1}, "prompt 0|answer 0 has tokens outside of 0 to 59"),
        ({"sort_of_prompt": SORT + 1}, "indices of the 2 sorts"),
        ({"prompts": [*PROMPTS[:-1], []]}, "prompt 4 is empty"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        predict(shared_model("gpt2"), **changes)


def test_no_prompts_are_no_work():
    found = predict(shared_model("gpt2"), prompts=[], tokens=EVERY[:0], sort_of_prompt=SORT[:0])
    assert found.log_probs.shape == (0, 1 + len(FACTORS), D_VOCAB)
