"""Knowledge synapses: which columns of attention, and what they do (methods 5.4, T-Q5)."""

import pytest
import torch

from coemerge.interventions.capture import capture
from coemerge.interventions.guard import unchanged
from coemerge.interventions.hooks import intervene
from coemerge.interventions.scaling import scale_columns
from coemerge.interventions.sites import Site
from coemerge.localization.synapses import (
    chosen_synapses,
    column_scores,
    find_synapses,
    synapse_effects,
    synapse_scores,
    unrelated_synapses,
)
from tests.interventions.models import (
    D_MLP,
    MODELS,
    N_HEADS,
    N_LAYERS,
    logits_of,
    make_model,
    n_hooks,
    noise,
    random_binary,
    shared_model,
    tokens,
)
from tests.localization import models as planted

LENGTHS = (5, 3, 5, 1)
PROMPTS = [tokens(length, seed=i).tolist() for i, length in enumerate(LENGTHS)]
ANSWERS = [[7, 8], [11], [7], [40]]
NEURONS = random_binary(4, N_LAYERS, D_MLP).bool()
SYNAPSES = [random_binary(N_LAYERS, N_HEADS, n, seed=n).bool() for n in LENGTHS]
BATCHED = 1e-5  # relative; activations and logits of order 10 in float32, in other batches


def effects(model, factor: float, renormalise: bool = False, rows=range(4)):
    rows = list(rows)
    return synapse_effects(
        model,
        [PROMPTS[i] for i in rows],
        [ANSWERS[i] for i in rows],
        NEURONS[rows],
        [SYNAPSES[i] for i in rows],
        factor,
        renormalise,
    )


def test_scores_are_means_over_the_queries_that_see_a_key():
    pattern = torch.tensor([[1.0, 0, 0], [0.25, 0.75, 0], [0.5, 0.25, 0.25]])

    assert column_scores(pattern[None, None]).tolist() == [[[0, 0.5, 0.25]]]


def test_even_attention_scores_by_what_queries_share_it():
    """In the planted model each query shares its attention evenly among what it sees."""
    scores = synapse_scores(planted.planted_model(), [[4, 7, 0]])[0]

    expected = torch.tensor([0, (1 / 2 + 1 / 3) / 2, 1 / 3]).expand(1, planted.N_HEADS, 3)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("name", MODELS)
def test_scores_of_all_prompts_at_once_are_those_of_each(name: str):
    model = shared_model(name)

    found = synapse_scores(model, PROMPTS)

    for ids, scores in zip(PROMPTS, found, strict=True):
        sites = [Site("attn_pattern", layer) for layer in range(N_LAYERS)]
        with capture(model, sites) as patterns:
            logits_of(model, torch.tensor([ids]))
        for layer, site in enumerate(sites):
            for key in range(1, len(ids)):
                mean = patterns[site][0, :, key:, key].mean(-1)
                torch.testing.assert_close(scores[layer, :, key], mean, rtol=1e-4, atol=1e-6)
        assert not scores[..., 0].any()


def test_synapses_lie_strictly_above_a_share_of_the_highest_score():
    scores = torch.tensor([[[0, 0.8, 0.4], [0, 0.39, 0.41]]])

    assert chosen_synapses(scores, 0.5).tolist() == [[[False, True, False], [False, False, True]]]
    with pytest.raises(ValueError, match=r"alpha=1\.0: a share"):
        chosen_synapses(scores, 1.0)


def test_every_prompt_has_synapses_but_one_of_a_single_token():
    found = find_synapses(shared_model("llama"), PROMPTS, alpha=0.3)

    assert [synapses.shape for synapses in found] == [(N_LAYERS, N_HEADS, n) for n in LENGTHS]
    assert [bool(synapses.any()) for synapses in found] == [True, True, True, False]
    assert not any(synapses[..., 0].any() for synapses in found)


def test_unrelated_synapses_are_where_the_other_query_has_its_own():
    own = torch.zeros(1, 2, 5, dtype=torch.bool)
    own[0, 0, 1:3] = own[0, 1, 1] = True
    other = torch.tensor([[[0, 0.1, 0.9], [0, 0.5, 0.2]]])  # columns 1, 2 of 3 are 2, 4 of 5

    found = unrelated_synapses(own, other)

    assert found.nonzero().tolist() == [[0, 0, 4], [0, 1, 2], [0, 1, 4]]


def test_where_the_other_query_has_its_strongest_on_the_querys_own_the_next_one_counts():
    own = torch.zeros(1, 2, 3, dtype=torch.bool)
    own[0, 0, 1] = True
    other = torch.tensor([[[0, 0.9, 0.2], [0, 0.3, 0.8]]])

    assert unrelated_synapses(own, other).nonzero().tolist() == [[0, 1, 2]]


def test_of_columns_that_meet_the_higher_score_counts():
    own = torch.zeros(1, 2, 3, dtype=torch.bool)
    own[0, 1, 2] = True
    other = torch.tensor([[[0, 0.1, 0.9, 0.2, 0.0], [0, 0.8, 0.8, 0.8, 0.8]]])

    assert unrelated_synapses(own, other).nonzero().tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("n_other", [1, 2, 5, 9])
@pytest.mark.parametrize("n_own", [0, 1, 7, 16, 20, 32])
def test_unrelated_synapses_are_always_as_many(n_own: int, n_other: int):
    """Filled up, if the other query has too few columns; the first one never takes part. Of 32 in
    all none is the query's own, up to half of them."""
    own = torch.zeros(2, 4, 5, dtype=torch.bool)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(n_own)).view(2, 4, 4)
    own[..., 1:] = order < n_own
    scores = noise(2, 4, n_other).abs()

    found = unrelated_synapses(own, scores)

    assert found.sum() == own.sum() == n_own
    assert not found[..., 0].any()
    assert (found & own).sum() == max(0, 2 * n_own - 32)
    assert torch.equal(found, unrelated_synapses(own, scores))


def test_a_query_compared_with_itself_gives_the_next_strongest():
    """Never its own: then effects would be equal by construction."""
    scores = noise(2, 4, 6).abs()
    scores[..., 0] = 0

    own = chosen_synapses(scores, 0.6)
    found = unrelated_synapses(own, scores)

    assert 0 < own.sum() < own.numel() / 3
    assert not (found & own).any()
    rest = scores.masked_fill(own, -1).flatten().sort(descending=True).values
    assert scores[found].min() == rest[own.sum() - 1]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("renormalise", [False, True])
def test_factor_one_changes_nothing(name: str, renormalise: bool):
    """T-Q5."""
    delta_kn, delta_prob = effects(shared_model(name), 1.0, renormalise)

    assert delta_kn.tolist() == [0, 0, 0, 0]
    assert delta_prob.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("factor", "renormalise"), [(0.0, True), (2.0, False)])
def test_effects_are_the_formulas_of_each_prompt_alone(name: str, factor: float, renormalise: bool):
    model = shared_model(name)
    acts = [Site("mlp_act", layer) for layer in range(N_LAYERS)]

    delta_kn, delta_prob = effects(model, factor, renormalise)

    for i, ids in enumerate(PROMPTS):
        runs = []
        for functions in ({}, scale_columns(SYNAPSES[i][None], factor, renormalise)):
            with intervene(model, functions), capture(model, acts) as values:
                p = logits_of(model, torch.tensor([ids]))[0, -1].softmax(-1)[ANSWERS[i][0]]
            runs.append((torch.stack([values[site][0, -1] for site in acts])[NEURONS[i]], p))
        (a, p), (a_new, p_new) = runs
        kn = (a_new - a).sum() / a.abs().sum()
        torch.testing.assert_close(delta_kn[i], kn, rtol=1e-4, atol=BATCHED)
        torch.testing.assert_close(delta_prob[i], (p_new - p) / p, rtol=1e-4, atol=BATCHED)
    assert delta_kn[:3].abs().min() > 10 * BATCHED
    assert delta_prob[:3].abs().min() > 10 * BATCHED


@pytest.mark.parametrize("name", MODELS)
def test_all_prompts_at_once_equal_one_at_a_time(name: str):
    model = shared_model(name)

    together = effects(model, 2.0)

    alone = [effects(model, 2.0, rows=[i]) for i in range(4)]
    for at_once, of_each in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(at_once, torch.cat(of_each), rtol=BATCHED, atol=BATCHED)


def test_without_the_subject_a_planted_neuron_closes():
    """Its column suppressed, the fact's neuron falls to 0 and its answer to chance; the question's
    own column matters to neither."""
    model, fact, task = planted.planted_model(), 2, 1
    prompt = [planted.FIRST_TASK + task, planted.FIRST_SUBJECT + fact, 0]
    neurons = torch.zeros(2, 1, planted.D_MLP, dtype=torch.bool)
    neurons[:, 0, planted.neuron_of(fact, task)] = True
    subject, question = torch.zeros(2, 1, planted.N_HEADS, 3, dtype=torch.bool)
    subject[..., 1], question[..., 2] = True, True

    delta_kn, delta_prob = synapse_effects(
        *(model, [prompt] * 2, [[planted.FIRST_OBJECT + fact]] * 2, neurons, [subject, question]),
        factor=0.0,
    )

    assert delta_kn[0] == -1
    assert delta_kn[1] > -0.1
    assert delta_prob[0] < -0.9
    assert delta_prob[1] > -0.1


def test_improbable_answers_have_no_relative_change_but_their_neurons_do():
    model = shared_model("gpt2")
    p = torch.stack(
        [
            logits_of(model, torch.tensor([ids]))[0, -1].softmax(-1)[answer[0]]
            for ids, answer in zip(PROMPTS, ANSWERS, strict=True)
        ]
    )
    least = float(p.sort().values[1:3].mean())

    every = effects(model, 0.0)
    found = synapse_effects(model, PROMPTS, ANSWERS, NEURONS, SYNAPSES, 0.0, least=least)

    assert torch.equal(found[0], every[0])
    assert torch.equal(found[1].isnan(), p < least)
    assert found[1].isnan().sum() == 2
    assert torch.equal(found[1][p >= least], every[1][p >= least])


def test_no_neurons_and_neurons_at_zero_have_no_relative_change():
    model, closed = planted.planted_model(), planted.neuron_of(0, 0)
    prompt = [planted.FIRST_TASK + 1, planted.FIRST_SUBJECT + 2, 0]
    neurons = torch.zeros(2, 1, planted.D_MLP, dtype=torch.bool)
    neurons[1, 0, closed] = True
    synapses = [torch.ones(1, planted.N_HEADS, 3, dtype=torch.bool)] * 2

    delta_kn, delta_prob = synapse_effects(
        model, [prompt] * 2, [[planted.FIRST_OBJECT]] * 2, neurons, synapses, 0.0
    )

    assert delta_kn.isnan().all()
    assert delta_prob.isfinite().all()


def test_the_model_is_left_as_found_also_when_it_raises(monkeypatch):
    """Another kind of attention too, which is eager only meanwhile."""
    model = make_model("llama", attention="sdpa").train()

    with unchanged(model, "bitwise"):
        find_synapses(model, PROMPTS)
        effects(model, 0.0)
        assert model.config._attn_implementation == "sdpa"
        assert all(module.training for module in model.modules())
        monkeypatch.setattr(model.model.layers[1].mlp.act_fn, "forward", None)
        for analysis in (lambda: find_synapses(model, PROMPTS), lambda: effects(model, 0.0)):
            with pytest.raises(TypeError):
                analysis()
    assert all(module.training for module in model.modules())
    assert n_hooks(model) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": ANSWERS[:3]}, "4 prompts have 3 answers"),
        ({"neurons": NEURONS[:3]}, r"bool \[4, 2, 48\].*\[3, 2, 48\]"),
        ({"synapses": SYNAPSES[:3]}, "4 prompts, but synapses of 3"),
        ({"synapses": SYNAPSES[::-1]}, r"synapses of prompt 0 must be bool \[2, 4, 5\]"),
        ({"synapses": [s.float() for s in SYNAPSES]}, "synapses of prompt 0.*float32"),
    ],
)
def test_bad_input_is_named_before_work_starts(changes: dict, message: str):
    given = {"prompts": PROMPTS, "answers": ANSWERS, "neurons": NEURONS, "synapses": SYNAPSES}

    with pytest.raises(ValueError, match=message):
        synapse_effects(shared_model("gpt2"), **{**given, **changes}, factor=0.0)


def test_empty_prompts_and_other_models_are_refused():
    with pytest.raises(ValueError, match="a prompt has no tokens"):
        synapse_scores(shared_model("gpt2"), [[1], []])
    with pytest.raises(ValueError, match="layers and heads differ"):
        unrelated_synapses(SYNAPSES[0], torch.zeros(1, N_HEADS, 5))
