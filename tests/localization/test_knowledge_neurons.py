"""Attribution: functions worked out by hand, then models, whose fast passes must give what whole
passes give."""

import logging
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from coemerge.interventions.architecture import ModuleMap, projection_matrix
from coemerge.interventions.capture import capture
from coemerge.interventions.gates import Gates, ablate
from coemerge.interventions.hooks import intervene
from coemerge.interventions.positions import position_mask
from coemerge.interventions.sites import Site
from coemerge.localization import knowledge_neurons
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.paths import ablation_loss, path_integral
from tests.interventions.models import (
    D_MLP,
    D_VOCAB,
    MODELS,
    N_LAYERS,
    POST_NORM,
    logits_of,
    make_model,
    n_hooks,
    shared_model,
    tokens,
)

# Probabilities and their gradients in float32, summed in another order; measured 1e-8.
SAME_SCORES = 1e-6
TOKENS = tokens(9).tolist()
FINE = AttributionConfig(steps=200)


def product(u: Tensor) -> Tensor:
    return u[..., 0] * u[..., 1]


def logistic(u: Tensor) -> Tensor:
    return torch.sigmoid(u[..., 0] + 2 * u[..., 1])


def by_hand(function, activation, **config) -> list[float]:
    return path_integral(function, torch.tensor([activation]), AttributionConfig(**config))[
        0
    ].tolist()


def test_t_g2_neurons_that_multiply_share_the_answer_or_each_have_it_all():
    assert by_hand(product, [2.0, 3.0]) == pytest.approx([3, 3])
    assert ablation_loss(product, torch.tensor([[2.0, 3.0]])).tolist() == [[6, 6]]


def test_t_g3_right_ends_are_biased_and_midpoints_are_not():
    assert by_hand(product, [2.0, 3.0], grid="right") == pytest.approx([3.15, 3.15])
    assert by_hand(product, [2.0, 3.0], grid="midpoint") == pytest.approx([3, 3])


def test_t_g4_of_a_sigmoid():
    gain = 1 / (1 + math.exp(-3)) - 0.5
    found = by_hand(logistic, [1.0, 1.0])

    assert gain == pytest.approx(0.45257, abs=1e-5)
    assert found == pytest.approx([0.15087, 0.30174], abs=1e-5)
    assert sum(found) == pytest.approx(0.45261, abs=1e-5)


def test_other_grids():
    """Both ends included: the slope of u1 u2 along the path averages 1/2, as it should, but that of
    u^3 is 3 a^2 times the mean of 0, 1/4, 1. Gauss points are exact for both."""

    def cube(u: Tensor) -> Tensor:
        return u[..., 0] ** 3

    assert by_hand(product, [2.0, 3.0], grid="ends", steps=3) == pytest.approx([3, 3])
    assert by_hand(cube, [2.0], grid="ends", steps=3) == pytest.approx([24 * 5 / 12])
    assert by_hand(cube, [2.0], grid="gauss", steps=2) == pytest.approx([8])


def test_points_in_pieces_are_points_at_once():
    activation = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    whole = path_integral(logistic, activation, AttributionConfig(steps=7))
    pieces = path_integral(logistic, activation, AttributionConfig(steps=7), points_at_once=3)

    assert torch.allclose(pieces, whole, atol=SAME_SCORES, rtol=0)
    alone, both = (ablation_loss(logistic, activation, at_once) for at_once in (1, None))
    assert torch.allclose(alone, both, atol=SAME_SCORES, rtol=0)


def whole_passes(
    model, prompt: list[int], answer: int, layer: int
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Probability [n] with the last position's neurons [n,m], in passes of all tokens without a
    cache; and the neurons of the untouched run [1,m]."""
    ids, site = torch.tensor([prompt]), Site("mlp_act", layer)
    with capture(model, [site]) as seen:
        logits_of(model, ids)

    def probability(values: Tensor) -> Tensor:
        replace = {site: lambda x: torch.cat((x[:, :-1], values[:, None].to(x)), 1)}
        with intervene(model, replace):
            rows = ids.expand(len(values), -1)
            logits = model(input_ids=rows, use_cache=False).logits
        return logits[:, -1].softmax(-1)[:, answer]

    return probability, seen[site][:, -1]


def reference(model, prompt: list[int], answer: int, config: AttributionConfig) -> Tensor:
    """[L,m] from whole passes."""
    found = []
    for layer in range(N_LAYERS):
        probability, own = whole_passes(model, prompt, answer, layer)
        batched = lambda u, f=probability: f(u[0])[None]  # noqa: E731
        if config.method == "single":
            found.append(ablation_loss(batched, own)[0])
        elif config.method == "gradient":
            point = own.clone().requires_grad_()
            found.append((own * torch.autograd.grad(probability(point).sum(), point)[0])[0])
        else:
            found.append(path_integral(batched, own, config)[0])
    return torch.stack(found)


@pytest.mark.parametrize("method", ["joint", "single", "gradient"])
@pytest.mark.parametrize("name", MODELS)
def test_fast_passes_give_what_whole_passes_give(name, method):
    """The sliding windows of two architectures, 4 tokens, are shorter than the prompt."""
    model, config = shared_model(name), AttributionConfig(method, steps=4)

    found = attribute(model, [TOKENS], [[3]], config)[0]

    expected = reference(model, TOKENS, 3, config)
    assert expected.abs().max() > 1e-4
    assert torch.allclose(found, expected, atol=SAME_SCORES, rtol=1e-4)


def gain(model, layer: int) -> float:
    """What the layer's neurons together add to the probability, from whole passes."""
    probability, own = whole_passes(model, TOKENS, 3, layer)
    return (probability(own) - probability(torch.zeros_like(own))).item()


@pytest.mark.parametrize("name", [name for name in MODELS if name not in POST_NORM])
def test_t_g1_scores_of_a_layer_sum_to_what_it_gains(name):
    model = shared_model(name)

    found = attribute(model, [TOKENS], [[3]], FINE)[0]

    for layer in range(N_LAYERS):
        expected = gain(model, layer)
        tolerance = 1e-3 * abs(expected) + 1e-6
        assert found[layer].sum().item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", POST_NORM)
def test_a_norm_after_the_mlp_hides_the_gain_from_the_path_and_this_is_told(name, caplog):
    """It undoes the scale of what the neurons write, except just above 0, where no point lies."""
    model = shared_model(name)

    with caplog.at_level(logging.WARNING, knowledge_neurons.__name__):
        found = attribute(model, [TOKENS], [[3]], FINE)[0].sum(1)
        assert caplog.text.count("norm after the MLP") == 1
        attribute(model, [TOKENS], [[3]], AttributionConfig("single"))
        attribute(shared_model("gpt_neox"), [TOKENS], [[3]])
        assert caplog.text.count("norm after the MLP") == 1

    gains = torch.tensor([gain(model, layer) for layer in range(N_LAYERS)])
    assert (found - gains).abs().max() > 0.1 * gains.abs().max()


def test_t_g5_a_neuron_that_writes_nothing_is_due_nothing():
    model = make_model("olmo2")
    with torch.no_grad():
        projection_matrix(ModuleMap(model).down_projection(1))[5] = 0

    for method, tolerance in (("joint", 0), ("gradient", 0), ("single", 1e-7)):
        found = attribute(model, [TOKENS], [[3]], AttributionConfig(method))[0]
        assert found[1, 5].abs() <= tolerance
        assert (found[1] == 0).sum() <= 1


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_t_g6_single_is_what_ablation_at_the_last_position_takes(name):
    model = shared_model(name)
    ids = torch.tensor([TOKENS])
    found = attribute(model, [TOKENS], [[3]], AttributionConfig("single"))[0]

    untouched = logits_of(model, ids)[0, -1].softmax(-1)[3]
    for layer, neuron in ((0, 0), (0, 17), (1, D_MLP - 1)):
        gates = Gates.filled(model, 0.0)
        gates.neurons[layer, neuron] = 1.0
        with intervene(model, ablate(gates, positions=position_mask("last", 1, len(TOKENS)))):
            without = logits_of(model, ids)[0, -1].softmax(-1)[3]
        assert found[layer, neuron].item() == pytest.approx(
            (untouched - without).item(), abs=SAME_SCORES
        )


@pytest.mark.parametrize(
    ("grid", "theirs"), [("midpoint", "riemann_middle"), ("gauss", "gausslegendre")]
)
def test_scores_are_those_of_captum(grid, theirs):
    model = shared_model("llama")
    found = attribute(model, [TOKENS], [[3]], AttributionConfig(grid=grid))[0]

    for layer in range(N_LAYERS):
        probability, own = whole_passes(model, TOKENS, 3, layer)
        expected = IntegratedGradients(probability).attribute(own, n_steps=20, method=theirs)
        assert torch.allclose(found[layer], expected[0].float(), atol=1e-6, rtol=1e-4)


def test_prompts_of_any_lengths_in_one_call_are_as_alone():
    """One of them is a single token: nothing comes before it."""
    model = shared_model("gemma2")
    prompts = [TOKENS, TOKENS[:1], TOKENS[2:7], TOKENS[:5], TOKENS[4:]]
    answers = [[1], [2], [3], [4], [5]]
    config = AttributionConfig(steps=5)

    together = attribute(model, prompts, answers, config)

    assert (together.shape, together.dtype) == ((5, N_LAYERS, D_MLP), torch.float32)
    for prompt, answer, found in zip(prompts, answers, together, strict=True):
        expected = reference(model, prompt, answer[0], config)
        assert torch.allclose(found, expected, atol=SAME_SCORES, rtol=1e-4)


@pytest.mark.parametrize("method", ["joint", "single"])
def test_the_size_of_passes_changes_nothing(method, monkeypatch):
    model, prompts = shared_model("qwen3"), [TOKENS, TOKENS[::-1], TOKENS[:4]]
    passes = []
    real = knowledge_neurons.LastPosition.with_product

    def counted(self, layer, product):
        passes.append(product.shape[0] * product.shape[1])
        return real(self, layer, product)

    monkeypatch.setattr(knowledge_neurons.LastPosition, "with_product", counted)
    found, sizes = [], []
    for rows in (1, 30, None):
        passes.clear()
        config = AttributionConfig(method, steps=5, rows_per_chunk=rows)
        found.append(attribute(model, prompts, [[1]] * 3, config))
        sizes.append(max(passes))

    assert sizes[0] == 1
    assert sizes[1] <= 30 < sizes[2] or method == "joint"
    assert all(torch.allclose(a, b, atol=SAME_SCORES, rtol=1e-4) for a, b in pairwise(found))


def test_answers_of_several_tokens_are_teacher_forced_and_averaged():
    model, config = shared_model("llama"), AttributionConfig(steps=5)

    found = attribute(model, [TOKENS, TOKENS], [[3, 7, 5], [3]], config)

    parts = [([], 3), ([3], 7), ([3, 7], 5)]
    expected = [reference(model, TOKENS + before, token, config) for before, token in parts]
    assert torch.allclose(found[0], torch.stack(expected).mean(0), atol=SAME_SCORES, rtol=1e-4)
    assert torch.allclose(found[1], expected[0], atol=SAME_SCORES, rtol=1e-4)


def test_the_model_is_left_as_found_amid_training(monkeypatch):
    model = make_model("gpt2", attention="sdpa").train()
    frozen = model.transformer.wpe.weight.requires_grad_(False)
    model(input_ids=tokens(2, 4)).logits.sum().backward()
    gradients = {p: p.grad for p in model.parameters()}
    values = {p: p.detach().clone() for p in model.parameters()}

    with torch.no_grad():
        attribute(model, [TOKENS], [[3]])
        monkeypatch.setattr(knowledge_neurons, "mean_gradient", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            attribute(model, [TOKENS], [[3]])

    assert all(module.training for module in model.modules())
    assert [p for p in gradients if not p.requires_grad] == [frozen]
    assert all(p.grad is gradient for p, gradient in gradients.items())
    assert all(torch.equal(p, value) for p, value in values.items())
    assert (n_hooks(model), model.config._attn_implementation) == (0, "sdpa")
    assert not any("forward" in block.__dict__ for block in model.transformer.h)


def test_autocast_outside_changes_nothing():
    model = shared_model("gpt2")
    expected = attribute(model, [TOKENS], [[3]])

    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attribute(model, [TOKENS], [[3]]), expected)


def test_no_prompts_no_scores():
    assert attribute(shared_model("gpt2"), [], []).shape == (0, N_LAYERS, D_MLP)


@pytest.mark.parametrize(
    ("prompts", "answers", "message"),
    [
        ([[1], []], [[1], [1]], "prompt 1 is empty"),
        ([[1]], [[]], "answer 0 is empty"),
        ([[1]], [[1], [2]], "1 prompts but 2 answers"),
        ([[D_VOCAB]], [[1]], "prompt 0 has tokens outside of 0 to 59"),
        ([[1]], [[-1]], "answer 0 has tokens outside"),
        ([[1] * 192], [[1, 2]], "prompt 0 with its answer takes 193 tokens, the model 192"),
    ],
)
def test_bad_tokens_are_named(prompts, answers, message):
    with pytest.raises(ValueError, match=message):
        attribute(shared_model("gpt2"), prompts, answers)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"method": "joined"}, r"attribution\.method: 'joined' is not one of"),
        ({"grid": "left"}, r"attribution\.grid: 'left' is not one of"),
        ({"steps": 0}, r"attribution\.steps: must be a whole number of at least 1"),
        ({"steps": 2.5}, r"attribution\.steps"),
        ({"steps": 1, "grid": "ends"}, r"attribution\.steps.*at least 2 with grid 'ends'"),
        ({"rows_per_chunk": 0}, r"attribution\.rows_per_chunk"),
        ({"rows_per_chunk": True}, r"attribution\.rows_per_chunk"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        attribute(shared_model("gpt2"), [[1]], [[1]], AttributionConfig(**setting))
