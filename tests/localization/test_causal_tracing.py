"""Causal tracing: passes that compute only what changes must give what a whole pass per state
gives, on every architecture; and the invariants that any tracing has."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.tracing import plain_effects
from coemerge.interventions.sites import Site
from coemerge.localization import causal_tracing
from coemerge.localization.causal_tracing import total_effects, trace
from coemerge.localization.restored_runs import CorruptedRuns, Segments
from coemerge.localization.tracing_config import TracingConfig
from coemerge.localization.tracing_noise import draw_noise, noise_scale
from coemerge.localization.tracing_prompts import TracedPrompt
from tests.interventions.models import (
    D_MODEL,
    D_VOCAB,
    MODELS,
    N_LAYERS,
    logits_of,
    make_model,
    n_hooks,
    shared_model,
    tokens,
)
from tests.localization.models import (
    FIRST_OBJECT,
    FIRST_SUBJECT,
    FIRST_TASK,
    planted_model,
)

# Probabilities of 2-layer float32 models, summed in another order; measured below 1e-6.
SAME = 1e-5
IDS = tokens(9).tolist()
EVERYTHING = TracingConfig(severed_positions="all", noise_std=1.0, samples=3)
T = len(IDS)
SUBJECT = (2, 4)


def top1(model, ids: list[int]) -> int:
    return int(logits_of(model, torch.tensor([ids]))[0, -1].argmax())


def prompt_of(model, ids: list[int] = IDS, subject: tuple[int, int] = SUBJECT) -> TracedPrompt:
    relation = [(1, subject[0]), (subject[1], len(ids) - 1)]
    return TracedPrompt(ids, top1(model, ids), subject, [s for s in relation if s[0] < s[1]])


@cache
def deep_model() -> GPT2LMHeadModel:
    shape = {"n_embd": D_MODEL, "n_layer": 5, "n_head": 2, "n_positions": T}
    special = {"bos_token_id": None, "eos_token_id": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=D_VOCAB, initializer_range=0.2, **shape, **special)
        return GPT2LMHeadModel(config).eval()


def runs_of(model, config: TracingConfig = EVERYTHING) -> CorruptedRuns:
    prompt = prompt_of(model)
    noise = draw_noise(prompt, config, D_MODEL)[None]
    with torch.no_grad():
        return CorruptedRuns(model, torch.tensor([IDS]), torch.tensor([prompt.answer]), noise)


def assert_as_plain(model, prompts: list[TracedPrompt], config: TracingConfig) -> None:
    found, expected = trace(model, prompts, config), plain_effects(model, prompts, config)
    assert found.effects.keys() == expected.keys()
    for kind, effect in expected.items():
        assert np.abs(effect).max() > 1e-3, kind
        assert np.abs(found.effects[kind] - effect).max() < SAME, kind


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_every_state_is_restored_as_by_a_pass_of_its_own(name, window):
    """The sliding windows of two architectures, 4 tokens, are shorter than the prompt."""
    model = shared_model(name)
    config = replace(EVERYTHING, window=window)
    assert_as_plain(
        model, [prompt_of(model)], config if window == 1 else replace(config, severed=())
    )


@pytest.mark.parametrize("corrupt", ["relation", "both", "neutral"])
def test_other_spans_are_corrupted_as_by_passes_of_their_own(corrupt):
    model = shared_model("gpt2")
    prompt = replace(prompt_of(model), relation=[(1, 2), (5, 6)], neutral=[(6, 8)])
    assert_as_plain(model, [prompt], replace(EVERYTHING, corrupt=corrupt))


def test_severing_holds_all_layers_above_in_deeper_models():
    model = deep_model()
    config = replace(EVERYTHING, kinds=("resid",))
    assert_as_plain(model, [prompt_of(model, IDS[:4], (1, 2))], config)


@pytest.mark.parametrize("window", [2, 3, 4])
def test_windows_of_deeper_models(window):
    model = deep_model()
    config = replace(EVERYTHING, window=window, kinds=("mlp", "attn"), severed=())
    assert_as_plain(model, [prompt_of(model, IDS[:5], (1, 2))], config)
    n_restored = trace(model, [prompt_of(model)], config).windows.tolist()
    assert n_restored == {2: [1, 2, 2, 2, 2], 3: [2, 3, 3, 3, 2], 4: [2, 3, 4, 4, 3]}[window]


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt_neox"])
def test_t_c1_nothing_restored(name):
    model, runs = shared_model(name), runs_of(shared_model(name))
    segments = Segments.of(model, [[t] for t in range(T)], T)

    with torch.no_grad():
        for layer in range(1, N_LAYERS):
            corrupted = runs.corrupted(Site("resid_post", layer - 1))
            p = runs.p_restored(segments, layer, corrupted, {})
            assert (p - runs.p_corrupted[:, None]).abs().max() < SAME

    beside = trace(model, [prompt_of(model)], EVERYTHING)
    assert beside.p_corrupted == pytest.approx(runs.p_corrupted.numpy(), abs=SAME)
    assert abs(beside.total_effect.item()) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_t_c2_all_positions_restored_at_one_layer(name):
    model, runs = shared_model(name), runs_of(shared_model(name))
    segments = Segments.of(model, [range(T), range(SUBJECT[0], T)], T)

    with torch.no_grad():
        for layer in range(1, N_LAYERS):
            p = runs.p_restored(segments, layer, runs.clean(Site("resid_post", layer - 1)), {})
            assert (p - runs.p_clean).abs().max() < SAME
    assert (runs.p_clean - runs.p_corrupted).abs() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_t_c3_last_state_restored_and_t_c4_states_left_of_the_corruption(name):
    model = shared_model(name)
    prompt, config = prompt_of(model), replace(EVERYTHING, severed=())

    found = trace(model, [prompt], config)
    last = found.p_corrupted[0] + found.effects["resid"][0, -1, -1]
    assert last == pytest.approx(found.p_clean[0], abs=SAME)
    assert (found.effects["resid"][0, -1, :-1] == 0).all()
    for effect in found.effects.values():
        assert (effect[0, :, : SUBJECT[0]] == 0).all()
        assert (effect[0, :, SUBJECT[0] :] != 0).any()


def test_t_c5_severing_nothing_is_ordinary_tracing():
    model = shared_model("llama")
    found = trace(model, [prompt_of(model)], EVERYTHING).effects
    for output in ("mlp", "attn"):
        severed = found[f"resid_{output}_severed"]
        assert np.array_equal(severed[:, -1], found["resid"][:, -1])  # no layer above to sever
        assert np.abs(severed[:, 0] - found["resid"][:, 0]).max() > 1e-3

    runs, segments = runs_of(model), Segments.of(model, [[2], [3]], T)
    entry = runs.clean(Site("resid_post", 0))
    with torch.no_grad():
        p = runs.p_restored(segments, 1, entry, held={}) - runs.p_corrupted[:, None]
    assert p[0].tolist() == pytest.approx(found["resid"][0, 0, 2:4].tolist(), abs=SAME)


@pytest.mark.parametrize("silent", [{"noise_std": 0.0}, {"noise_std": None, "noise_scale": 0.0}])
def test_t_c6_without_noise_no_effect(silent):
    model = shared_model("olmo2")
    found = trace(model, [prompt_of(model)], replace(EVERYTHING, **silent))
    assert abs(found.total_effect.item()) < SAME
    assert all(np.abs(effect).max() < SAME for effect in found.effects.values())


def test_a_planted_fact_is_read_by_attention_and_written_by_the_mlp_at_the_last_token():
    model = planted_model()
    prompt = TracedPrompt([FIRST_TASK, FIRST_SUBJECT + 1, 0], FIRST_OBJECT + 1, (1, 2))
    config = TracingConfig(noise_std=3.0, samples=20)

    found = trace(model, [prompt], config)

    total = found.total_effect.item()
    assert found.is_top1.all()
    assert total > 0.3
    for kind in ("resid", "mlp"):
        assert found.effects[kind][0, 0].tolist() == pytest.approx([0, 0, total], abs=1e-3)
    assert found.effects["attn"][0, 0].tolist() == pytest.approx([0, 0, total], abs=1e-3)


def test_prompts_of_unequal_lengths_and_spans_are_as_each_alone():
    model = shared_model("qwen3")
    prompts = [
        prompt_of(model, ids, subject)
        for ids, subject in [(IDS, (2, 4)), (IDS[:6], (0, 2)), (IDS[::-1], (2, 4)), (IDS, (2, 3))]
    ]
    together = trace(model, prompts, EVERYTHING)

    assert together.effects["mlp"].shape == (4, N_LAYERS, T)
    for n, prompt in enumerate(prompts):
        alone, n_tokens = trace(model, [prompt], EVERYTHING), len(prompt.ids)
        assert together.p_clean[n] == pytest.approx(alone.p_clean[0], abs=SAME)
        for kind, effect in alone.effects.items():
            assert np.abs(together.effects[kind][n, :, :n_tokens] - effect[0]).max() < SAME
            assert np.isnan(together.effects[kind][n, :, n_tokens:]).all()
        assert not together.roles[n, n_tokens:].any()


def test_the_size_of_passes_changes_nothing(monkeypatch):
    model = shared_model("gpt2")
    prompts, sizes = [prompt_of(model), prompt_of(model, IDS[::-1])], []
    real = CorruptedRuns.p_restored

    def counted(self, segments, *rest):
        sizes.append(len(segments.position) * len(self.p_clean) * EVERYTHING.samples)
        return real(self, segments, *rest)

    monkeypatch.setattr(CorruptedRuns, "p_restored", counted)
    found, largest = [], []
    for size in (1, 100, 10_000):
        sizes.clear()
        found.append(trace(model, prompts, replace(EVERYTHING, tokens_per_pass=size)))
        largest.append(max(sizes))

    assert largest[0] == EVERYTHING.samples * (T - SUBJECT[0]) < largest[1] <= 100 < largest[2]
    for other in found[1:]:
        for kind, effect in found[0].effects.items():
            assert np.abs(other.effects[kind] - effect).max() < SAME


def test_severing_at_the_last_corrupted_token_alone():
    model = shared_model("gpt2")
    everywhere = trace(model, [prompt_of(model)], EVERYTHING)
    found = trace(
        model, [prompt_of(model)], replace(EVERYTHING, severed_positions="last_corrupted")
    )

    at = SUBJECT[1] - 1
    for kind in ("resid_mlp_severed", "resid_attn_severed"):
        severed = found.effects[kind][0]
        assert np.abs(severed[:, at] - everywhere.effects[kind][0][:, at]).max() < SAME
        assert np.isnan(np.delete(severed, at, 1)).all()
        by_role = found.by_role(kind)[0]
        assert np.array_equal(by_role[:, 2], severed[:, at])
        assert np.isnan(by_role[:, [0, 1, 3, 4, 5]]).all()


def test_noise_is_that_of_the_prompt_whatever_else_is_traced_or_corrupted():
    model = shared_model("gpt2")
    prompt, config = prompt_of(model), EVERYTHING
    both = draw_noise(prompt, replace(config, corrupt="both"), 4)
    subject = draw_noise(prompt, config, 4)

    assert torch.equal(both[:, 2:4], subject[:, 2:4])
    assert not subject[:, [0, 1, *range(4, T)]].any()
    assert subject[:, 2:4].all()
    assert not torch.equal(draw_noise(prompt, replace(config, seed=1), 4), subject)
    assert not torch.equal(draw_noise(prompt_of(model, IDS[::-1]), config, 4), subject)


def test_noise_is_measured_where_subjects_enter():
    model = shared_model("gemma2")  # scales its embeddings by the root of d
    prompts = [prompt_of(model), prompt_of(model, IDS[::-1], (0, 3))]
    entries = model.model.embed_tokens.weight[IDS[2:4] + IDS[::-1][:3]] * D_MODEL**0.5

    expected = 2 * entries.std().item()
    config = TracingConfig(noise_scale=2.0)
    assert noise_scale(model, prompts, config) == pytest.approx(expected, rel=1e-4)
    assert trace(model, prompts, config).noise_std == pytest.approx(expected, rel=1e-4)


def test_the_model_is_left_as_found_amid_training(monkeypatch):
    model = make_model("gpt2", attention="sdpa").train()
    model(input_ids=tokens(2, 4)).logits.sum().backward()
    gradients = {p: p.grad for p in model.parameters()}
    values = {p: p.detach().clone() for p in model.parameters()}
    prompt = TracedPrompt(IDS, 3, SUBJECT)

    with torch.enable_grad():
        expected = trace(model.eval(), [prompt]).effects["mlp"]
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            assert np.array_equal(trace(model, [prompt]).effects["mlp"], expected, equal_nan=True)
        monkeypatch.setattr(causal_tracing.CorruptedRuns, "entries", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trace(model, [prompt])

    assert all(module.training for module in model.modules())
    assert all(p.requires_grad and p.grad is gradient for p, gradient in gradients.items())
    assert all(torch.equal(p, value) for p, value in values.items())
    assert (n_hooks(model), model.config._attn_implementation) == (0, "sdpa")
    assert not any("forward" in block.__dict__ for block in model.transformer.h)


def test_total_effects_alone_are_those_of_tracing(monkeypatch):
    """Prompts of one length share their passes, whatever is corrupted in them."""
    model = shared_model("gpt2")
    prompts = [
        prompt_of(model, ids, subject)
        for ids, subject in [(IDS, (2, 4)), (IDS[:6], (0, 2)), (IDS[::-1], (3, 7)), (IDS, (1, 2))]
    ]
    expected = trace(model, prompts, EVERYTHING)
    monkeypatch.setattr(causal_tracing, "TracedBatch", lambda *_: 1 / 0)
    sizes = []
    real = CorruptedRuns.__init__
    monkeypatch.setattr(
        CorruptedRuns,
        "__init__",
        lambda self, model, ids, *rest: sizes.append(len(ids)) or real(self, model, ids, *rest),
    )

    found = total_effects(model, prompts, EVERYTHING)

    assert sorted(sizes) == [1, 3]
    assert found.effects == {}
    assert found.total_effect == pytest.approx(expected.total_effect, abs=SAME)
    assert found.is_top1.tolist() == expected.is_top1.tolist()
    assert found.noise_std == expected.noise_std
    with pytest.raises(ValueError, match="no neutral span"):
        total_effects(model, prompts, replace(EVERYTHING, corrupt="neutral"))


def test_no_prompts_no_effects():
    found = trace(shared_model("gpt2"), [])
    assert found.effects["resid"].shape == (0, N_LAYERS, 0)
    assert found.by_role("resid").shape == (0, N_LAYERS, 6)


@pytest.mark.parametrize(
    ("changes", "config", "message"),
    [
        ({"subject": (2, 2)}, {}, r"prompt 0: the subject span \(2, 2\) is empty"),
        ({"subject": (8, 10)}, {}, r"prompt 0: the subject span \(8, 10\).* not in the 9 tokens"),
        ({"relation": [(3, 5)]}, {}, r"relation span \(3, 5\) shares tokens"),
        ({}, {"corrupt": "relation"}, "no relation span, which tracing.corrupt=relation needs"),
        ({}, {"corrupt": "both"}, "no relation span"),
        ({}, {"corrupt": "neutral"}, "no neutral span"),
        ({"ids": [D_VOCAB] * 9}, {}, "prompt 0 has tokens outside"),
        ({"answer": -1}, {}, "answer 0 has tokens outside"),
        ({}, {"window": N_LAYERS + 1}, r"tracing\.window: 3 layers, but the model has 2"),
        ({}, {"samples": 0}, r"tracing\.samples"),
        ({}, {"corrupt": "object"}, r"tracing\.corrupt: 'object' is not one of"),
        ({}, {"kinds": ("mlp", "head")}, r"tracing\.kinds: 'head' is not one of"),
        ({}, {"kinds": "mlp"}, r"tracing\.kinds: must be a list"),
        ({}, {"kinds": (), "severed": ()}, "nothing is restored"),
        ({}, {"severed_positions": "first"}, r"tracing\.severed_positions"),
        ({}, {"noise_scale": -1.0}, r"tracing\.noise_scale"),
        ({}, {"window_share": 0}, r"tracing\.window_share"),
        ({}, {"tokens_per_pass": 1.5}, r"tracing\.tokens_per_pass"),
    ],
)
def test_bad_input_is_named(changes, config, message):
    prompt = replace(TracedPrompt(IDS, 3, SUBJECT), **changes)
    with pytest.raises(ValueError, match=message):
        trace(shared_model("gpt2"), [prompt], TracingConfig(**config))


@pytest.mark.parametrize("layer", [-1, 5])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(ValueError, match=f"layer {layer}: the model's layers are 0 to 4"):
        TracingConfig().window_around(layer, 5)
