"""Which facts and wordings the study of queries asks, and which queries its controls take."""

import logging

import pandas as pd
import pyarrow as pa
import pytest
import torch

from coemerge.interventions.guard import unchanged
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import (
    behind_contexts,
    choose_queries,
    of_other_relations,
    of_others,
)
from coemerge.studies.query_localization.text import cut, held_out_rows
from coemerge.tables.store import make_table
from tests.localization.models import FACTS, FIRST_OBJECT
from tests.studies.planted_queries import facts, planted_ids, prompts, queries_of, subject


def config(**changes) -> QueryLocalizationConfig:
    return QueryLocalizationConfig(**{"k": 2, "min_facts": 2, **changes})


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


def test_the_first_k_wordings_that_are_right_are_the_queries():
    table = asked(fact_0=(1,), fact_1=(0, 1, 2), fact_2=(0, 2, 3))
    one = subject(prompts=table)

    with unchanged(one.model, "bitwise"):
        found = choose_queries(one, config())

    assert list(found.facts["fact_id"]) == ["fact-0", "fact-3"], "the others are right once"
    assert list(found.rows["template_id"]) == [0, 2, 0, 1]
    assert found.ids == [planted_ids(0, 0), planted_ids(0, 2), planted_ids(3, 0), planted_ids(3, 1)]
    assert found.fact_of.tolist() == [0, 0, 1, 1]
    assert found.relation_of.tolist() == ["r0", "r0", "r1", "r1"]
    assert found.answer.tolist() == [FIRST_OBJECT, FIRST_OBJECT, FIRST_OBJECT + 3, FIRST_OBJECT + 3]
    assert len(found) == 4


def test_what_is_left_out_is_told(caplog: pytest.LogCaptureFixture):
    table = asked(fact_0=(1,), fact_1=(0, 1, 2), fact_2=(0, 2, 3)).to_pandas()
    table = table[(table["fact_id"] != "fact-3") | (table["template_id"] == 0)]
    table["answer_ids"] = [
        [*answer, 0] if fact == "fact-1" else list(answer)
        for fact, answer in zip(table["fact_id"], table["answer_ids"], strict=True)
    ]
    everything = pd.concat([facts(), facts(["fact-0"]).assign(fact_id="fact-9")])
    one = subject(prompts=as_table(table), facts=everything)

    with (
        caplog.at_level(logging.INFO),
        pytest.raises(ValueError, match=r"takes 2: .*lower study\.k.*study\.facts") as refusal,
    ):
        choose_queries(one, config())

    for told in (str(refusal.value), caplog.text):
        assert "1 facts are studied; of 4 asked in completion, 1 are right in 2 wordings" in told
        assert "1 have fewer wordings, 1 an answer of several tokens; 1 facts are not asked" in told


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
    assert found.ids[:2] == [wrong(0, 0), wrong(0, 1)]


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

    assert len(choose_queries(one, config())) == 8


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


def test_queries_of_other_relations():
    queries = queries_of(["r", "r", "s", "t"], k=3)

    found = of_other_relations(queries, 4, seed=0)

    for f, rows in enumerate(found):
        assert (queries.relation_of[rows] != queries.facts["relation"][f]).all()
        assert len(rows) == 4
        assert len(set(rows)) == 4
        n_others = 2 if f < 2 else 3
        assert len(set(queries.fact_of[rows][:n_others])) == n_others, "different facts first"
    assert (found[0] == found[1]).all()


def test_of_one_relation_alone_queries_with_another_answer_stand_in():
    queries = queries_of(["r"] * 3, answers=[7, 8, 7])

    found = of_other_relations(queries, 10, seed=0)

    assert sorted(found[0]) == sorted(found[2]) == [2, 3]
    assert sorted(found[1]) == [0, 1, 4, 5]


def test_a_query_stands_behind_statements_about_others():
    """Null (b): only the first query is asked, behind k texts; what opens all stays in front."""
    queries = queries_of(["r", "s", "t"], ids=[[9, row, 50] for row in range(6)])

    found = behind_contexts(queries, seed=0)

    assert len(found) == 6
    for row, ids in enumerate(found):
        f = row // 2
        assert ids[0] == 9
        assert ids.count(9) == 1, "the opening token is there once"
        other = ids[1]
        assert ids == [9, other, 50, 100 + other // 2, 2 * f, 50]
        assert other // 2 != f
    assert found[0] != found[1]


def test_without_a_common_opening_queries_follow_whole():
    queries = queries_of(["r", "s"], ids=[[1, 5], [2, 5], [3, 5], [4, 5]])

    found = behind_contexts(queries, seed=0)

    assert {tuple(ids[3:]) for ids in found} == {(1, 5), (3, 5)}
    assert {tuple(ids[:3]) for ids in found[:2]} == {(3, 5, 101), (4, 5, 101)}


def test_few_other_texts_are_used_again():
    queries = queries_of(["r", "r"], k=3, answers=[7, 8])
    queries.rows.drop(index=[4, 5], inplace=True)
    queries.rows.loc[4] = queries.rows.loc[3]
    queries.rows.loc[5] = queries.rows.loc[3]

    assert len(behind_contexts(queries, seed=0)) == 6


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
