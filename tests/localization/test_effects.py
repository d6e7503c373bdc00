"""What masks do to held-out answers: empty, full and planted ones (T-M1, T-M2)."""

import numpy as np
import pytest

from coemerge.localization.controls import mismatched_masks, random_masks
from coemerge.localization.effects import EffectsConfig, evaluate_masks
from coemerge.localization.trained import TrainedMasks
from tests.localization.models import D_MLP, N_HEADS, neuron_of, planted_model
from tests.localization.test_masks import examples

QUICK = EffectsConfig(random_draws=3)


def masks(fill: bool | None) -> TrainedMasks:
    """Empty, full, or (None) the planted neurons."""
    cells = [(f, t) for f in range(4) for t in range(3)]
    n = len(cells)
    neurons = np.full((n, 1, D_MLP), bool(fill))
    if fill is None:
        for j, cell in enumerate(cells):
            neurons[j, 0, neuron_of(*cell)] = True
    return TrainedMasks(
        fact_id=np.array([f"fact-{f}" for f, _ in cells], dtype=object),
        task=np.array([f"task-{t}" for _, t in cells], dtype=object),
        heads=np.full((n, 1, N_HEADS), bool(fill)),
        neurons=neurons,
        order_index=np.zeros(n, int),
        losses=np.zeros((n, 4)),
        n_steps=np.ones(n, int),
        wall_s=np.zeros(n),
    )


def effects(fill: bool | None):
    found = evaluate_masks(planted_model(), examples(corruption="placeholder"), masks(fill), QUICK)
    return found[found["control"] == "none"], found[found["control"] != "none"]


def test_an_empty_mask_does_nothing():
    """T-M1."""
    own, _ = effects(False)

    assert (own.loc[own["intervention"] == "ablate", "relative_drop"] == 0).all()
    assert (own.loc[own["intervention"] == "patch", "recovery"] == 0).all()
    assert not own["valid"].any()


def test_a_full_mask_recovers_everything():
    """T-M2."""
    own, _ = effects(True)

    assert (own.loc[own["intervention"] == "patch", "recovery"] == 1).all()
    ablated = own[(own["intervention"] == "ablate") & (own["reference"] == "zero")]
    assert ablated.loc[ablated["eval_facts"] == "other", "relative_drop"].max() > 0.5


@pytest.mark.parametrize("reference", ["zero", "corrupted"])
def test_planted_masks_are_necessary_specific_and_sufficient(reference: str):
    own, controls = effects(None)
    ablated = own[(own["intervention"] == "ablate") & (own["reference"] == reference)]
    target = (ablated["eval_facts"] == "own") & (ablated["eval_task"] == ablated["mask_task"])

    assert (ablated.loc[~target, "relative_drop"] == 0).all()
    assert ablated.loc[target, "relative_drop"].mean() >= 0.75  # one object is the argmax of ties
    assert (own.loc[own["intervention"] == "patch", "recovery"] > 0).any()
    other = controls[(controls["control"] == "mismatched") & (controls["reference"] == reference)]
    assert (other.loc[other["intervention"] == "ablate", "relative_drop"] == 0).all()


def test_random_masks_have_the_same_size_in_each_layer():
    given = masks(None)

    one, two = random_masks(given, draw=0), random_masks(given, draw=1)

    assert np.array_equal(one.neurons.sum(2), given.neurons.sum(2))
    assert not np.array_equal(one.neurons, two.neurons)
    part = random_masks(given.select([5]), draw=0)
    assert np.array_equal(part.neurons[0], one.neurons[5])


def test_mismatched_masks_are_those_of_another_fact_for_the_same_task():
    relation_of = {"fact-0": "a", "fact-1": "b", "fact-2": "a", "fact-3": "c"}
    found, exists = mismatched_masks(masks(None), relation_of)

    def of(fact: int) -> int:
        neurons = found.neurons[found.index((f"fact-{fact}", "task-1"))][0]
        return int(np.flatnonzero(neurons)[0])

    assert exists.all()
    assert (of(0), of(2)) == (neuron_of(2, 1), neuron_of(0, 1)), "of the same relation first"
    assert of(3) == neuron_of(0, 1), "of another one where there is none"
    _, alone = mismatched_masks(masks(None).select([0, 1, 4]), relation_of)
    assert alone.tolist() == [False, True, True]
