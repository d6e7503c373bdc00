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
from coemerge.studies.query_localization import mapping as mapping_module
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.editor import Editor, other_answers
from coemerge.studies.query_localization.edits import (
    EDITS,
    SETS,
    TUNED,
    choice_rows,
    chosen_settings,
    neuron_edits,
    tried_settings,
)
from coemerge.studies.query_localization.mapping import (
    compared_sets,
    mapping,
    matched_sets,
    strongest,
)
from coemerge.studies.query_localization.maps import attribution_under, neuron_maps
from coemerge.studies.query_localization.queries import Queries, choose_queries
from coemerge.studies.query_localization.synapses import synapses, synapses_of
from coemerge.studies.shared.split import split
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
    """The neuron that holds each query's answer, bool [F,k,1,m]."""
    sets = torch.zeros(len(FACTS), queries.k, 1, D_MLP, dtype=torch.bool)
    wordings = queries.rows["template_id"].to_numpy().reshape(len(FACTS), queries.k)
    for f, fact in enumerate(queries.facts["fact_id"]):
        for i, wording in enumerate(wordings[f]):
            sets[f, i, 0, planted_neurons(FACTS.index(fact), wording)] = True
    return sets


def letters(*of_queries: str) -> Tensor:
    """Sets of one fact's queries among neurons a to f of one layer, bool [1,k,1,6]."""
    return torch.tensor([[[[letter in of for letter in "abcdef"]] for of in of_queries]])


def names(sets: Tensor) -> list[str]:
    """Of one fact's queries."""
    return ["".join(np.array(list("abcdef"))[of[0].numpy()]) for of in sets[0]]


def test_sets_of_the_others_done_by_hand():
    found = compared_sets(letters("abc", "bcd", "ce"))

    assert names(found["own"]) == ["abc", "bcd", "ce"]
    assert names(found["union"]) == ["bcde", "abce", "abcd"]
    assert names(found["intersection"]) == ["c", "c", "bc"]


def test_matched_sets_are_equally_large_and_hold_the_strongest():
    sets, other = letters("abc", "bcd", "bce"), letters("def", "f", "ade")
    attribution, of_other = torch.zeros(2, 1, 3, 1, 6)
    attribution[0, 0, 0] = torch.tensor([0.5, 0.1, 0.9, 0.0, 0.0, 0.0])
    attribution[0, 1, 0] = torch.tensor([0.0, 0.2, 0.7, 0.8, 0.0, 0.0])
    attribution[0, 2, 0] = torch.tensor([0.0, 0.3, 0.1, 0.0, 0.9, 0.0])
    of_other[..., 3:] = torch.tensor([0.1, 0.2, 0.3])

    found = matched_sets(
        attribution,
        {**compared_sets(sets), "mismatched": other},
        {"own": attribution, "mismatched": of_other},
    )

    assert names(found["own"]) == ["ac", "cd", "be"], "credited most by the query itself"
    assert names(found["union"]) == ["de", "ce", "cd"], "by the others on average"
    assert names(found["intersection"]) == ["bc", "bc", "bc"]
    assert names(found["mismatched"]) == ["ef", "f", "de"], "by the other fact; all where few"


def test_where_the_others_share_nothing_matched_sets_are_empty():
    attribution = torch.ones(1, 3, 1, 6)

    found = matched_sets(attribution, compared_sets(letters("ab", "cd", "ef")), {})

    assert all(not sets.any() for sets in found.values())


def test_many_matched_sets_are_equally_large_in_every_query():
    generator = torch.Generator().manual_seed(0)
    attribution = torch.rand(5, 3, 2, 40, generator=generator)
    full = compared_sets(coarse_sets(attribution, 0.4))

    found = matched_sets(attribution, full, {"own": attribution})

    n = {name: of.flatten(2).sum(-1) for name, of in found.items()}
    assert n["own"].min() > 0
    for name in ("union", "intersection"):
        assert torch.equal(n[name], n["own"])
    assert not any((found[name] & ~full[name]).any() for name in found)


def test_the_strongest_are_those_that_sorting_finds():
    generator = torch.Generator().manual_seed(0)
    attribution = torch.randn(4, 3, 2, 30, generator=generator)
    sets = torch.rand(4, 3, 2, 30, generator=generator) < 0.3
    sets[0, 0] = False
    n = torch.randint(25, (4, 3), generator=generator)
    n[1, 1] = 0

    found = strongest(attribution, sets, n)

    for f in range(4):
        for i in range(3):
            inside = attribution[f, i][sets[f, i]].sort(descending=True).values
            kept = attribution[f, i][found[f, i]].sort(descending=True).values
            assert torch.equal(kept, inside[: n[f, i]])
    assert not (found & ~sets).any()
    assert not strongest(attribution, sets, torch.zeros_like(n)).any()


@pytest.fixture(scope="module")
def mapped(planted: Queries) -> pd.DataFrame:
    model, sets = subject().model, planted_sets(planted)
    with unchanged(model, "bitwise"):
        return mapping(model, planted, sets.float(), sets, replace(ALL_KNOWN, random_draws=20))


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
    assert (effect(mapped, FACTS, **random) > -0.3).all(), "of 20 draws some meet the one of 20"
    assert effect(mapped, FACTS, **random).mean() < -1e-3
    assert (effect(mapped, FACTS, "n_neurons", **random) == 1).all()
    assert (effect(mapped, FACTS, "n", **random) == 3).all(), "a mean over draws, no sum"
    mismatched = {"neurons": "mismatched", "sizes": "full", "factor": 0.0}
    of_three = [fact for fact in FACTS if fact != "fact-3"]
    np.testing.assert_allclose(effect(mapped, of_three, **mismatched), 0, atol=1e-4)
    assert (effect(mapped, of_three, "n_neurons", **mismatched) == 1).all()
    assert np.isnan(effect(mapped, ["fact-3"], **mismatched)), "alone in its relation"
    assert effect(mapped, ["fact-3"], "n", **mismatched) == 0
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
    for neurons in mapping_module.NEURONS:
        matched = {"neurons": neurons, "sizes": "matched", "factor": 0.0}
        assert np.isnan(effect(mapped, INCONSISTENT, **matched)).all()
        assert (effect(mapped, INCONSISTENT, "n", **matched) == 0).all()
        assert (effect(mapped, CONSISTENT, "n_neurons", **matched) == 1).all()


KEYS = ["fact_id", "neurons", "sizes", "factor"]


def test_random_neurons_are_drawn_several_times(planted: Queries):
    model, sets = subject().model, planted_sets(planted)
    sets[:, :, 0, :8] = True  # nine neurons or so, which chance meets now and then

    def random(seed: int, draws: int) -> pd.DataFrame:
        config = replace(ALL_KNOWN, seed=seed, random_draws=draws)
        frame = mapping(model, planted, sets.float(), sets, config)
        return frame[frame["neurons"] == "random"].set_index(KEYS)

    first, second, both = random(3, 1), random(103, 1), random(3, 2)

    assert first["delta_prob"].notna().all()
    assert (first["delta_prob"] - second["delta_prob"]).abs().max() > 0.1
    pd.testing.assert_frame_equal(both, (first + second) / 2, rtol=1e-4)


def test_facts_in_blocks_give_what_all_at_once_do(
    planted: Queries, monkeypatch: pytest.MonkeyPatch
):
    """Random neurons too."""
    model, sets, config = subject().model, planted_sets(planted), replace(ALL_KNOWN, random_draws=2)
    sets[:, :, 0, :8] = True
    expected = mapping(model, planted, sets.float(), sets, config).set_index(KEYS)
    monkeypatch.setattr(mapping_module, "_FACTS_AT_ONCE", 3)

    found = mapping(model, planted, sets.float(), sets, config)

    assert not found[KEYS].duplicated().any()
    pd.testing.assert_frame_equal(found.set_index(KEYS).loc[expected.index], expected, atol=1e-4)


def test_improbable_answers_are_left_out_of_effects(planted: Queries, mapped: pd.DataFrame):
    sets = planted_sets(planted)
    config = replace(ALL_KNOWN, least_probability=0.999, random_draws=1)
    model = subject().model

    found = mapping(model, planted, sets.float(), sets, config)
    changed = synapses(model, planted, sets, synapses_of(model, planted, config), config)

    assert (mapped["n"] > 0).any()
    assert found["delta_prob"].isna().all()
    assert (found["n"] == 0).all()
    assert (found["n_neurons"] == mapped["n_neurons"]).all()
    assert changed["delta_prob"].isna().all()
    assert changed["delta_kn"].notna().all(), "of neurons, not of the answer"


def test_attention_brings_the_planted_neurons_their_tokens(planted: Queries):
    """Suppressed at the subject, to which most attention goes, they fire less and the answer is
    lost; at the question, where the control is, not."""
    one, sets = subject(), planted_sets(planted)
    config = replace(ALL_KNOWN, alpha=0.85)

    found = synapses_of(one.model, planted, config)
    with unchanged(one.model, "bitwise"):
        frame = synapses(one.model, planted, sets, found, config)

    assert len(found["own"]) == len(found["unrelated"]) == len(planted)
    for own, unrelated in zip(found["own"], found["unrelated"], strict=True):
        assert own.tolist() == [[[False, True, False]] * 2]
        assert unrelated.tolist() == [[[False, False, True]] * 2]
    keys = ["fact_id", "synapses", "factor", "rows"]
    assert len(frame) == len(frame[keys].drop_duplicates()) == 4 * 2 * 2 * 2
    suppressed = frame[frame["factor"] == 0]
    own, unrelated = (suppressed[suppressed["synapses"] == s] for s in ("own", "unrelated"))
    assert (own["delta_prob"] < -0.5).all()
    assert (own[own["rows"] == "raw"]["delta_kn"] == -1).all()
    assert (unrelated["delta_prob"] > -0.1).all()
    assert (frame["n"] == 3).all()
    assert (frame["n_synapses"] == 2).all()


def editor(planted: Queries, config: QueryLocalizationConfig = ALL_KNOWN, **changes) -> Editor:
    one, sets = subject(), planted_sets(planted)
    usual = {"model": one.model, "queries": planted, "attribution": sets.float()}
    return Editor(**{**usual, "config": config, "text": one.text, **changes})


EVERY = np.arange(len(FACTS))
CHOSEN = {
    ("erase", "local"): (0.0, 0.1),
    ("erase", "global"): (0.0, 0.3),
    ("erase", "consistent"): (0.0, 0.2),
    ("update", "local"): (0.0, 0.2),
    ("update", "global"): (0.0, 0.2),
    ("update", "consistent"): (1.0, 0.3),
}


def test_facts_are_split_once_into_two_parts():
    for n in (2, 3, 10, 200):
        dev, test = split([f"fact-{f}" for f in range(n)], CONFIG)

        assert sorted([*dev, *test]) == list(range(n))
        assert min(len(dev), len(test)) > 0
    assert 40 < len(dev) < 80, "of 200 about the share that was asked for"


def test_a_fact_is_of_the_same_part_in_every_model():
    """Whatever other facts a model knows, and in whatever order."""
    names = np.array([f"fact-{f}" for f in range(100)])

    def dev_of(names: np.ndarray, **changes) -> set[str]:
        return set(names[split(list(names), replace(CONFIG, **changes))[0]])

    every = dev_of(names)
    assert 10 < len(every) < 50
    assert dev_of(names[::-1]) == every
    assert dev_of(names[20:70]) == every & set(names[20:70])
    assert dev_of(names, seed=1) != every
    assert dev_of(names, dev_share=0.1) < every
    assert len(dev_of(names, dev_share=0.0)) == 1
    assert len(dev_of(names[:4], dev_share=0.99)) == 3


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

    found = editor(planted).scores(edit, EVERY, nothing, whole=True)

    assert (found["rel"] == 0).all()
    assert (found["gen"] == 0).all()
    assert (found["loc"] == 1).all()
    assert (found["ppl_change"] == 0).all()
    assert (found["n_neurons"] == 0).all()


def test_scores_of_planted_facts(planted: Queries):
    """Consistent ones need the neuron of one query, the others need them all."""
    one = editor(planted)

    with unchanged(one.model, "bitwise"):
        found = neuron_edits(one, EVERY, CHOSEN)

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
    sizes_of = {"equal": "consistent", "mismatched": "local", "random": "local"}
    for (edit, neurons), rows in found.groupby(["edit", "neurons"]):
        setting = CHOSEN[edit, sizes_of.get(neurons, neurons)]
        assert (rows[["beta", "tau"]] == setting).all(axis=None)
    assert found["gen_new"].isna().all(), "all wordings are queries"


def test_sets_are_made_with_the_settings_of_their_own(planted: Queries):
    generator = torch.Generator().manual_seed(0)
    attribution = torch.rand(len(FACTS), 3, 1, D_MLP, generator=generator)
    attribution[:, :, 0, 0] = 1.0
    config = replace(ALL_KNOWN, edit_draws=3)
    chosen = {
        ("erase", "local"): (0.0, 0.9),
        ("erase", "global"): (0.0, 0.7),
        ("erase", "consistent"): (0.5, 0.4),
    }

    seen = recorded(planted, attribution, EVERY[2:], chosen, config)

    of = {name: sets for name, *sets in seen if name != "random"}
    own, every = attribution[2:, 0], attribution[2:]
    assert torch.equal(of["local"][0], own > 0.9)
    assert torch.equal(of["global"][0], (every > 0.7).any(1))
    score = every.mean(1) - 0.5 * every.std(1, correction=0)
    assert torch.equal(of["consistent"][0], score > 0.4 * score.amax((1, 2), keepdim=True))
    n = of["consistent"][0].sum((1, 2))
    assert torch.equal(of["equal"][0].sum((1, 2)), n)
    for f, equal in enumerate(of["equal"][0]):
        assert own[f][equal].min() == own[f].flatten().sort(descending=True).values[n[f] - 1]
    random = [sets for name, sets in seen if name == "random"]
    assert len(random) == 3, "draws"
    assert not torch.equal(random[0], random[1])
    for sets in random:
        assert torch.equal(sets.sum(-1), of["local"][0].sum(-1)), "in every layer"


def recorded(
    queries: Queries,
    attribution: Tensor,
    facts: np.ndarray,
    settings: dict[tuple[str, str], tuple[float, float]],
    config: QueryLocalizationConfig,
) -> list[tuple[str, Tensor]]:
    """(whose, sets) of every edit that is made, one kind of edit alone."""
    seen = []

    class Recording(Editor):
        def scores(self, edit: str, facts: np.ndarray, neurons: Tensor, whole: bool):
            seen.append(neurons)
            return super().scores(edit, facts, neurons, whole)

    neuron_edits(Recording(subject().model, queries, attribution, config), facts, settings)
    kinds = [*SETS[:-1], *["random"] * config.edit_draws]
    assert SETS[-1] == "random"
    return list(zip(kinds, seen, strict=True))


@pytest.fixture(scope="module")
def two_of_three() -> Queries:
    """Two queries of every planted fact; a third wording is right too."""
    return choose_queries(subject(), CONFIG)


def test_further_wordings_are_none_that_sets_are_made_of(two_of_three: Queries):
    """The neurons of both queries are edited: of inconsistent facts a third wording has its own."""
    assert [len(more) for more in two_of_three.more] == [1] * 4
    one = editor(two_of_three, CONFIG)
    for edit in EDITS:
        found = one.scores(edit, EVERY, planted_sets(two_of_three).any(1), whole=True)

        found = found.set_index("fact_id")
        assert (found["gen"] == 1).all()
        for fact in found.index:
            assert found.loc[fact, "gen_new"] == float(fact in CONSISTENT)
        assert (found["n_gen"] == 1).all(), "of the queries, further ones not counted"


def test_what_is_near_is_of_the_relation_and_what_is_unrelated_of_others(planted: Queries):
    """For fact-0 the neurons of its neighbours in r0 are erased, then those of fact-3 in r1."""
    one = editor(planted, replace(ALL_KNOWN, unrelated=20))
    place = {fact: f for f, fact in enumerate(planted.facts["fact_id"])}
    sets = planted_sets(planted).any(1)
    near, far = sets[place["fact-1"]] | sets[place["fact-2"]], sets[place["fact-3"]]
    facts = np.full(2, place["fact-0"])

    found = one.scores("erase", facts, torch.stack((near, far)), whole=True)

    assert found["loc_near"].tolist() == [0, 1]
    assert found["loc"].tolist() == [1, 0]
    assert found["n_loc"].tolist() == [3, 3], "all queries of fact-3"
    alone = one.scores("erase", np.array([place["fact-3"]]), far[None], whole=True)
    assert alone["loc_near"].isna().all()
    quick = one.scores("erase", facts, torch.stack((near, far)), whole=False)
    assert not {"gen_new", "loc_near"} & set(quick)
    assert quick["ppl_change"].isna().all()


def test_facts_without_another_answer_or_another_fact_are_left_out_there(planted: Queries):
    """fact-3 is alone in its relation: nothing to update to, and nobody's neurons to mistake."""
    found = neuron_edits(editor(planted), EVERY, CHOSEN)

    counts = found.groupby(["edit", "neurons"])["fact_id"].agg(set)
    for neurons in SETS:
        missing = {"fact-3"} if neurons == "mismatched" else set()
        assert counts["erase", neurons] == set(FACTS) - missing
        assert counts["update", neurons] == set(FACTS) - {"fact-3"}
    mismatched = found[found["neurons"] == "mismatched"]
    assert (mismatched["n_neurons"] == 1).all()
    assert (mismatched["rel"] == 0).all(), "others' neurons do not hold the answer"


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

    assert set(settings) == {("erase", name) for name in TUNED}
    assert set(found["edit"]) == {"erase"}
    assert set(found["neurons"]) == set(SETS) - {"mismatched"}
    assert {row["edit"] for row in choice_rows([tried], settings)} == {"erase"}
    assert "no dev fact allows to update" in caplog.text


def test_settings_are_those_with_the_highest_mean_on_dev_facts():
    """For every kind of edit and of tuned sets its own."""
    tried = pd.DataFrame(
        [
            ("erase", "consistent", 0.0, 0.1, 0.5), ("erase", "consistent", 0.0, 0.1, 0.7),
            ("erase", "consistent", 1.0, 0.1, 0.9), ("erase", "consistent", 1.0, 0.1, 0.9),
            ("erase", "consistent", 2.0, 0.1, np.nan), ("erase", "consistent", 2.0, 0.1, 0.8),
            ("erase", "local", 0.0, 0.1, 0.2), ("erase", "local", 0.0, 0.3, 0.3),
            ("update", "consistent", 0.0, 0.2, 0.4), ("update", "consistent", 0.0, 0.1, 0.4),
            ("update", "consistent", 1.0, 0.1, np.nan), ("update", "local", 0.0, 0.1, 0.6),
        ],
        columns=["edit", "neurons", "beta", "tau", "avg"],
    )  # fmt: skip

    settings = chosen_settings(tried)
    rows = choice_rows([tried.iloc[:4], tried.iloc[4:]], settings)

    assert settings == {
        ("erase", "consistent"): (1.0, 0.1),
        ("erase", "local"): (0.0, 0.3),
        ("update", "consistent"): (0.0, 0.1),
        ("update", "local"): (0.0, 0.1),
    }, "the smallest of equals"
    found = {(row["edit"], row["neurons"], row["beta"], row["tau"]): row for row in rows}
    chosen = {key for key, row in found.items() if row["chosen"]}
    assert chosen == {(*kind, *setting) for kind, setting in settings.items()}
    assert found["erase", "consistent", 0.0, 0.1]["avg"] == pytest.approx(0.6)
    n = [found["erase", "consistent", beta, 0.1]["n"] for beta in (0.0, 1.0, 2.0)]
    assert n == [2, 2, 1]


def test_all_settings_of_all_tuned_sets_are_tried_on_dev_facts(planted: Queries):
    tried = tried_settings(editor(planted), EVERY[1:3])

    assert set(tried["fact_id"]) == {"fact-3", "fact-1"}
    erased = tried[tried["edit"] == "erase"]
    grids = {name: set(of[["beta", "tau"]].itertuples(False, None))
             for name, of in erased.groupby("neurons")}  # fmt: skip
    assert grids == {
        "consistent": {(beta, tau) for beta in CONFIG.betas for tau in CONFIG.taus},
        "local": {(0.0, tau) for tau in CONFIG.taus},
        "global": {(0.0, tau) for tau in CONFIG.taus},
    }
    n_settings = sum(map(len, grids.values()))
    assert tried.groupby(["edit", "fact_id"]).size().to_dict() == {
        ("erase", "fact-3"): n_settings,
        ("erase", "fact-1"): n_settings,
        ("update", "fact-1"): n_settings,
    }, "fact-3 has no other answer"
    assert tried["ppl_change"].isna().all(), "perplexity does not choose"


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
