"""Causal tracing of syntax and facts: which prompts, which answers, whose noise, and the tables."""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from coemerge.interventions.guard import unchanged
from coemerge.localization.causal_tracing import trace
from coemerge.localization.tracing_prompts import TracedPrompt
from coemerge.localization.tracing_result import TracingResult
from coemerge.studies.knowledge_neurons.subject import FACTS, SYNTAX, Pool, Prompt
from coemerge.studies.knowledge_neurons.tracing import (
    ALL,
    Traced,
    TracedKind,
    trace_kinds,
    tracing_rows,
)
from coemerge.studies.knowledge_neurons.turns import grouped, in_turns
from coemerge.studies.shared.sites import best_site
from coemerge.tables.knowledge_edits_records import SyntaxEffectsRecord, SyntaxTotalsRecord
from coemerge.tables.store import make_table
from tests.interventions.models import n_hooks
from tests.studies.asked_pools import config, fact_pool, pool, prompt, ranked, subject
from tests.studies.planted_sides import model

SAME = 1e-5


def said(pools: list[Pool], **changes: object) -> TracedKind:
    (found,) = trace_kinds(subject(), pools, config(**changes)).kinds.values()
    return found


def pairs(topic: str, name: str, abouts: range, texts: int = 2) -> list[Prompt]:
    return [prompt(f"{topic}/{name}/{a}/{t}", a, t, foil=0) for a in abouts for t in range(texts)]


def test_what_takes_turns():
    assert in_turns([[1, 2, 3], [], [4], [5, 6]]) == [1, 4, 5, 2, 6, 3]
    assert in_turns([]) == []
    assert grouped("abcab", lambda letter: letter) == [["a", "a"], ["b", "b"], ["c"]]


# --- which prompts, and with which answers ---


def test_the_answer_of_a_pair_is_what_the_model_says_where_any_good_word_of_the_class_is_right():
    by_word = {one.answer: one for one in pairs("agreement", "plural", range(12), texts=1)}
    one, other, third, *_ = by_word.values()
    words = {one.answer, other.answer, third.answer}
    swapped = [replace(one, answer=other.answer), replace(other, answer=one.answer), third]
    # of the third, the model says a word that is nobody's good word
    nobody = (next(token for token in ranked(third.ids) if (token,) not in words),)
    found = said(
        [pool(SYNTAX, "agreement", "plural", [*swapped[:2], replace(third, answer=nobody)])]
    )
    assert {p.name: p.answer for p in found.prompts} == {
        one.name: one.answer,
        other.name: other.answer,
    }
    assert (found.not_top, found.no_span) == (1, 0)
    assert found.result.is_top1.all()


def test_the_answer_of_a_fact_is_its_own_object():
    made = fact_pool("capital", 0, n=2, wordings=1)
    one, other = made.prompts
    swapped = pool(FACTS, "capital", "capital", [replace(one, answer=other.answer), other])
    found = said([swapped])
    assert [p.name for p in found.prompts] == [other.name]
    assert found.not_top == 1


def test_prompts_answered_wrong_and_words_that_nobody_knows_are_left_out_and_counted():
    one, other, third, *_ = pairs("agreement", "plural", range(4), texts=1)
    made = pool(SYNTAX, "agreement", "plural", [replace(one, span=None), other, third], wrong=[1])
    found = said([made])
    assert [p.name for p in found.prompts] == [third.name]
    assert (found.no_span, found.not_top) == (1, 0)


def test_a_text_with_two_good_words_is_traced_once():
    (one,) = pairs("agreement", "plural", range(1), texts=1)
    again = replace(one, name="again", answer=(ranked(one.ids)[1],))
    found = said([pool(SYNTAX, "agreement", "plural", [again, one])])
    assert [(p.name, p.answer) for p in found.prompts] == [("again", one.answer)]


def test_classes_take_turns_and_their_words_do():
    made = [
        pool(SYNTAX, "agreement", "singular", pairs("agreement", "singular", range(5), 3)),
        pool(SYNTAX, "agreement", "plural", pairs("agreement", "plural", range(5, 7), 3)),
        pool(SYNTAX, "anaphor", "feminine", pairs("anaphor", "feminine", range(8, 9), 1)),
    ]
    found = said(made, traced=4)
    of_class = [one.name.split("/")[1] for one in found.prompts]
    assert of_class == ["singular", "plural", "singular", "plural", "feminine"]
    assert found.topics.tolist() == ["agreement"] * 4 + ["anaphor"]
    assert len({one.about for one in found.prompts}) == 5
    fewer = said(made[:1], traced=4)
    assert [p for p in found.prompts if "singular" in p.name] == fewer.prompts[:2]


def test_nothing_is_traced_where_nothing_is_asked_for_or_there():
    made = [fact_pool("capital", 0, n=2)]
    assert trace_kinds(subject(), made, config(traced=0)).kinds == {}
    assert trace_kinds(subject(), [], config()).kinds == {}
    assert set(trace_kinds(subject(), made, config()).kinds) == {FACTS}
    nothing = replace(made[0], right=np.zeros(len(made[0].prompts), bool))
    assert trace_kinds(subject(), [nothing], config()).kinds == {}


# --- what is done to them ---


@cache
def traced() -> Traced:
    pools = [
        pool(SYNTAX, "agreement", "singular", pairs("agreement", "singular", range(3))),
        pool(SYNTAX, "anaphor", "feminine", pairs("anaphor", "feminine", range(10, 12))),
        fact_pool("capital", 20, n=3, wordings=2),
    ]
    return trace_kinds(subject(seed=7), pools, config())


def test_effects_are_those_of_noise_on_the_word_on_the_scale_of_the_kind():
    for of_kind in traced().kinds.values():
        asked = [TracedPrompt(p.ids, p.answer[0], (1, 3)) for p in of_kind.prompts]
        expected = trace(model(), asked, config().traced_config)
        assert set(expected.effects) == {"resid", "mlp", "attn"}
        for state, effects in expected.effects.items():
            assert np.allclose(of_kind.result.effects[state], effects, atol=SAME, equal_nan=True)
        places = torch.arange(1, 3)
        embedded = torch.stack(
            [
                model().transformer.wte(torch.tensor(p.ids[1:3])) + model().transformer.wpe(places)
                for p in of_kind.prompts
            ]
        )
        assert of_kind.result.noise_std == pytest.approx(
            3 * float(embedded.detach().std()), rel=1e-5
        )
    syntax, facts = traced().kinds[SYNTAX], traced().kinds[FACTS]
    assert syntax.result.noise_std != facts.result.noise_std


def test_the_model_is_left_as_found():
    with unchanged(model()):
        before = n_hooks(model())
        said([fact_pool("capital", 0, n=2, wordings=1)])
    assert n_hooks(model()) == before


# --- tables ---


def test_totals_and_effects_are_means_over_prompts_by_topic_and_pooled():
    tables = tracing_rows([traced()], config())
    totals = pd.DataFrame(tables["syntax_totals"]).set_index(["kind", "topic"])
    effects = pd.DataFrame(tables["syntax_effects"])
    assert list(totals.index) == [
        (SYNTAX, ALL), (SYNTAX, "agreement"), (SYNTAX, "anaphor"), (FACTS, ALL), (FACTS, "capital"),
    ]  # fmt: skip
    for (kind, topic), row in totals.iterrows():
        of_kind = traced().kinds[kind]
        mine = np.full(len(of_kind.topics), topic == ALL) | (of_kind.topics == topic)
        result = of_kind.result
        kept = mine & of_kind.kept
        assert row["n"] == row["n_total"] == mine.sum()
        assert row["n_kept"] == kept.sum()
        assert row["p_clean"] == pytest.approx(result.p_clean[mine].mean(), abs=SAME)
        assert row["total_effect"] == pytest.approx(result.total_effect[mine].mean(), abs=SAME)
        assert row["low"] <= row["total_effect"] <= row["high"]
        for state in ("resid", "mlp", "attn"):
            cells = effects.query("kind == @kind and topic == @topic and state == @state")
            by_role = result.by_role(state)[kept]
            for _, cell in cells.iterrows():
                values = by_role[:, cell["layer"], cell["place"]]
                assert cell["aie"] == pytest.approx(np.nanmean(values), abs=SAME)
                assert cell["n"] == (~np.isnan(values)).sum()
                assert cell["role"] == result.role_names[cell["place"]]
    for name, rows in tables.items():
        make_table(name, pd.DataFrame(rows).to_dict("list"))


def some_kind(values: list[float], topic: str = "t", top: tuple[bool, ...] = ()) -> TracedKind:
    """N prompts that each lose 0.5, of whom restoring gives a value back everywhere."""
    n = len(values)
    effects = np.tile(np.array(values, np.float32)[:, None, None], (1, 2, 3))
    roles = np.zeros((n, 3, 6), bool)
    roles[:, [0, 1, 2], [0, 2, 5]] = True
    result = TracingResult(
        p_clean=np.full(n, 0.8, np.float32),
        p_corrupted=np.full(n, 0.3, np.float32),
        is_top1=np.array(top or [True] * n),
        effects={"mlp": effects},
        roles=roles,
        role_names=("first_subject", "middle_subject", "last_subject", "b", "c", "last"),
        windows=np.array([1, 1]),
        noise_std=1.0,
    )
    prompts = [prompt(f"p{i}", i, 0) for i in range(n)]
    return TracedKind(prompts, np.array([topic] * n), result, result.is_top1.copy(), 0, 0)


def test_seeds_are_pooled_and_a_kind_may_be_missing_in_one():
    runs = [
        Traced(0, {SYNTAX: some_kind([0.1, 0.3])}),
        Traced(1, {SYNTAX: some_kind([0.5, 0.7], top=(True, False)), FACTS: some_kind([0.2])}),
        Traced(2, {}),
    ]
    tables = tracing_rows(runs, config())
    (total,) = [r for r in tables["syntax_totals"] if (r["kind"], r["topic"]) == (SYNTAX, "t")]
    assert (total["n"], total["n_kept"], total["n_total"]) == (3, 3, 4)
    assert total["total_effect"] == pytest.approx(0.5)
    cells = [r for r in tables["syntax_effects"] if (r["kind"], r["topic"]) == (SYNTAX, "t")]
    assert {(r["role"], r["layer"]) for r in cells} == {
        (role, layer) for role in ("first_subject", "last_subject", "last") for layer in (0, 1)
    }
    assert all(r["aie"] == pytest.approx(0.3) and r["n"] == 3 for r in cells)
    (alone,) = [r for r in tables["syntax_totals"] if (r["kind"], r["topic"]) == (FACTS, "t")]
    assert (alone["n"], np.isnan(alone["low"])) == (1, True)
    assert tracing_rows([], config()) == {"syntax_totals": [], "syntax_effects": []}


def test_prompts_that_lose_nothing_have_totals_alone():
    nothing = some_kind([0.1, 0.2])
    run = Traced(0, {SYNTAX: replace(nothing, kept=np.zeros(2, bool))})
    tables = tracing_rows([run], config())
    assert [row["n_kept"] for row in tables["syntax_totals"]] == [0, 0]
    assert tables["syntax_effects"] == []


def test_tracing_may_point_at_the_end_of_a_prompt():
    found = some_kind([0.1, 0.1])
    found.result.effects["mlp"][:, 0] = [0.1, 0.2, 0.3]
    kept = np.array([True, True])
    assert best_site(found.result, kept, ("last", "first"))[:2] == ("last", 0)
    assert best_site(found.result, kept, ("last", "first", "end"))[:2] == ("end", 0)
    assert best_site(found.result, kept, ("end",)).effect == pytest.approx(0.3)


def test_records_and_rows_have_the_same_columns():
    tables = tracing_rows([traced()], config())
    for record in (SyntaxTotalsRecord, SyntaxEffectsRecord):
        assert {f.name for f in fields(record)} == set(tables[record.table][0])


def test_prompts_about_one_word_are_resampled_together():
    kind = some_kind([0.1, 0.3, 0.5, 0.7])
    same = [replace(one, about=kind.prompts[0].about) for one in kind.prompts]
    for told, is_one_unit in ((kind, False), (replace(kind, prompts=same), True)):
        tables = tracing_rows([Traced(0, {SYNTAX: told})], config())
        rows = [*tables["syntax_totals"], *tables["syntax_effects"]]
        assert rows
        assert all(np.isnan(row["low"]) == is_one_unit and row["n"] == 4 for row in rows)
