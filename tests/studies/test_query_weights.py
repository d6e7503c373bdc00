"""ROME and MEMIT beside edits of neurons: the same facts, answers and trials, on a random model."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from coemerge.editing.contexts import sample_contexts
from coemerge.editing.evaluation import evaluate_edits
from coemerge.editing.keys import key_moments
from coemerge.editing.memit import memit
from coemerge.editing.rank_one import rank_one
from coemerge.editing.requests import Goal, Request
from coemerge.editing.trials import Trial
from coemerge.editing.value_config import SMALL
from coemerge.interventions.guard import unchanged
from coemerge.interventions.weight_edits import edited
from coemerge.studies.query_localization.config import EDITORS, QueryLocalizationConfig
from coemerge.studies.query_localization.editor import Editor
from coemerge.studies.query_localization.queries import Queries, Subject
from coemerge.studies.query_localization.weights import (
    Setting,
    check_editable,
    update_requests,
    weight_edits,
)
from coemerge.tables.store import table_schema
from tests.interventions.models import D_MLP, N_LAYERS, logits_of, shared_model, tokens
from tests.studies.planted_queries import CONFIG, queries_of, subject

SEPARATOR = [7]
KEY_TEXT = [tokens(n, seed=n).tolist() for n in (30, 9, 40)]
SOME = replace(CONFIG, contexts=((3, 2),), memit_weight=1e-3)
SUBJECTS = [(0, 2), (1, 3), (4, 6), (2, 4)]
ALL = np.arange(4)


def one(name: str = "gpt2", **changes) -> Subject:
    usual = {"model": shared_model(name), "key_text": KEY_TEXT, "separator": SEPARATOR}
    text = tokens(3, 9, seed=5)
    return subject(**{**usual, "text": text, **changes})


@pytest.fixture(scope="module")
def queries() -> Queries:
    """Two queries of each of four facts, as the model answers them; the last fact is alone in its
    relation."""
    ids = [tokens(6, seed=seed).tolist() for seed in range(8)]
    top = logits_of(shared_model("gpt2"), torch.tensor(ids[::2]))[:, -1].argmax(-1).tolist()
    found = queries_of(["r", "r", "r", "s"], ids=ids, answers=top)
    start, stop = zip(*[span for span in SUBJECTS for _ in range(2)], strict=True)
    found.rows["subject_start"], found.rows["subject_stop"] = start, stop
    return found


def editor(of: Subject, queries: Queries, config: QueryLocalizationConfig = SOME) -> Editor:
    nothing = torch.zeros(len(queries.facts), queries.k, N_LAYERS, D_MLP)
    return Editor(of.model, queries, nothing, config, of.text)


@pytest.fixture(scope="module")
def rows(queries: Queries) -> pd.DataFrame:
    model = one().model
    with unchanged(model, "bitwise"):
        return weight_edits(one(), editor(one(), queries), ALL)


def test_there_is_a_row_of_every_editor_and_fact_that_has_another_answer(rows: pd.DataFrame):
    for name in EDITORS:
        assert list(rows[rows["neurons"] == name]["fact_id"]) == ["f0", "f1", "f2"]
    assert set(rows["edit"]) == {"update"}
    assert set(rows) == set(table_schema("neuron_edits").names) - {"seed", "cls"}
    assert rows[["beta", "tau", "n_neurons"]].isna().all(axis=None)
    assert rows[["rel", "loc", "loc_near", "ppl_change"]].notna().all(axis=None)
    assert (rows["ppl_change"] != 0).all()
    assert (rows["rel_before"] == 0).all()


@pytest.mark.parametrize("name", EDITORS)
def test_a_row_is_what_the_editor_called_by_hand_gives(
    name: str, queries: Queries, rows: pd.DataFrame
):
    """Of the second fact alone, with contexts and keys made here."""
    found, judge = one(), editor(one(), queries)
    ids, answer, wanted = queries.ids[2], int(queries.answer[2]), int(judge.wanted[1])
    assert wanted in {int(queries.answer[row]) for row in (0, 4)} - {answer}
    written = sample_contexts(found.model, queries.ids[0][:1], [(3, 2)], SOME.seed, SEPARATOR)
    request = Request(Goal(ids, SUBJECTS[1], [wanted]), [answer])
    if name == "rome":
        moment = key_moments(found.model, KEY_TEXT, [0])[0]
        (outcome,) = rank_one(found.model, [request], 0, written, moment, SMALL)
    else:
        moments = key_moments(found.model, KEY_TEXT, [0])
        (outcome,) = memit(found.model, [request], [0], written, moments, 1e-3, SMALL)
    near = [queries.ids[row] for row in judge.near[1]]
    far = [queries.ids[row] for row in judge.far[1]]

    expected, of_relation = (
        evaluate_edits(
            found.model, [outcome.edit], [Trial(ids, more, others, answer, wanted)], found.text
        )
        for more, others in (([queries.ids[3]], far), ([], near))
    )

    row = rows[(rows["neurons"] == name) & (rows["fact_id"] == "f1")].iloc[0]
    with edited(found.model, outcome.edit):
        top = int(logits_of(found.model, torch.tensor([ids]))[0, -1].argmax())
    assert row["rel"] == (top == wanted)
    for measure in ("rel", "gen", "loc", "avg"):
        np.testing.assert_equal(row[measure], getattr(expected, measure)[0])
    assert row["loc_near"] == of_relation.loc[0]
    assert row["ppl_change"] == pytest.approx(expected.ppl_change[0], rel=1e-3)
    assert row["n_loc"] == len(far) == 2


def test_some_updates_succeed(rows: pd.DataFrame):
    """The last subject ends where its prompt does; of others, little depends on so few layers."""
    assert rows[(rows["neurons"] == "rome") & (rows["fact_id"] == "f2")]["rel"].item() == 1


def test_layers_and_contexts_are_those_of_the_settings(queries: Queries):
    start = queries.ids[0][:1]
    usual = Setting.of(one(), start, SOME)
    assert usual.layers == [0], "a third of two layers is the first"
    top = replace(SOME, layer=1)
    assert Setting.of(one(), start, top).layers == [0, 1]
    assert Setting.of(one(), start, replace(top, memit_layers=1)).layers == [1]
    alone = Setting.of(one(), start, replace(top, editors=("rome",)))
    assert alone.layers == [1]
    assert alone.moments is not None
    assert set(alone.moments) == {1}
    assert [len(context) for context in usual.contexts] == [0, 4, 4]
    assert all(context[-1] == 7 for context in usual.contexts[1:])
    opened = Setting.of(one(opening=11), start, SOME)
    assert [context[:1] for context in opened.contexts] == [(), (11,), (11,)]


def test_without_text_no_keys_are_spared_and_it_is_told(
    queries: Queries, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        assert Setting.of(one(key_text=()), queries.ids[0][:1], SOME).moments is None
    assert "no text says which keys are common" in caplog.text


def test_requests_ask_for_what_updates_of_neurons_want(queries: Queries):
    judge = editor(one(), queries)

    found = update_requests(judge, np.array([2, 0]))

    assert [request.goal.ids for request in found] == [queries.ids[4], queries.ids[0]]
    assert [request.goal.subject for request in found] == [SUBJECTS[2], SUBJECTS[0]]
    assert [list(r.goal.target) for r in found] == [[judge.wanted[2]], [judge.wanted[0]]]
    assert [list(r.target_true) for r in found] == [[queries.answer[4]], [queries.answer[0]]]


def test_without_editors_or_other_answers_there_are_no_rows(queries: Queries):
    assert weight_edits(one(), editor(one(), queries, replace(SOME, editors=())), ALL).empty
    assert weight_edits(one(), editor(one(), queries), ALL[3:]).empty


def test_what_cannot_be_edited_is_refused_beforehand(queries: Queries):
    check_editable(one(), queries, SOME)
    with pytest.raises(ValueError, match=r"study\.layer: 2, but the model's layers are 0 to 1"):
        check_editable(one(), queries, replace(SOME, layer=2))
    with pytest.raises(ValueError, match=r"study\.contexts: .* are 2009 tokens, the model reads"):
        check_editable(one(), queries, replace(SOME, contexts=((2000, 1), (5, 5))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"editors": ("rome", "ft")}, r"study\.editors: 'ft' is not one of rome, memit"),
        ({"editors": None}, r"study\.editors: give a list"),
        ({"layer": -1}, r"study\.layer: must be at least 0"),
        ({"memit_layers": 0}, r"study\.memit_layers: must be at least 1"),
        ({"memit_weight": 0.0}, r"study\.memit_weight: must be above 0"),
        ({"memit_weight": float("nan")}, r"study\.memit_weight: must be above 0"),
        ({"key_tokens": 0}, r"study\.key_tokens: must be at least 1"),
        (
            {"contexts": ((5, 0),)},
            r"study\.contexts: takes pairs \[tokens, how many\], got \(5, 0\)",
        ),
        ({"contexts": 5}, r"study\.contexts: takes pairs .* got 5"),
        ({"contexts": None}, r"study\.contexts: takes pairs .* got None"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes).check()
