"""``intervene``: order, nesting, counting, errors, and that it always cleans up."""

import pytest
import torch
from torch import Tensor

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.attention import EAGER
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site, all_sites
from tests.interventions.models import (
    MODELS,
    PARALLEL,
    SAME_LOGITS,
    logits_of,
    n_hooks,
    noise,
    shared_model,
    tokens,
)

IDS = tokens(2, 7)
ACT, MLP_OUT, PATTERN = Site("mlp_act", 0), Site("mlp_out", 1), Site("attn_pattern", 0)


@pytest.mark.parametrize("name", MODELS)
def test_a_change_at_any_site_reaches_the_logits(name: str):
    """No site is read-only: a function without effect would mislead."""
    model = shared_model(name)
    before = logits_of(model, IDS)

    for site in all_sites(ModuleMap(model)):
        with intervene(model, {site: lambda x: x * 1.5 * noise(x.shape[-1])}):
            inside = logits_of(model, IDS)
        assert (inside - before).abs().max() > 100 * SAME_LOGITS, site


@pytest.mark.parametrize("name", MODELS)
def test_replaced_values_are_what_the_next_site_sees(name: str):
    """resid_post.0 is replaced: resid_pre.1 is exactly that, and the layer below did not matter."""
    model, new = shared_model(name), noise(2, 7, 32)

    with (
        intervene(model, {Site("resid_post", 0): lambda _: new}),
        capture(model, [Site("resid_pre", 1)]) as values,
    ):
        one = logits_of(model, IDS)
        other = logits_of(model, tokens(2, 7, seed=5))

    assert torch.equal(values[Site("resid_pre", 1)], new)
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in PARALLEL])
def test_the_middle_of_the_residual_goes_both_ways(name: str):
    """Replacing resid_mid: the MLP reads the new value, and the layer's output contains it."""
    model, new = shared_model(name), noise(2, 7, 32)
    sites = [Site("mlp_out", 0), Site("resid_post", 0)]

    with (
        capture(model, sites) as values,  # an outer block still sees the inner one's change
        intervene(model, {Site("resid_mid", 0): lambda _: new}),
    ):
        logits_of(model, IDS)
        mlp_out, resid_post = (values[site] for site in sites)
        logits_of(model, tokens(2, 7, seed=3))

    torch.testing.assert_close(resid_post, new + mlp_out, rtol=0, atol=SAME_LOGITS)
    torch.testing.assert_close(values[sites[0]], mlp_out, rtol=0, atol=0)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in PARALLEL])
def test_the_middle_is_where_the_attention_output_has_been_added(name: str):
    """Adding to resid_mid equals adding to attn_out; both reach MLP and residual."""
    model, delta = shared_model(name), noise(32)

    with intervene(model, {Site("resid_mid", 0): lambda x: x + delta}):
        middle = logits_of(model, IDS)
    with intervene(model, {Site("attn_out", 0): lambda x: x + delta}):
        added = logits_of(model, IDS)

    torch.testing.assert_close(middle, added, rtol=0, atol=SAME_LOGITS)


def test_functions_of_a_site_compose_in_order():
    model = shared_model("gpt2")

    with (
        intervene(model, {MLP_OUT: [lambda x: x * 0 + 3, lambda x: x * 2]}) as counts,
        capture(model, [MLP_OUT]) as values,
    ):
        logits_of(model, IDS)

    assert torch.equal(values[MLP_OUT], torch.full((2, 7, 32), 6.0))
    assert counts == {MLP_OUT: 1}


@pytest.mark.parametrize("site", [MLP_OUT, ACT, PATTERN, Site("resid_mid", 0), Site("logits")])
def test_an_outer_block_comes_before_an_inner_one(site: Site):
    model, seen = shared_model("llama"), []

    def note(label: str):
        def function(x: Tensor) -> Tensor:
            seen.append(label)
            return x.clone()

        return function

    with intervene(model, {site: note("outer")}):
        with intervene(model, {site: note("inner")}):
            logits_of(model, IDS)
        logits_of(model, IDS)

    assert seen == ["outer", "inner", "outer"]


def test_the_embedding_comes_before_the_first_residual():
    model, seen = shared_model("gpt2"), []

    def note(site: Site):
        return lambda x: (seen.append(site.name), x)[1]

    sites = [Site("resid_pre", 0), Site("embed")]
    with intervene(model, {site: note(site) for site in sites}):
        logits_of(model, IDS)

    assert seen == ["embed", "resid_pre"]


def test_firings_are_counted_per_site_and_pass():
    model = shared_model("qwen3")

    with intervene(model, {ACT: lambda x: x, PATTERN: [lambda x: x] * 3}) as counts:
        logits_of(model, IDS)
        first = dict(counts)
        logits_of(model, IDS)

    assert first == {ACT: 1, PATTERN: 1}
    assert counts == {ACT: 2, PATTERN: 2}


def test_a_site_that_did_not_fire_is_an_error():
    model = shared_model("gpt2")

    with (
        pytest.raises(RuntimeError, match=r"never fired.*mlp_act.0"),
        intervene(model, {ACT: lambda x: x}),
    ):
        pass

    assert n_hooks(model) == 0


def test_not_having_fired_does_not_mask_an_exception():
    model = shared_model("gpt2")

    with pytest.raises(KeyError, match="mine"), intervene(model, {ACT: lambda x: x}):
        raise KeyError("mine")


@pytest.mark.parametrize("name", MODELS)
def test_hooks_are_removed_when_a_function_raises_in_the_forward_pass(name: str):
    model = shared_model(name)
    before = logits_of(model, IDS)

    def fail(_: Tensor) -> Tensor:
        raise ArithmeticError("in a hook")

    sites = all_sites(ModuleMap(model))
    with (
        pytest.raises(ArithmeticError),
        intervene(model, {site: fail if site == ACT else torch.clone for site in sites}),
        intervene(model, {PATTERN: torch.clone}),
    ):
        logits_of(model, IDS)

    assert n_hooks(model) == 0
    assert model.config._attn_implementation == EAGER
    assert torch.equal(logits_of(model, IDS), before)


def test_a_refused_site_leaves_nothing_of_the_others():
    model = shared_model("gpt2")

    with (
        pytest.raises(ValueError, match="layers are"),
        intervene(model, {ACT: torch.clone, Site("mlp_act", 9): torch.clone}),
    ):
        pass

    assert n_hooks(model) == 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:, :1], r"mlp_act.0: .*\[2, 1, 48\] float32 for \[2, 7, 48\] float32"),
        (lambda x: x.double(), r"mlp_act.0: .*float64 for .*float32"),
        (lambda x: None, r"mlp_act.0: .*NoneType, not a tensor"),
        (lambda x: x.mul_(2), r"mlp_act.0: .*in place"),
    ],
)
def test_a_function_that_breaks_the_contract_is_named_by_its_site(function, message: str):
    model = shared_model("gpt2")

    with pytest.raises(ValueError, match=message), intervene(model, {ACT: function}):
        logits_of(model, IDS)


def test_it_works_in_inference_mode():
    model = shared_model("olmo2")

    with torch.inference_mode(), intervene(model, {ACT: torch.zeros_like}) as counts:
        model(IDS)

    assert counts[ACT] == 1


def test_logits_are_found_by_name_only():
    model = shared_model("gpt2")

    with (
        pytest.raises(ValueError, match="return_dict=True"),
        intervene(model, {Site("logits"): torch.clone}),
    ):
        model(IDS, return_dict=False)


def test_the_model_s_own_output_object_is_kept():
    model = shared_model("gpt2")

    with intervene(model, {Site("logits"): torch.zeros_like}):
        out = model(IDS, use_cache=True)

    assert not out.logits.any()
    assert out.past_key_values.get_seq_length() == 7


@pytest.mark.parametrize("name", MODELS)
def test_multiplying_attention_columns_by_one_changes_nothing(name: str):
    """Methods T-Q5, exactly: the pattern is recomputed into the mixture by the same operations."""
    model = shared_model(name)

    with intervene(model, {PATTERN: lambda pattern: pattern * 1.0}):
        inside = logits_of(model, IDS)

    assert torch.equal(inside, logits_of(model, IDS))
