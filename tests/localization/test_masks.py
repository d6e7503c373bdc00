"""Training of masks: the planted answer, independence of masks, exclusivity (T-M3, T-M6, T-M7)."""

import numpy as np
import pytest
import torch

from coemerge.interventions.capture import mean_activation
from coemerge.interventions.gates import Gates, component_sites
from coemerge.interventions.guard import unchanged
from coemerge.localization.chunks import train_masks
from coemerge.localization.config import preset
from coemerge.localization.examples import Examples
from coemerge.localization.masks import train_facts
from coemerge.localization.objective import Objective
from coemerge.localization.prompts import read_prompts
from tests.interventions.models import make_model, n_hooks
from tests.localization.models import (
    FACTS,
    PLACEHOLDER,
    TASKS,
    neuron_of,
    planted_model,
    planted_prompts,
)

# Ablation to zero: to the mean, silent neurons of other facts would write wrong objects.
PRECISE = {"precision": "float32", "reference": "zero", "rows_facts": 3, "rows_tasks": 2}
# Relative, and the same absolute: float32 passes over batches of other shapes, losses up to 8 nats.
SAME_LOSSES = 1e-5


def examples(facts=FACTS, **changes) -> Examples:
    config = preset("small", **{**PRECISE, **changes})
    prompts = read_prompts(planted_prompts(), config.corruption, PLACEHOLDER, config.seed)
    return Examples(prompts, facts, TASKS, config)


def train(given: Examples, model=None, **kwargs):
    return train_masks(model or planted_model(), given, show_progress=False, **kwargs)


def assert_exactly_planted(masks) -> None:
    assert len(masks) == len(FACTS) * len(TASKS)
    for (fact, task), heads, neurons in zip(masks.cells, masks.heads, masks.neurons, strict=True):
        planted = neuron_of(FACTS.index(fact), TASKS.index(task))
        assert not heads.any()
        assert np.flatnonzero(neurons[0]).tolist() == [planted], (fact, task)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 60},
        {"steps": 60, "necessity": "kl_to_uniform", "specificity": "kl"},
        {"steps": 60, "corruption": "placeholder"},
        {"steps": 60, "reference": "corrupted", "corruption": "placeholder", "positions": "last"},
        {"steps": 150, "gate": "hard_concrete", "initial_logit": -2},
        {"steps": 40, "precision": "bfloat16"},
    ],
    ids=["default", "kl", "placeholder", "corrupted-last", "hard-concrete", "bfloat16"],
)
def test_the_mask_is_the_planted_neuron(settings, exclusive: bool):
    """T-M7, for every (fact, task): one neuron per task for the same fact."""
    assert_exactly_planted(train(examples(exclusive=exclusive, **settings)))


def test_the_published_preset_finds_the_planted_neurons():
    config = preset("published", steps=250)
    prompts = read_prompts(planted_prompts(), "placeholder", PLACEHOLDER)

    assert_exactly_planted(train(Examples(prompts, FACTS, TASKS, config)))


def test_without_necessity_and_sufficiency_the_mask_is_empty():
    """T-M6."""
    masks = train(
        examples(
            lambda_nec=0,
            lambda_suf=0,
            lambda_spar=300,
            initial_logit=0,
            initial_noise=0.5,
            steps=60,
        )
    )

    assert not masks.heads.any()
    assert not masks.neurons.any()


@pytest.mark.parametrize("gate", ["straight_through", "hard_concrete"])
@pytest.mark.parametrize("reference", ["mean", "corrupted"])
def test_many_masks_at_once_equal_one_at_a_time(gate: str, reference: str):
    model = planted_model()
    settings = {"steps": 8, "gate": gate, "reference": reference, "initial_noise": 1.0}
    # Small steps: with large ones, rounding alone decides which way a gate without effect goes.
    mild = {"lr": 0.1, "lambda_nec": 1, "lambda_spec_facts": 2, "lambda_spar": 3, "w_heads": 1}
    given = examples(initial_logit=0, **settings, **mild)
    sites = component_sites(model)
    means = mean_activation(model, [torch.tensor(given.prompts.ids)], sites)
    with unchanged(model):
        model.requires_grad_(False)
        together = train_facts(model, given, FACTS, means)
        for fact in FACTS:
            alone = train_facts(model, given, [fact], means)
            part = together.select([together.index(cell) for cell in alone.cells])
            np.testing.assert_allclose(
                part.losses, alone.losses, rtol=SAME_LOSSES, atol=SAME_LOSSES
            )
            assert np.array_equal(part.heads, alone.heads)
            assert np.array_equal(part.neurons, alone.neurons)
    assert together.losses.std(0).min() > 100 * SAME_LOSSES


@pytest.mark.parametrize("exclusive", [True, False])
def test_masks_of_one_fact_are_disjoint_if_asked(exclusive: bool):
    """T-M3; open gates at the start, so that all masks want the same."""
    masks = train(examples(exclusive=exclusive, initial_logit=1, steps=4, initial_noise=0.5))

    overlap = 0
    for fact in FACTS:
        own = masks.select(np.flatnonzero(masks.fact_id == fact))
        assert sorted(own.order_index) == list(range(len(TASKS)))
        overlap += int((own.neurons.sum(0) > 1).sum() + (own.heads.sum(0) > 1).sum())
    assert (overlap == 0) == exclusive


def test_the_order_of_tasks_is_that_of_the_seed():
    masks = train(examples(steps=2))
    other = train(examples(steps=2, seed=5))

    for fact, task, rank in zip(masks.fact_id, masks.task, masks.order_index, strict=True):
        assert examples().task_order(fact)[rank] == task
    assert len({tuple(examples().task_order(fact)) for fact in FACTS}) > 1
    assert masks.order_index.tolist() != other.order_index.tolist()


def test_a_second_mask_can_be_kept_off_the_first():
    given = examples(exclusive=False, steps=40)
    first = train(given)

    second = train(given, forbidden=first)

    assert not (first.neurons & second.neurons).any()
    assert first.neurons.any(2).all()


def test_masks_that_are_done_stop_early_and_are_as_good():
    masks = train(examples(steps=120, early_stop=True, corruption="placeholder"))

    assert_exactly_planted(masks)
    assert masks.n_steps.mean() < 100


def test_attributions_open_the_planted_neuron_first():
    masks = train(examples(steps=1, attribution_batches=2, attribution_units=0.04, lr=1e-6))

    assert_exactly_planted(masks)


def test_gradients_reach_gates_and_nothing_else():
    model, given = planted_model(), examples()
    schedules = [given.schedule(cell) for cell in given.cells]
    shape = (len(schedules), 1)
    gates = Gates(torch.zeros(*shape, 2).requires_grad_(), torch.zeros(*shape, 20).requires_grad_())
    with unchanged(model):
        model.requires_grad_(False)
        losses = Objective(model, given.prompts, schedules, given.config, None).backward(
            gates, [0, 3], 0
        )
        assert all(p.grad is None for p in model.parameters())

    assert (losses[[0, 3]] != 0).any(1).all()
    reached = gates.neurons.grad.abs().sum((1, 2)) > 0
    assert reached.nonzero()[:, 0].tolist() == [0, 3]  # active masks alone
    assert not losses[[1, 2]].any()


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox"])
def test_the_model_is_left_as_it_was(name: str):
    model = make_model(name, attention="sdpa").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modules = [type(module) for module in model.modules()]

    train(examples(FACTS[:2], steps=2), model)

    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert n_hooks(model) == 0
    assert [type(module) for module in model.modules()] == modules
    assert model.config._attn_implementation == "sdpa"
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_the_model_is_left_as_it_was_when_training_raises(monkeypatch):
    model = make_model("gpt2", attention="sdpa").train()
    modules = [type(module) for module in model.modules()]
    monkeypatch.setattr(Objective, "_losses", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        train(examples(steps=2), model)

    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert n_hooks(model) == 0
    assert [type(module) for module in model.modules()] == modules
    assert model.config._attn_implementation == "sdpa"
