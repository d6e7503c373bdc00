"""Names of sites, and what each model offers."""

import pytest

from coemerge.interventions.architecture import ModuleMap
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import PER_LAYER, Site, all_sites
from tests.interventions.models import MODELS, N_LAYERS, PARALLEL, make_model, shared_model


@pytest.mark.parametrize("text", ["embed", "logits", "mlp_act.3", "resid_pre.0", "head_out.12"])
def test_parsing_and_formatting_are_inverse(text: str):
    assert str(Site.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mlp.3", "no site is called 'mlp'"),
        ("mlp_act", "'mlp_act' needs a layer"),
        ("embed.0", "'embed' belongs to no layer"),
        ("mlp_act.-1", "'-1' is not a layer"),
        ("mlp_act.", "'' is not a layer"),
        ("mlp_act.1.2", "'1.2' is not a layer"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        Site.parse(text)


def test_a_negative_layer_is_refused():
    with pytest.raises(ValueError, match="counted from 0"):
        Site("mlp_act", -1)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_offers_all_sites_in_order_of_computation(name: str):
    sites = all_sites(ModuleMap(shared_model(name)))

    per_layer = len(PER_LAYER) - (name in PARALLEL)
    assert len(sites) == 2 + N_LAYERS * per_layer
    assert (str(sites[0]), str(sites[-1])) == ("embed", "logits")
    assert sites == sorted(sites, key=lambda site: site.rank)


def test_a_layer_that_is_not_there_is_named():
    model = shared_model("llama")

    with (
        pytest.raises(ValueError, match=r"mlp_act.7: the model's layers are 0 to 1"),
        intervene(model, {Site("mlp_act", 7): lambda x: x}),
    ):
        pass


def test_parallel_blocks_have_no_middle():
    model = shared_model("gpt_neox")

    with (
        pytest.raises(ValueError, match=r"resid_mid.0: .*parallel"),
        intervene(model, {Site("resid_mid", 0): lambda x: x}),
    ):
        pass


def test_patterns_need_eager_attention():
    model = make_model("gpt2", attention="sdpa")

    assert Site("attn_pattern", 0) not in all_sites(ModuleMap(model))
    with (
        pytest.raises(ValueError, match=r"attn_pattern.0: 'sdpa' attention .*eager"),
        intervene(model, {Site("attn_pattern", 0): lambda x: x}),
    ):
        pass


def test_patterns_are_refused_where_the_model_computes_them_another_way():
    model = make_model("gpt2")
    model.config.reorder_and_upcast_attn = True

    assert Site("attn_pattern", 0) not in all_sites(ModuleMap(model))
