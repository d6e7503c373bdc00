"""Edits spread over layers: the closed form on numbers, shares, and edits of real models."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from coemerge.editing.keys import KeyMoment, subject_states
from coemerge.editing.memit import memit, shares
from coemerge.editing.outcome import warn_of
from coemerge.editing.value_config import ValueConfig
from coemerge.editing.values import optimise_values
from coemerge.interventions.edits import Edit
from coemerge.interventions.guard import unchanged
from coemerge.interventions.sites import Site
from coemerge.interventions.weight_edits import edited
from tests.editing.requests import CONTEXTS, broken_request, some_requests
from tests.interventions.models import (
    D_MLP,
    D_VOCAB,
    MODELS,
    POST_NORM,
    make_model,
    noise,
    shared_model,
)

QUICK = ValueConfig(steps=5, max_norm=0.75)
MOMENT = KeyMoment.of(noise(200, D_MLP, seed=3).T @ noise(200, D_MLP, seed=3) / 200)
MOMENTS = {0: MOMENT, 1: KeyMoment.of(torch.eye(D_MLP))}
REALISED = 1e-4  # float32 passes behind changes computed in float64; residuals are of order 10


@pytest.mark.parametrize(
    ("weight", "share"), [(1.0, 0.5), (0.25, 0.8), (1e-9, 1.0)], ids=["1", "0.25", "to 0"]
)
def test_the_weight_of_ordinary_keys_decides_what_is_realised(weight: float, share: float):
    """T-E6."""
    key, r = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, -2.0]])

    delta = shares(r, key, None, weight)

    torch.testing.assert_close(delta.left @ delta.right.T @ key[0], share * r[0])


def test_many_keys_share_one_map_as_the_formula_says():
    change, keys = noise(5, 7), noise(5, D_MLP, seed=1)

    delta = shares(change, keys, MOMENT, 3.0)

    r, k = change.double().T, keys.double().T
    expected = r @ k.T @ (3.0 * MOMENT.moment + k @ k.T).inverse()
    torch.testing.assert_close(
        (delta.left @ delta.right.T).double(), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", [name for name in MODELS if name not in POST_NORM])
def test_layers_that_realise_their_shares_total_the_whole(name: str):
    """T-E7 on two layers: with lambda to 0 and one context the target residual is reached."""
    model, requests = make_model(name), some_requests(3)
    before, found = optimise_values(model, requests, [()], 1, "residual", QUICK)
    end = Site("resid_post", 1)

    outcomes = memit(model, requests, [0, 1], [()], None, 1e-6, QUICK)

    for e, (request, outcome) in enumerate(zip(requests, outcomes, strict=True)):
        assert outcome.edit.layers == [0, 1]
        with edited(model, outcome.edit):
            now = subject_states(model, [request.goal], [()], [end])[end][0, 0]
        wanted = before[e] + found.values[e]
        torch.testing.assert_close(now, wanted, rtol=REALISED, atol=10 * REALISED)


def test_layers_of_a_model_take_a_third_then_half_then_all_of_what_is_missing():
    """T-E7: each of what is missing under the layers before it, at the keys that are then read."""
    model, (request,) = deep_model(), some_requests(1)
    before, found = optimise_values(model, [request], [()], 3, "residual", QUICK)
    target, end, layers = (before + found.values)[0], Site("resid_post", 3), [1, 2, 3]

    (outcome,) = memit(model, [request], layers, [()], None, 1e-9, QUICK)

    for done, layer in enumerate(layers):
        key = Site("mlp_act", layer)
        with edited(model, Edit({k: outcome.edit.deltas[k] for k in layers[:done]})):
            seen = subject_states(model, [request.goal], [()], [key, end])
        delta, missing = outcome.edit.deltas[layer], target - seen[end][0, 0]
        change = delta.left @ (delta.right.T @ seen[key][0, 0])
        assert missing.norm() > 0.1
        torch.testing.assert_close(change, missing / (3 - done), rtol=REALISED, atol=10 * REALISED)


def deep_model() -> GPT2LMHeadModel:
    shape = {"n_embd": 32, "n_layer": 5, "n_head": 2, "n_positions": 16, "n_inner": D_MLP}
    special = {"bos_token_id": None, "eos_token_id": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=D_VOCAB, initializer_range=0.2, **shape, **special)
        return GPT2LMHeadModel(config).eval()


def test_a_request_that_diverges_is_told_and_left_out(caplog: pytest.LogCaptureFixture):
    """Also where one edit serves all."""
    model, requests = make_model("gpt2"), some_requests(2)
    broken = broken_request(model, requests)
    asked = [requests[0], broken, requests[1]]
    expected = memit(model, requests, [0, 1], CONTEXTS, None, 1.0, QUICK, together=True)
    warn_of(expected)
    assert "diverged" not in caplog.text

    apart, together = (
        memit(model, asked, [0, 1], CONTEXTS, None, 1.0, QUICK, together=t) for t in (False, True)
    )

    for outcomes in (apart, together):
        warn_of(outcomes)
        assert [outcome.diverged for outcome in outcomes] == [False, True, False]
        assert outcomes[1].edit.is_empty
    assert caplog.text.count("1 of 3 requests, first requests[1], diverged") == 2
    found, wanted = (e[0].edit.deltas[1] for e in (together, expected))
    torch.testing.assert_close(
        found.left @ found.right.T, wanted.left @ wanted.right.T, rtol=1e-3, atol=1e-4
    )


def test_each_of_three_layers_takes_a_third_then_half_then_all():
    """T-E7 on numbers: what is missing shrinks by the shares."""
    r, key = torch.tensor([[6.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    missing, taken = r.clone(), []
    for left in (3, 2, 1):
        delta = shares(missing / left, key, None, 1e-12)
        taken.append(float((delta.left @ delta.right.T @ key[0])[0]))
        missing[0, 0] -= taken[-1]

    assert taken == pytest.approx([2.0, 2.0, 2.0])
    assert float(missing.abs().max()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_residual_comes_closer_to_its_target(name: str):
    """Post-norms included, where shares are realised to first order only."""
    model, requests = make_model(name), some_requests(3)
    before, found = optimise_values(model, requests, CONTEXTS, 1, "residual", QUICK)
    end = Site("resid_post", 1)

    for outcome, request, value, delta in zip(
        memit(model, requests, [0, 1], CONTEXTS, MOMENTS, 1e-3, QUICK),
        requests,
        before,
        found.values,
        strict=True,
    ):
        with edited(model, outcome.edit):
            now = subject_states(model, [request.goal], [()], [end])[end][0, 0]
        assert (now - value - delta).norm() < 0.9 * delta.norm()


def test_one_edit_for_all_serves_each_and_is_of_their_rank():
    model, requests = make_model("gpt2"), some_requests(3)
    before, found = optimise_values(model, requests, [()], 1, "residual", QUICK)
    end = Site("resid_post", 1)

    outcomes = memit(model, requests, [0, 1], [()], None, 1e-6, QUICK, together=True)

    edit = outcomes[0].edit
    assert all(outcome.edit is edit for outcome in outcomes)
    assert [delta.left.shape[1] for delta in edit.deltas.values()] == [3, 3]
    with edited(model, edit):
        now = subject_states(model, [r.goal for r in requests], [()], [end])[end][:, 0]
    torch.testing.assert_close(now, before + found.values, rtol=10 * REALISED, atol=10 * REALISED)


def test_edits_do_not_depend_on_what_is_edited_beside():
    # Behind the last layer, only a subject that ends its prompt is read, and has a gradient at all.
    model, requests = shared_model("gemma2"), some_requests(9)[2::3]
    many = memit(model, requests, [0, 1], CONTEXTS, MOMENTS, 10.0, QUICK)

    for request, one in zip(requests, many, strict=True):
        (alone,) = memit(model, [request], [0, 1], CONTEXTS, MOMENTS, 10.0, QUICK)
        for layer in (0, 1):
            left, right = (o.edit.deltas[layer] for o in (one, alone))
            torch.testing.assert_close(
                left.left @ left.right.T, right.left @ right.right.T, rtol=1e-3, atol=1e-4
            )


def test_the_model_is_left_as_found_and_bad_settings_are_refused(monkeypatch):
    model, requests = make_model("gpt2").train(), some_requests(2)
    with unchanged(model, "bitwise"):
        memit(model, requests, [0, 1], CONTEXTS, MOMENTS, 10.0, QUICK)
    assert model.training

    monkeypatch.setattr(model, "forward", lambda *_args, **_kwargs: pytest.fail("it ran"))
    for message, layers, moments, weight in [
        (r"layers \[1, 0\]: must ascend", [1, 0], None, 1.0),
        (r"layers \[\]: must be some of 0 to 1", [], None, 1.0),
        (r"layers \[1, 2\]: must be some of 0 to 1", [1, 2], None, 1.0),
        (r"weight: lambda must be above 0, got 0", [0], None, 0),
        (r"moments: there is none of layer 1", [0, 1], {0: MOMENT}, 1.0),
    ]:
        with pytest.raises(ValueError, match=message):
            memit(model, requests, layers, CONTEXTS, moments, weight, QUICK)
