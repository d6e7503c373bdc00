"""Probabilities of answers with neurons suppressed or enhanced (methods 5.4)."""

import pytest
import torch

from coemerge.interventions.gates import Gates, ablate
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.positions import position_mask
from coemerge.localization import first_tokens
from coemerge.localization.suppression import change_of_probability
from tests.interventions.models import (
    D_MLP,
    MODELS,
    N_HEADS,
    N_LAYERS,
    logits_of,
    make_model,
    n_hooks,
    random_binary,
    shared_model,
    tokens,
)
from tests.localization import models as planted

LENGTHS = (5, 3, 5, 1)
PROMPTS = [tokens(length, seed=i).tolist() for i, length in enumerate(LENGTHS)]
ANSWERS = [[7, 8], [11], [7], [40]]
ROWS = torch.tensor([2, 0, 1, 0, 3, 2, 0])
NEURONS = random_binary(len(ROWS), N_LAYERS, D_MLP).bool()
BATCHED = 1e-5  # relative; logits of order 10 in float32, in batches of other shapes


def effect(model, factor: float, rows=slice(None), **options) -> torch.Tensor:
    return change_of_probability(
        model, PROMPTS, ANSWERS, NEURONS[rows], ROWS[rows], factor, **options
    )


def probability(model, prompt: int) -> torch.Tensor:
    return logits_of(model, torch.tensor([PROMPTS[prompt]]))[0, -1].softmax(-1)[ANSWERS[prompt][0]]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("positions", ["last", "all"])
def test_factor_zero_is_what_ablation_to_zero_does(name: str, positions):
    model = shared_model(name)

    found = effect(model, 0.0, positions=positions)

    for row, prompt in enumerate(ROWS.tolist()):
        gates = Gates(torch.zeros(N_LAYERS, N_HEADS), NEURONS[row].float())
        at = position_mask(positions, 1, LENGTHS[prompt])
        before = probability(model, prompt)
        with intervene(model, ablate(gates, positions=at)):
            after = probability(model, prompt)
        assert found[row] == pytest.approx(float((after - before) / before), rel=1e-4, abs=BATCHED)
    assert found.abs().min() > 100 * BATCHED


@pytest.mark.parametrize("name", MODELS)
def test_all_rows_at_once_equal_one_at_a_time(name: str):
    model = shared_model(name)

    together = effect(model, 2.0)

    alone = torch.cat([effect(model, 2.0, [row]) for row in range(len(ROWS))])
    torch.testing.assert_close(together, alone, rtol=BATCHED, atol=BATCHED)


def test_empty_sets_and_factor_one_change_nothing():
    model, nothing = shared_model("gpt2"), torch.zeros_like(NEURONS)

    empty = change_of_probability(model, PROMPTS, ANSWERS, nothing, ROWS, 0.0)

    for found in (empty, effect(model, 1.0)):
        torch.testing.assert_close(found, torch.zeros(len(ROWS)), rtol=0, atol=BATCHED)


def test_no_rows_are_no_work():
    assert change_of_probability(
        shared_model("gpt2"), PROMPTS, ANSWERS, NEURONS[:0], torch.tensor([]), 0.0
    ).shape == (0,)


def test_the_untouched_model_is_asked_once_per_prompt():
    """Of the prompts that rows ask: two of 5 tokens and one of 3, for five rows and one."""
    model, n_rows = shared_model("gpt2"), []
    handle = model.register_forward_pre_hook(
        lambda _model, _args, kwargs: n_rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )

    effect(model, 0.0, torch.tensor([0, 1, 3, 5, 6, 2]))  # prompts 2, 0, 0, 2, 0, 1
    handle.remove()

    assert sorted(n_rows) == [1, 1, 2, 5]


def test_one_neuron_holds_a_planted_answer():
    """Suppressed, all objects are equally likely; another fact's neuron does nothing."""
    model = planted.planted_model()
    fact, task = 2, 1
    prompt = [planted.FIRST_TASK + task, planted.FIRST_SUBJECT + fact, 0]
    neurons = torch.zeros(2, 1, planted.D_MLP, dtype=torch.bool)
    neurons[0, 0, planted.neuron_of(fact, task)] = True
    neurons[1, 0, planted.neuron_of(fact + 1, task)] = True
    answer = [planted.FIRST_OBJECT + fact]

    zero, two = (
        change_of_probability(model, [prompt], [answer], neurons, torch.zeros(2).long(), factor)
        for factor in (0.0, 2.0)
    )

    assert zero[0] < -0.9
    assert zero[1] == pytest.approx(0, abs=BATCHED)
    assert two[1] == pytest.approx(0, abs=BATCHED)


def test_the_model_is_left_as_found_also_when_it_raises(monkeypatch):
    model = make_model("llama", attention="sdpa").train()

    with unchanged(model, "bitwise"):
        effect(model, 0.0)
        assert all(module.training for module in model.modules())
        monkeypatch.setattr(model.model.layers[1].mlp.act_fn, "forward", None)
        with pytest.raises(TypeError):
            effect(model, 0.0)
    assert all(module.training for module in model.modules())
    assert n_hooks(model) == 0


def test_improbable_answers_have_no_relative_change():
    """Those below ``least``, judged on the untouched model."""
    model = shared_model("gpt2")
    p = torch.stack([probability(model, prompt) for prompt in range(len(PROMPTS))])
    least = float(p.sort().values[1:3].mean())

    found, every = effect(model, 0.0, least=least), effect(model, 0.0)

    defined = (p >= least)[ROWS]
    assert 0 < defined.sum() < len(ROWS)
    assert torch.equal(~found.isnan(), defined)
    assert torch.equal(found[defined], every[defined])


def test_small_changes_and_vanishing_probabilities_are_exact():
    before, after = torch.tensor([-1.0, -200.0]), torch.tensor([-1.0 + 1e-6, -200.0])

    found = first_tokens.relative_change(before, after)

    assert found.tolist() == pytest.approx([1e-6, 0], rel=0.1)
    assert first_tokens.relative_change(before, after, 0.02).isnan().tolist() == [False, True]
    certain = torch.zeros(1)
    assert first_tokens.relative_change(certain, certain, 1.0).tolist() == [0], "not below it"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": ANSWERS[:3]}, "4 prompts have 3 answers"),
        ({"answers": [[7], [], [7], [1]]}, "answer 1 has no tokens"),
        ({"prompts": [[1], [1], [], [1]]}, "prompt 2 has no tokens"),
        ({"neurons": NEURONS.float()}, r"bool \[7, 2, 48\].*float32"),
        ({"neurons": NEURONS[:3]}, r"bool \[7, 2, 48\].*\[3, 2, 48\]"),
        ({"prompt_of_row": ROWS + 1}, "indices of the 4 prompts"),
        ({"positions": "subject"}, "positions='subject': must be last or all"),
    ],
)
def test_bad_input_is_named_before_work_starts(changes: dict, message: str):
    given = {"prompts": PROMPTS, "answers": ANSWERS, "neurons": NEURONS, "prompt_of_row": ROWS}

    with pytest.raises(ValueError, match=message):
        change_of_probability(shared_model("gpt2"), **{**given, **changes}, factor=0.0)
