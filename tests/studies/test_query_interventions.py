"""Neurons changed and edited, and heat maps of them: on sets made by hand, the planted model and
random ones (methods 5.3, 5.4)."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from coemerge.interventions.guard import unchanged
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.neuron_sets import coarse_sets
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.edits import (
    SETS,
    Editor,
    choice_rows,
    chosen_settings,
    neuron_edits,
    other_answers,
    split,
    tried_settings,
)
from coemerge.studies.query_localization.mapping import compared_sets, mapping, matched_sets
from coemerge.studies.query_localization.maps import attribution_under, neuron_maps
from coemerge.studies.query_localization.queries import Queries, choose_queries
from coemerge.studies.query_localization.synapses import synapses, synapses_of
from tests.interventions.models import D_VOCAB, N_HEADS, N_LAYERS, shared_model, tokens
from tests.localization.models import D_MLP, FACTS
from tests.studies.planted_queries import (
    CONFIG,
    CONSISTENT,
    INCONSISTENT,
    planted_neurons,
    queries_of,
    subject,
)

ALL_KNOWN = replace(CONFIG, k=3)
SAME_PATH = 1e-5  # the same integral by whole passes and by passes of one token, in float32


@pytest.fixture(scope="module")
def planted() -> Queries:
    """Three queries of every planted fact."""
    return choose_queries(subject(), ALL_KNOWN)


def planted_sets(queries: Queries) -> Tensor:
    """The neuron that holds each query's answer, bool [F,3,1,m]."""
    sets = torch.zeros(len(FACTS), 3, 1, D_MLP, dtype=torch.bool)
    for f, fact in enumerate(queries.facts["fact_id"]):
        for i in range(3):
            sets[f, i, 0, planted_neurons(FACTS.index(fact), i)] = True
    return sets


def letters(*of_queries: str) -> Tensor:
    """Sets of one fact's queries among neurons a to f of one layer, bool [1,k,1,6]."""
    return torch.tensor([[[[letter in of for letter in "abcdef"]] for of in of_queries]])


def names(sets: Tensor) -> list[str]:
    """Of one fact's queries."""
    return ["".join(np.array(list("abcdef"))[of[0].numpy()]) for of in sets[0]]


def test_sets_of_the_others_done_by_hand():
    sets = letters("abc", "bcd", "ce")

    found = compared_sets(sets, seed=0)

    assert names(found["own"]) == ["abc", "bcd", "ce"]
    assert names(found["union"]) == ["bcde", "abce", "abcd"]
    assert names(found["intersection"]) == ["c", "c", "bc"]
    assert [len(of) for of in names(found["random"])] == [3, 3, 2]


def test_matched_sets_are_equally_large_and_hold_the_strongest():
    sets = letters("abc", "bcd", "bce")
    attribution = torch.zeros(1, 3, 1, 6)
    attribution[0, 0, 0] = torch.tensor([0.5, 0.1, 0.9, 0.0, 0.0, 0.0])
    attribution[0, 1, 0] = torch.tensor([0.0, 0.2, 0.7, 0.8, 0.0, 0.0])
    attribution[0, 2, 0] = torch.tensor([0.0, 0.3, 0.1, 0.0, 0.9, 0.0])

    found = matched_sets(attribution, sets, seed=0)

    assert names(found["own"]) == ["ac", "cd", "be"], "credited most by the query itself"
    assert names(found["union"]) == ["de", "ce", "cd"], "by the others on average"
    assert names(found["intersection"]) == ["bc", "bc", "bc"]
    assert [len(of) for of in names(found["random"])] == [2, 2, 2]


def test_where_the_others_share_nothing_matched_sets_are_empty():
    found = matched_sets(torch.ones(1, 3, 1, 6), letters("ab", "cd", "ef"), seed=0)

    assert all(not sets.any() for sets in found.values())


def test_many_matched_sets_are_equally_large_in_every_query():
    generator = torch.Generator().manual_seed(0)
    attribution = torch.rand(5, 3, 2, 40, generator=generator)
    sets = coarse_sets(attribution, 0.4)

    found, full = matched_sets(attribution, sets, seed=0), compared_sets(sets, seed=0)

    n = {name: of.flatten(2).sum(-1) for name, of in found.items()}
    assert n["own"].min() > 0
    for name in ("union", "intersection", "random"):
        assert torch.equal(n[name], n["own"])
        assert name == "random" or not (found[name] & ~full[name]).any()
    assert torch.equal(found["random"].sum(-1), found["own"].sum(-1)), "in every layer"


@pytest.fixture(scope="module")
def mapped(planted: Queries) -> pd.DataFrame:
    model, sets = subject().model, planted_sets(planted)
    with unchanged(model, "bitwise"):
        return mapping(model, planted, sets.float(), sets, seed=0)


def effect(mapped: pd.DataFrame, facts: list[str], column: str = "delta_prob", **of) -> np.ndarray:
    chosen = mapped["fact_id"].isin(facts)
    for name, value in of.items():
        chosen &= mapped[name] == value
    return mapped[chosen][column].to_numpy()


def test_an_answer_hangs_on_the_neuron_that_holds_it(mapped: pd.DataFrame):
    own = {"neurons": "own", "sizes": "full", "factor": 0.0}
    assert (effect(mapped, FACTS, **own) < -0.9).all()
    assert (effect(mapped, FACTS, "n", **own) == 3).all()
    assert (effect(mapped, FACTS, "n_neurons", **own) == 1).all()
    random = {"neurons": "random", "sizes": "full", "factor": 0.0}
    assert effect(mapped, FACTS, **random).mean() > -0.3, "one of 20 neurons may be the one"
    assert np.median(effect(mapped, FACTS, **random)) == pytest.approx(0, abs=1e-4)
    enhanced = {"neurons": "own", "sizes": "full", "factor": 2.0}
    assert (effect(mapped, FACTS, **enhanced) > 0).all()


def test_other_queries_neurons_matter_to_consistent_facts_alone(mapped: pd.DataFrame):
    for neurons in ("union", "intersection"):
        of = {"neurons": neurons, "sizes": "full", "factor": 0.0}
        assert (effect(mapped, CONSISTENT, **of) < -0.9).all()
    union = {"neurons": "union", "sizes": "full", "factor": 0.0}
    np.testing.assert_allclose(effect(mapped, INCONSISTENT, **union), 0, atol=1e-4)
    assert (effect(mapped, INCONSISTENT, "n_neurons", **union) == 2).all()


def test_effects_of_empty_sets_are_undefined(mapped: pd.DataFrame):
    """Queries of an inconsistent fact share nothing: no intersection, and nothing to match."""
    none_in_common = {"neurons": "intersection", "sizes": "full", "factor": 0.0}
    assert np.isnan(effect(mapped, INCONSISTENT, **none_in_common)).all()
    for neurons in ("own", "union", "intersection", "random"):
        matched = {"neurons": neurons, "sizes": "matched", "factor": 0.0}
        assert np.isnan(effect(mapped, INCONSISTENT, **matched)).all()
        assert (effect(mapped, INCONSISTENT, "n", **matched) == 0).all()
        assert (effect(mapped, CONSISTENT, "n_neurons", **matched) == 1).all()


def test_attention_brings_the_planted_neurons_their_tokens(planted: Queries):
    """Suppressed, they fire less and the answer is lost."""
    one = subject()
    sets = planted_sets(planted)

    found = synapses_of(one.model, planted, ALL_KNOWN)
    with unchanged(one.model, "bitwise"):
        frame = synapses(one.model, planted, sets, found)

    assert len(found["own"]) == len(found["unrelated"]) == len(planted)
    for own, unrelated in zip(found["own"], found["unrelated"], strict=True):
        assert own.shape == unrelated.shape == (1, 2, 3)
        assert own.sum() == unrelated.sum() > 0
    keys = ["fact_id", "synapses", "factor", "rows"]
    assert len(frame) == len(frame[keys].drop_duplicates()) == 4 * 2 * 2 * 2
    suppressed = frame[(frame["synapses"] == "own") & (frame["factor"] == 0)]
    assert (suppressed["delta_prob"] < -0.5).all()
    assert (suppressed[suppressed["rows"] == "raw"]["delta_kn"] < 0).all()
    assert (frame["n"] == 3).all()


def editor(planted: Queries, config: QueryLocalizationConfig = ALL_KNOWN, **changes) -> Editor:
    one, sets = subject(), planted_sets(planted)
    usual = {"model": one.model, "queries": planted, "attribution": sets.float(), "sets": sets}
    return Editor(**{**usual, "config": config, "text": one.text, **changes})


EVERY = np.arange(len(FACTS))
BETAS = {"erase": (0.0, 0.2), "update": (1.0, 0.3)}


def test_facts_are_split_once_into_two_parts():
    for n, n_dev in ((2, 1), (3, 1), (10, 3), (200, 60)):
        dev, test = split(n, CONFIG)

        assert sorted([*dev, *test]) == list(range(n))
        assert len(dev) == n_dev
        assert np.array_equal(dev, split(n, CONFIG)[0])
    assert not np.array_equal(dev, split(200, replace(CONFIG, seed=1))[0])
    assert len(split(4, replace(CONFIG, dev_share=0.99))[1]) == 1
    assert len(split(4, replace(CONFIG, dev_share=0.0))[0]) == 1


def test_an_update_wants_another_answer_of_the_relation():
    answers = [7, 8, 9, 20, 21, 30]
    queries = queries_of(["r", "r", "r", "s", "s", "t"], answers=answers)

    found = other_answers(queries, seed=0)

    for f, wanted in enumerate(found[:3]):
        assert wanted in {7, 8, 9} - {answers[f]}
    assert found[3:].tolist() == [21, 20, -1], "t has one answer alone"
    assert np.array_equal(found, other_answers(queries, seed=0))
    draws = {tuple(other_answers(queries, seed)) for seed in range(20)}
    assert len(draws) > 1


@pytest.mark.parametrize("edit", ["erase", "update"])
def test_an_edit_of_no_neurons_does_nothing(planted: Queries, edit: str):
    """T-Q7."""
    nothing = torch.zeros(len(FACTS), 1, D_MLP, dtype=torch.bool)

    found = editor(planted).scores(edit, EVERY, nothing, text=True)

    assert (found["rel"] == 0).all()
    assert (found["gen"] == 0).all()
    assert (found["loc"] == 1).all()
    assert (found["ppl_change"] == 0).all()
    assert (found["n_neurons"] == 0).all()


def test_scores_of_planted_facts(planted: Queries):
    """Consistent ones need the neuron of one query, the others need them all."""
    one = editor(planted)

    with unchanged(one.model, "bitwise"):
        found = neuron_edits(one, EVERY, BETAS)

    def scores(edit: str, neurons: str, facts: list[str]) -> pd.DataFrame:
        chosen = (found["edit"] == edit) & (found["neurons"] == neurons)
        frame = found[chosen & found["fact_id"].isin(facts)]
        assert len(frame)
        return frame

    for edit in ("erase", "update"):
        assert (scores(edit, "local", FACTS)["rel"] == 1).all()
        assert (scores(edit, "local", CONSISTENT)["gen"] == 1).all()
        assert (scores(edit, "local", INCONSISTENT)["gen"] == 0).all()
        assert (scores(edit, "global", FACTS)["gen"] == 1).all()
        assert (scores(edit, "global", FACTS)["loc"] == 1).all()
        assert (scores(edit, "consistent", CONSISTENT)["avg"] == 1).all()
        assert scores(edit, "random", FACTS)["rel"].mean() < 0.5
    assert (scores("erase", "global", INCONSISTENT)["n_neurons"] == 3).all()
    assert (scores("erase", "local", FACTS)["n_neurons"] == 1).all()
    assert (found["rel_before"] == 0).all()
    assert (found["gen_before"] == 0).all()
    assert found["ppl_change"].notna().all()
    used = found[found["neurons"] == "consistent"].groupby("edit")[["beta", "tau"]].first()
    assert {edit: tuple(row) for edit, row in used.iterrows()} == BETAS
    assert found[found["neurons"] != "consistent"][["beta", "tau"]].isna().all(axis=None)


def test_a_fact_without_another_answer_is_erased_but_not_updated(planted: Queries):
    """fact-3 is alone in its relation."""
    found = neuron_edits(editor(planted), EVERY, BETAS)

    counts = found.groupby(["edit", "neurons"])["fact_id"].agg(set)
    for neurons in SETS:
        assert counts["erase", neurons] == set(FACTS)
        assert counts["update", neurons] == set(FACTS) - {"fact-3"}


def test_where_no_fact_has_another_answer_there_are_no_updates(
    planted: Queries, caplog: pytest.LogCaptureFixture
):
    """Relations taking turns may leave one fact of each."""
    alone = planted.facts.assign(relation=[f"r{f}" for f in range(4)])
    one = editor(replace(planted, facts=alone))

    tried = tried_settings(one, EVERY[:2])
    with caplog.at_level(logging.WARNING):
        settings = chosen_settings(tried)
    found = neuron_edits(one, EVERY[2:], settings)

    assert set(settings) == {"erase"}
    assert set(found["edit"]) == {"erase"}
    assert {row["edit"] for row in choice_rows([tried], settings)} == {"erase"}
    assert "no dev fact allows to update" in caplog.text


def test_random_sets_are_as_large_as_local_ones_in_every_layer(planted: Queries):
    seen = []

    class Recording(Editor):
        def scores(self, edit: str, facts: np.ndarray, neurons: Tensor, text: bool) -> pd.DataFrame:
            seen.append(neurons)
            return super().scores(edit, facts, neurons, text)

    sets = planted_sets(planted)
    sets[0, 0, 0, :5] = True
    one = subject()
    recording = Recording(one.model, planted, sets.float(), sets, ALL_KNOWN)

    neuron_edits(recording, EVERY[1:], BETAS)

    local, random = (seen[SETS.index(name)] for name in ("local", "random"))
    assert torch.equal(local, sets[1:, 0])
    assert torch.equal(random.sum(-1), local.sum(-1))
    assert not torch.equal(random, local)


def test_settings_are_those_with_the_highest_mean_on_dev_facts():
    tried = pd.DataFrame(
        [
            ("erase", 0.0, 0.1, 0.5), ("erase", 0.0, 0.1, 0.7), ("erase", 1.0, 0.1, 0.9),
            ("erase", 1.0, 0.1, 0.9), ("erase", 2.0, 0.1, np.nan), ("erase", 2.0, 0.1, 0.8),
            ("update", 0.0, 0.2, 0.4), ("update", 0.0, 0.1, 0.4), ("update", 1.0, 0.1, np.nan),
        ],
        columns=["edit", "beta", "tau", "avg"],
    )  # fmt: skip

    settings = chosen_settings(tried)
    rows = choice_rows([tried.iloc[:4], tried.iloc[4:]], settings)

    assert settings == {"erase": (1.0, 0.1), "update": (0.0, 0.1)}, "the smallest of equals"
    found = {(row["edit"], row["beta"], row["tau"]): row for row in rows}
    assert {key for key, row in found.items() if row["chosen"]} == {
        ("erase", 1.0, 0.1),
        ("update", 0.0, 0.1),
    }
    assert found["erase", 0.0, 0.1]["avg"] == pytest.approx(0.6)
    assert [found["erase", beta, 0.1]["n"] for beta in (0.0, 1.0, 2.0)] == [2, 2, 1]


def test_all_settings_are_tried_on_dev_facts(planted: Queries):
    tried = tried_settings(editor(planted), EVERY[:2])

    n_settings = len(CONFIG.betas) * len(CONFIG.taus)
    assert len(tried) == 2 * 2 * n_settings - n_settings * tried_without_update(planted)
    assert set(tried["fact_id"]) == set(planted.facts["fact_id"][:2])
    assert tried["ppl_change"].isna().all(), "perplexity does not choose"


def tried_without_update(planted: Queries) -> int:
    return int((other_answers(planted, CONFIG.seed)[:2] < 0).sum())


NO_SYNAPSES = torch.zeros(N_LAYERS, N_HEADS, 6, dtype=torch.bool)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma2", "qwen3"])
def test_attribution_under_untouched_attention_is_the_attribution(name: str):
    model, ids = shared_model(name), tokens(6).tolist()
    config = replace(CONFIG, steps=5)
    synapses = torch.rand(NO_SYNAPSES.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    synapses[..., 0] = False

    with unchanged(model, "bitwise"):
        untouched, none = (
            attribution_under(model, ids, 7, chosen, factor, config)
            for chosen, factor in ((synapses, 1.0), (NO_SYNAPSES, 0.0))
        )
        suppressed = attribution_under(model, ids, 7, synapses, 0.0, config)

    usual = attribute(model, [ids], [[7]], AttributionConfig("joint", 5))[0]
    torch.testing.assert_close(untouched, usual, rtol=0, atol=SAME_PATH)
    torch.testing.assert_close(none, usual, rtol=0, atol=SAME_PATH)
    assert usual.abs().max() > 100 * SAME_PATH
    assert (suppressed - usual).abs().max() > 100 * SAME_PATH


def test_maps_hold_the_highest_of_each_bin_for_the_fact_nearest_to_its_classes_median():
    model = shared_model("gpt2")
    ids = [tokens(6, seed=s).tolist() for s in range(8)]
    queries = queries_of(["r", "r", "s", "s"], ids=ids, answers=[1, 2, 3, 4])
    cs2 = pd.DataFrame(
        {
            "fact_id": ["f3", "f1", "f2", "f0"],
            "cls": ["inconsistent", "inconsistent", "inconsistent", "consistent"],
            "cs2": [0.0, 0.1, 0.3, 0.9],
        }
    )
    own = [NO_SYNAPSES.clone() for _ in ids]
    own[3][:, 1, 2:4] = True

    frame = neuron_maps(model, queries, cs2, own, replace(CONFIG, bins=5, steps=5))

    assert set(frame["fact_id"][frame["cls"] == "inconsistent"]) == {"f1"}
    assert set(frame["fact_id"][frame["cls"] == "consistent"]) == {"f0"}
    assert set(frame["text"][frame["fact_id"] == "f1"]) == {"query 2", "query 3"}
    usual = attribute(model, [ids[3]], [[2]], AttributionConfig("joint", 5))[0]
    bins = [part.amax(1) for part in usual.tensor_split(5, dim=1)]
    of_query = frame[(frame["fact_id"] == "f1") & (frame["query"] == 1)]
    maps = {
        name: of.sort_values(["layer", "bin"])["attribution"].to_numpy().reshape(N_LAYERS, 5)
        for name, of in of_query.groupby("synapses")
    }
    np.testing.assert_allclose(maps["untouched"], torch.stack(bins, 1), atol=SAME_PATH)
    assert set(maps) == {"untouched", "suppressed", "enhanced"}
    for name in ("suppressed", "enhanced"):
        assert np.abs(maps[name] - maps["untouched"]).max() > 10 * SAME_PATH


def test_more_bins_than_neurons_are_one_neuron_each():
    queries = queries_of(["r", "s"], ids=[tokens(4, seed=s).tolist() for s in range(4)],
                         answers=[1, D_VOCAB - 1])  # fmt: skip
    cs2 = pd.DataFrame({"fact_id": ["f0"], "cls": "consistent", "cs2": 1.0})
    own = [torch.zeros(N_LAYERS, N_HEADS, 4, dtype=torch.bool)] * 4

    frame = neuron_maps(shared_model("gpt2"), queries, cs2, own, replace(CONFIG, bins=500))

    assert frame["bin"].nunique() == 48
