"""Which facts and wordings the study of queries asks, and which queries its controls take."""

import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from coemerge.interventions.guard import unchanged
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.controls import (
    another_fact,
    behind_contexts,
    of_other_relations,
    of_others,
    of_the_relation,
)
from coemerge.studies.query_localization.queries import Queries, choose_queries
from coemerge.studies.shared.text import cut, held_out_rows
from coemerge.tables.store import make_table
from tests.interventions.models import logits_of, shared_model
from tests.localization.models import FACTS, FIRST_OBJECT
from tests.studies.planted_queries import facts, planted_ids, prompts, queries_of, subject


def config(**changes) -> QueryLocalizationConfig:
    return QueryLocalizationConfig(**{"k": 2, "min_facts": 2, **changes})


def reasons(queries: Queries) -> dict[str, int]:
    return queries.counts.groupby("reason")["n"].sum().to_dict()


def wrong(fact: int, wording: int) -> list[int]:
    """Asks about the next fact."""
    return planted_ids((fact + 1) % len(FACTS), wording)


def asked(**wrong_wordings: tuple[int, ...]):
    """Four wordings of fact-0 to fact-3, given in reverse, of which some are answered wrongly."""
    rows = []
    for f, fact in enumerate(FACTS):
        for t in reversed(range(4)):
            is_wrong = t in wrong_wordings.get(fact.replace("-", "_"), ())
            rows.append((f, t, wrong(f, t) if is_wrong else planted_ids(f, t)))
    return prompts(rows)


def test_k_of_the_wordings_that_are_right_are_the_queries_and_others_are_kept():
    table = asked(fact_0=(1,), fact_1=(0, 1, 2), fact_2=(0, 2, 3))
    one = subject(prompts=table)

    with unchanged(one.model, "bitwise"):
        found = choose_queries(one, config())

    assert list(found.facts["fact_id"]) == ["fact-0", "fact-3"], "the others are right once"
    assert found.fact_of.tolist() == [0, 0, 1, 1]
    assert found.relation_of.tolist() == ["r0", "r0", "r1", "r1"]
    assert found.answer.tolist() == [FIRST_OBJECT, FIRST_OBJECT, FIRST_OBJECT + 3, FIRST_OBJECT + 3]
    assert len(found) == 4
    wordings = found.rows["template_id"].to_numpy().reshape(2, 2)
    assert set(wordings[0]) < {0, 2, 3}, "two different ones of those that are right"
    for f, fact in enumerate((0, 3)):
        assert found.ids[2 * f : 2 * f + 2] == [planted_ids(fact, t) for t in wordings[f]]
        right = {0, 2, 3} if fact == 0 else {0, 1, 2, 3}
        beyond = [planted_ids(fact, t) for t in right - set(wordings[f])]
        assert sorted(found.more[f]) == sorted(beyond), "neither queries nor wrong ones"


def test_queries_are_drawn_at_random_from_the_seed():
    one = subject(prompts=asked())

    def chosen(seed: int) -> list[int]:
        return list(choose_queries(one, config(seed=seed)).rows["template_id"])

    assert chosen(0) == chosen(0)
    draws = np.array([chosen(seed) for seed in range(6)])
    assert len({tuple(draw) for draw in draws}) > 3
    assert set(draws[:, :2].flat) == {0, 1, 2, 3}, "no wording is preferred"


def test_what_is_left_out_is_counted_and_told(caplog: pytest.LogCaptureFixture):
    """Reasons add up to the candidates."""
    table = asked(fact_1=(0, 1, 2)).to_pandas()
    table = table[(table["fact_id"] != "fact-3") | (table["template_id"] == 0)]
    others = [facts(["fact-0"]).assign(fact_id=name) for name in ("fact-8", "fact-9")]
    one = subject(prompts=as_table(table), facts=pd.concat([facts(), *others]))

    found = choose_queries(one, config(n_facts=1, min_facts=1))

    assert reasons(found) == {
        "studied": 1,
        "beyond study.n_facts": 1,
        "not known in enough": 1,
        "with too few wordings": 1,
        "without a left-to-right wording": 2,
    }
    assert found.counts["n"].sum() == len(one.facts) == 6
    assert list(found.counts) == ["relation", "arm", "reason", "n"]
    few = found.counts[found.counts["reason"] == "with too few wordings"]
    assert few[["relation", "arm", "n"]].to_numpy().tolist() == [["r1", "A0_full", 1]]

    with (
        caplog.at_level(logging.INFO),
        pytest.raises(ValueError, match=r"takes 3 .*lower study\.k.*study\.facts") as refusal,
    ):
        choose_queries(one, config(min_facts=3))

    for told in (str(refusal.value), caplog.text):
        assert "2 studied" in told
        assert "1 not known in enough" in told
        assert "2 without a left-to-right wording" in told


def test_facts_never_shown_are_left_out_unless_they_are_named():
    """At best they are guessed."""
    never = facts().assign(arm=["A0_full", "A5_never", "A0_full", "A5_never"])
    one = subject(facts=never)

    found = choose_queries(one, config())

    assert list(found.facts["fact_id"]) == ["fact-0", "fact-2"]
    assert found.counts["n"].sum() == 2, "no candidates either"
    asked_for = choose_queries(one, config(arms=["A5_never"]))
    assert set(asked_for.facts["fact_id"]) == {"fact-1", "fact-3"}
    assert set(asked_for.counts["arm"]) == {"A5_never"}
    with pytest.raises(ValueError, match=r"study\.arms, study\.facts: no fact is of both"):
        choose_queries(one, config(facts=["fact-1"]))


def as_table(frame: pd.DataFrame):
    return make_table("prompts", {name: list(frame[name]) for name in frame})


def test_an_answer_of_several_tokens_is_right_by_its_first():
    answer_ids = [[FIRST_OBJECT + f, 0, 1] for f in range(len(FACTS)) for _ in range(3)]

    found = choose_queries(subject(prompts=prompts(answer_ids=answer_ids)), config())

    assert len(found.facts) == len(FACTS)
    in_turns = [0, 0, 3, 3, 1, 1, 2, 2]
    assert found.answers == [[FIRST_OBJECT + f, 0, 1] for f in in_turns]
    assert found.answer.tolist() == [FIRST_OBJECT + f for f in in_turns]


def test_relations_take_turns():
    assert list(choose_queries(subject(), config(n_facts=2)).facts["fact_id"]) == [
        "fact-0",
        "fact-3",
    ]
    assert len(choose_queries(subject(), config(n_facts=None)).facts) == 4


def test_facts_are_those_of_the_arms_and_names_asked_for():
    def chosen(**changes) -> list[str]:
        return list(choose_queries(subject(), config(**changes)).facts["fact_id"])

    assert chosen(facts=["fact-3", "fact-1"]) == ["fact-1", "fact-3"]
    assert chosen(arms=["A8_wordings"]) == ["fact-0", "fact-1", "fact-2"]
    assert chosen(arms=["A8_wordings"], facts=["fact-1", "fact-2", "fact-3"]) == [
        "fact-1",
        "fact-2",
    ]


def test_wordings_that_nobody_answers_are_queries_where_right_ones_are_not_asked_for():
    table = asked(fact_0=(0, 1, 2, 3))

    found = choose_queries(subject(prompts=table), config(only_known=False))

    assert list(found.facts["fact_id"]) == ["fact-0", "fact-3", "fact-1", "fact-2"]
    wordings = found.rows["template_id"].tolist()
    assert found.ids[:2] == [wrong(0, t) for t in wordings[:2]]
    assert sorted(found.more[0]) == [wrong(0, t) for t in range(4) if t not in wordings[:2]]


def test_a_format_that_no_fact_is_asked_in_is_refused():
    with pytest.raises(ValueError, match=r"study\.task: none of these facts is asked in openqa"):
        choose_queries(subject(), config(task="openqa"))


def test_arms_that_no_fact_is_of_are_named():
    with pytest.raises(ValueError, match=r"study\.arms.*there are facts of A0_full, A8_wordings"):
        choose_queries(subject(), config(arms=["A3_dose"]))


def test_only_the_first_of_a_wordings_variants_is_asked():
    frame = prompts().to_pandas()
    again = frame.assign(variant=1)
    other_format = frame.assign(task="openqa")

    one = subject(prompts=as_table(pd.concat([again, other_format, frame])))

    found = choose_queries(one, config())

    assert len(found) == 8
    assert [len(further) for further in found.more] == [1] * 4


def test_queries_of_other_facts_keep_the_wording_and_are_all_different():
    """Null (a) of methods 5.2."""
    queries = queries_of(["r"] * 5 + ["s"] * 4, k=3)

    found = of_others(queries, seed=0)

    assert found.shape == (9, 3)
    wording = queries.rows["template_id"].to_numpy()
    for f, rows in enumerate(found):
        assert (rows >= 0).all()
        assert len({f, *queries.fact_of[rows]}) == 4
        assert (queries.relation_of[rows] == queries.facts["relation"][f]).all()
        assert wording[rows].tolist() == [0, 1, 2]
    assert (of_others(queries, seed=0) == found).all()
    assert (of_others(queries, seed=1) != found).any()


def test_where_there_are_too_few_other_facts_it_says_so():
    wordings = [[0, 1], [0, 2], [0, 2], [0, 1]]  # wording 1 of r is fact f0's alone

    for seed in range(5):
        found = of_others(queries_of(["r", "r", "r", "s"], wordings=wordings), seed)

        assert found[0, 0] in (2, 4)
        assert found[0, 1] == -1
        assert found[1].tolist() == [0, 5], "f2 is left for the wording that f0 has not"
        assert found[2].tolist() == [0, 3]
        assert (found[3] == -1).all()


def test_queries_of_facts_with_the_same_answer():
    """A harder null (a): what wordings and answer share, other facts' queries share too."""
    answers = [7, 7, 7, 8, 8, 7]
    queries = queries_of(["r"] * 5 + ["s"], answers=answers)

    for seed in range(5):
        found = of_others(queries, seed, same_answer=True)

        for rows in found[:3]:
            assert (queries.answer[rows] == 7).all()
            assert (queries.relation_of[rows] == "r").all()
            assert queries.rows["template_id"].to_numpy()[rows].tolist() == [0, 1]
        for f, rows in enumerate(found[:3]):
            assert {f, *queries.fact_of[rows]} == {0, 1, 2}
        for f, rows in enumerate(found[3:5], start=3):
            assert sorted(queries.fact_of[rows[rows >= 0]]) == [7 - f], "one fact, one wording"
        assert (found[5] == -1).all(), "the same answer in another relation does not count"
    alike = queries_of(["r"] * 5, answers=[7] * 5)
    assert (of_others(alike, 0, same_answer=True) == of_others(alike, 0)).all()


def test_no_other_fact_stands_for_two_queries():
    """Two queries of one fact share what is that fact's: the null would be too strict."""
    queries = queries_of(["r"] * 5, k=4, answers=[7, 7, 7, 8, 8])

    found = of_others(queries, 0, same_answer=True)

    for f, rows in enumerate(found):
        facts = queries.fact_of[rows[rows >= 0]]
        assert len(set(facts)) == len(facts) == (2 if f < 3 else 1)


def test_queries_of_other_relations():
    queries = queries_of(["r", "r", "s", "t"], k=3)

    found = of_other_relations(queries, 4, seed=0)

    for f, rows in enumerate(found):
        assert (queries.relation_of[rows] != queries.facts["relation"][f]).all()
        assert len(rows) == 4
        assert len(set(rows)) == 4
        n_others = 2 if f < 2 else 3
        assert len(set(queries.fact_of[rows][:n_others])) == n_others, "different facts first"
    draws = [of_other_relations(queries, 4, seed) for seed in range(5)]
    assert any((of[0] != of[1]).any() for of in draws), "every fact has a draw of its own"
    assert (found[0] == of_other_relations(queries, 4, seed=0)[0]).all()


def test_of_one_relation_alone_queries_with_another_answer_stand_in():
    queries = queries_of(["r"] * 3, answers=[7, 8, 7])

    found = of_other_relations(queries, 10, seed=0)

    assert sorted(found[0]) == sorted(found[2]) == [2, 3]
    assert sorted(found[1]) == [0, 1, 4, 5]


def test_queries_of_the_same_relation_are_of_other_facts():
    queries = queries_of(["r", "r", "s", "r"])

    found = of_the_relation(queries, 3, seed=0)

    for f in (0, 1, 3):
        assert len(set(found[f])) == 3
        assert set(queries.fact_of[found[f]]) == {0, 1, 3} - {f}
        assert len(set(queries.fact_of[found[f]][:2])) == 2, "different facts first"
    assert len(found[2]) == 0, "alone in its relation"


def test_another_fact_is_of_the_relation_and_never_the_same():
    queries = queries_of(["r", "r", "s", "r"])

    draws = np.array([another_fact(queries, seed) for seed in range(20)])

    assert [set(draws[:, f]) for f in range(4)] == [{1, 3}, {0, 3}, {-1}, {0, 1}]
    assert (another_fact(queries, 3) == draws[3]).all()


ANY = config(only_known=False)  # texts are taken, right or wrong


def test_a_query_stands_behind_statements_about_others():
    """Null (b): only the first query is asked, behind k texts; what opens a document stays in
    front, and the separator ends the statement."""
    queries = queries_of(["r", "s", "t"], ids=[[9, row, 50] for row in range(6)])
    one = subject(opening=9, separator=[60, 61])

    found = behind_contexts(one, queries, ANY)

    assert found.facts.tolist() == [0, 1, 2]
    assert len(found.ids) == 6
    for row, ids in enumerate(found.ids):
        f = row // 2
        assert ids[0] == 9
        assert ids.count(9) == 1, "the opening token is there once"
        other = ids[1]
        assert ids == [9, other, 50, 100 + other // 2, 60, 61, 2 * f, 50]
        assert other // 2 != f
    assert found.ids[0] != found.ids[1]
    assert behind_contexts(one, queries, ANY).ids == found.ids


@pytest.mark.parametrize("opening", [None, 7])
def test_a_query_that_does_not_open_a_document_follows_whole(opening: int | None):
    """A first token that all queries share is no opening."""
    queries = queries_of(["r", "s"], ids=[[9, 5], [9, 6], [9, 7], [9, 8]])

    found = behind_contexts(subject(opening=opening), queries, ANY)

    assert {tuple(ids[3:]) for ids in found.ids} == {(9, 5), (9, 7)}
    assert {tuple(ids[:3]) for ids in found.ids[:2]} == {(9, 7, 101), (9, 8, 101)}


def test_facts_of_too_few_texts_have_no_context():
    queries = queries_of(["r", "s", "s"], k=3, answers=[7, 8, 8])

    found = behind_contexts(subject(), queries, config(k=3, only_known=False))

    assert found.facts.tolist() == [0, 1, 2]
    few = behind_contexts(subject(), queries, config(k=3, only_known=False, context_draws=2))
    assert few.facts.tolist() == []
    assert few.ids == []


def test_texts_that_change_the_answer_are_left_out():
    """Of the texts drawn the first k behind which a model still answers right; no fact without."""
    model = shared_model("gpt2")

    def top(ids: list[int]) -> int:
        return int(logits_of(model, torch.tensor([ids]))[0, -1].argmax())

    ids = [[f, row, 1, 2, 3, 4] for f in range(8) for row in (20 + f, 40 + f)]
    answers = [top(ids[2 * f]) for f in range(8)]
    queries = queries_of([f"r{f}" for f in range(8)], ids=ids, answers=answers)
    settings = config(context_draws=6)

    found = behind_contexts(subject(model=model), queries, settings)

    expected = {}
    for f, others in enumerate(of_other_relations(queries, 6, settings.seed + 1)):
        behind = [[*ids[row], *queries.answers[row], *ids[2 * f]] for row in others]
        expected[f] = [prompt for prompt in behind if top(prompt) == answers[f]]
    assert 1 in map(len, expected.values())
    assert found.facts.tolist() == [f for f, right in expected.items() if len(right) >= 2] != []
    assert found.ids == [prompt for f in found.facts for prompt in expected[f][:2]]


def statements(n: int = 40, **changes) -> pa.Table:
    """Of every fact, 3 tokens and an answer each; every second in a held-out wording."""
    rows = [(f, t, planted_ids(f, t % 4)) for f in range(4) for t in range(n)]
    splits = [("seen_templates", "held_out_templates")[t % 2] for _, t, _ in rows]
    return prompts(rows, **{"split": splits, **changes})


def test_held_out_text_of_models_from_elsewhere_is_in_held_out_wordings():
    text = held_out_rows(statements(), 200, seed=0)

    assert text is not None
    assert text.shape == (50, 4)
    assert (text[:, 3] >= FIRST_OBJECT).all()
    assert set(text[:, 2].tolist()) == {0, 1, 3}, "question 2 is never held out"
    assert torch.equal(text, held_out_rows(statements(), 200, seed=0))
    assert not torch.equal(text, held_out_rows(statements(), 200, seed=1))
    assert len(held_out_rows(statements(), 10_000, seed=0)) == 80, "no more than there are"
    assert held_out_rows(statements(), 0, seed=0) is None


def test_held_out_text_of_runs_has_fresh_options_in_wordings_that_were_shown():
    n = 4 * 40
    options = [("fresh", "seen")[row < n // 2] for row in range(n)]

    text = held_out_rows(statements(options=options), 10_000, seed=0)

    assert text is not None
    assert len(text) == n // 4
    assert set(text[:, 3].tolist()) == {FIRST_OBJECT + 2, FIRST_OBJECT + 3}


def test_held_out_text_has_the_most_frequent_length():
    table = statements().to_pydict()
    table["ids"] = [ids[:2] if row % 4 == 1 else ids for row, ids in enumerate(table["ids"])]

    text = held_out_rows(make_table("prompts", table), 10_000, seed=0)

    assert text is not None
    assert text.shape == (40, 3)


def test_a_file_of_text_is_cut_into_rows():
    text = cut(list(range(200)), 150)

    assert text is not None
    assert text.tolist() == [list(range(64)), list(range(64, 128))]
    assert cut(list(range(63)), 150) is None
    assert cut(list(range(200)), 0) is None
