"""Scores of edits: a planted answer, edits one at a time as the oracle, the empty edit (T-Q7)."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from coemerge.editing import rows
from coemerge.editing.evaluation import EditScores, evaluate_edits
from coemerge.editing.neurons import erase, erase_each, update, update_each
from coemerge.editing.perplexity import perplexities
from coemerge.editing.trials import Trial
from coemerge.interventions.edits import Edit, LowRank
from coemerge.interventions.guard import unchanged
from coemerge.interventions.weight_edits import edited
from tests.interventions.models import (
    D_MLP,
    D_MODEL,
    D_VOCAB,
    N_LAYERS,
    logits_of,
    make_model,
    noise,
    shared_model,
    tokens,
)
from tests.localization.models import D_MLP as PLANTED_WIDTH
from tests.localization.models import (
    FIRST_OBJECT,
    FIRST_SUBJECT,
    FIRST_TASK,
    N_TASKS,
    QUESTIONS,
    neuron_of,
    planted_model,
)
from tests.tolerances import BATCHED_SCORE

TEXT = tokens(5, 12, seed=4)


def planted_query(fact: int, task: int, question: int = 0) -> list[int]:
    return [FIRST_TASK + task, FIRST_SUBJECT + fact, QUESTIONS[question]]


def planted_trial(wanted: int | None = None) -> Trial:
    """Fact 0 asked in task 0; its other queries are in tasks 0, 1 and 2."""
    others = [
        planted_query(0, 0, 1),
        planted_query(0, 1),
        planted_query(0, 2),
        planted_query(0, 2, 3),
    ]
    unrelated = [planted_query(fact, task) for fact in (1, 2, 3) for task in range(N_TASKS)]
    return Trial(planted_query(0, 0), others, unrelated, FIRST_OBJECT, wanted)


def planted_set(*neurons: int) -> torch.Tensor:
    chosen = torch.zeros(1, PLANTED_WIDTH, dtype=torch.bool)
    chosen[0, list(neurons)] = True
    return chosen


def test_erasing_the_neuron_of_a_query_erases_its_answer_alone():
    """One neuron holds (fact 0, task 0), so other formats of the fact stay; all three hold it."""
    model = planted_model()
    sets = [
        planted_set(neuron_of(0, 0)),
        planted_set(*(neuron_of(0, task) for task in range(N_TASKS))),
        planted_set(neuron_of(1, 0), neuron_of(2, 0), neuron_of(3, 0)),
    ]

    scores = evaluate_edits(model, erase_each(model, torch.stack(sets)), [planted_trial()] * 3)

    assert scores.rel.tolist() == [1, 1, 0]
    assert scores.gen.tolist() == [0.25, 1, 0]
    assert scores.loc.tolist() == [1, 1, pytest.approx(2 / 3)]
    assert scores.avg.tolist() == pytest.approx([0.75, 1, 2 / 9])
    assert scores.rel_before.tolist() == scores.gen_before.tolist() == [0, 0, 0]
    assert scores.n_gen.tolist() == [4] * 3
    assert scores.n_loc.tolist() == [9] * 3
    assert np.isnan(scores.ppl_change).all()


def test_updating_the_neuron_of_a_query_gives_it_the_wanted_answer():
    model, wanted = planted_model(), FIRST_OBJECT + 2
    chosen = planted_set(neuron_of(0, 0), neuron_of(0, 1))
    # a planted neuron writes 40 times the object; an unembedding row is 2 times the token
    good = update(model, chosen, FIRST_OBJECT, wanted, lambdas=(20.0, 20.0))
    elsewhere = update(model, chosen, FIRST_OBJECT, wanted + 1, lambdas=(20.0, 20.0))

    scores = evaluate_edits(model, [good, elsewhere], [planted_trial(wanted)] * 2)

    assert scores.rel.tolist() == [1, 0]  # another answer than the old one is not success
    assert scores.gen.tolist() == [0.5, 0]
    assert scores.loc.tolist() == [1, 1]


def test_only_queries_that_were_answered_right_count():
    model = planted_model()
    everything = erase(model, planted_set(*range(PLANTED_WIDTH)))
    known, unknown = planted_trial(), planted_query(1, 0)  # answered with the object of fact 1
    trials = [
        replace(known, others=[*known.others, unknown]),
        replace(known, edited=unknown),
        replace(known, others=[unknown]),
        replace(known, unrelated=[]),
    ]

    scores = evaluate_edits(model, [everything] * 4, trials)

    assert scores.n_gen.tolist() == [4, 4, 0, 4]
    assert scores.gen.tolist() == pytest.approx([1, 1, math.nan, 1], nan_ok=True)
    assert scores.rel.tolist() == pytest.approx([1, math.nan, 1, 1], nan_ok=True)
    assert np.isnan(scores.loc).tolist() == [False, False, False, True]
    assert np.isnan(scores.avg).tolist() == [False, True, True, True]


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "olmo2"])
def test_the_empty_set_changes_nothing(name: str):
    """T-Q7, beside edits that do something."""
    model = make_model(name)
    empty = erase(model, torch.zeros(N_LAYERS, D_MLP, dtype=torch.bool))
    edits, trials = some_edits(model), some_trials(model)

    scores = evaluate_edits(model, [*edits, empty], [*trials, trials[0]], TEXT)

    assert scores.rel[-1] == 0
    assert scores.gen[-1] == 0
    assert scores.loc[-1] == 1
    assert scores.ppl_change[-1] == 0  # exactly
    assert (scores.ppl_change[:-1] != 0).all()


def some_edits(model: PreTrainedModel) -> list[Edit]:
    """Erasures and updates of few and many neurons, and a delta of higher rank."""
    sets = torch.stack([noise(N_LAYERS, D_MLP, seed=s) > 1.0 for s in range(4)])
    few = torch.zeros(N_LAYERS, D_MLP, dtype=torch.bool)
    few[1, 3] = True
    dense = LowRank(0.3 * noise(D_MODEL, 5), 0.3 * noise(D_MLP, 5, seed=1))
    updates = update_each(model, sets[:2], [1, 2], [7, 8], lambdas=(0.5, 0.5))
    return [*erase_each(model, sets), *updates, erase(model, few), Edit({1: dense})]


def some_trials(model: PreTrainedModel) -> list[Trial]:
    """Queries of several lengths; half of the others are answered as the edited one."""
    pools = [tokens(400, n_tokens, seed=n_tokens) for n_tokens in (4, 5, 6)]
    tops = [logits_of(model, pool)[:, -1].argmax(1) for pool in pools]
    unrelated = [*pools[0][-6:].tolist(), *pools[2][-6:].tolist()]
    trials = []
    for index in range(8):
        answer = int(tops[index % 3][index])
        others = pools[1][50 + index : 53 + index].tolist()
        for pool, top in zip(pools, tops, strict=True):
            others += pool[top == answer][1:3].tolist()
        wanted = [7, 8][index - 4] if index in (4, 5) else None
        edited_query = pools[index % 3][index].tolist()
        trials.append(Trial(edited_query, others, unrelated, answer, wanted))
    return trials


def top_token(model: PreTrainedModel, query: list[int]) -> int:
    return int(logits_of(model, torch.tensor([query]))[0, -1].argmax())


def one_at_a_time(model: PreTrainedModel, edit: Edit, trial: Trial) -> dict[str, float]:
    """The scores of one edit written into the weights, one query after the other."""

    def share(values: list[bool]) -> float:
        return sum(values) / len(values) if values else math.nan

    def wins(token: int) -> bool:
        return token != trial.answer if trial.wanted is None else token == trial.wanted

    known = [query for query in trial.others if top_token(model, query) == trial.answer]
    before = [top_token(model, query) for query in trial.unrelated]
    ppl_before = perplexity(model)
    with edited(model, edit):
        rel = float(wins(top_token(model, list(trial.edited))))
        gen = share([wins(top_token(model, query)) for query in known])
        after = [top_token(model, query) for query in trial.unrelated]
        ppl = perplexity(model)
    loc = share([a == b for a, b in zip(after, before, strict=True)])
    change = (ppl - ppl_before) / ppl_before
    return {"rel": rel, "gen": gen, "loc": loc, "ppl_after": ppl, "ppl_change": change}


def perplexity(model: PreTrainedModel) -> float:
    nll = []
    for row in TEXT:
        log_probs = logits_of(model, row[None])[0].double().log_softmax(-1)
        nll += [-float(log_probs[i, token]) for i, token in enumerate(row[1:])]
    return math.exp(sum(nll) / len(nll))


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma2"])
def test_many_edits_at_once_score_as_edited_weights_one_at_a_time(name: str):
    model = make_model(name)
    edits, trials = some_edits(model), some_trials(model)

    scores = evaluate_edits(model, edits, trials, TEXT)

    slow = [one_at_a_time(model, *pair) for pair in zip(edits, trials, strict=True)]
    for field, tolerance in [("rel", 0), ("gen", 0), ("loc", 0), ("ppl_after", BATCHED_SCORE)]:
        expected = np.array([score[field] for score in slow])
        np.testing.assert_allclose(getattr(scores, field), expected, rtol=tolerance, err_msg=field)
    changes = [score["ppl_change"] for score in slow]
    np.testing.assert_allclose(scores.ppl_change, changes, atol=BATCHED_SCORE)
    assert 0 < np.nanmean(scores.gen) < 1
    assert 0 < scores.loc.mean() < 1


@pytest.mark.parametrize("limit", [{"tokens_per_batch": 20}, {"values": 700}, {"values": 1}])
def test_size_of_batches_does_not_matter(limit: dict[str, int], monkeypatch: pytest.MonkeyPatch):
    """By tokens, by what edits and logits hold, and with everything alone."""
    model = make_model("gpt2")
    edits, trials = some_edits(model), some_trials(model)
    expected = evaluate_edits(model, edits, trials, TEXT)

    if "values" in limit:
        monkeypatch.setitem(rows._MAX_VALUES, "cpu", limit["values"])
    scores = evaluate_edits(model, edits, trials, TEXT, limit.get("tokens_per_batch"))

    assert_same(scores, expected)


def assert_same(left: EditScores, right: EditScores) -> None:
    for name, value in asdict(left).items():
        other = getattr(right, name)
        np.testing.assert_allclose(value, other, rtol=BATCHED_SCORE, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("raises", [False, True])
def test_the_model_is_left_as_found(raises: bool, monkeypatch: pytest.MonkeyPatch):
    model = make_model("gpt2").train()
    model.transformer.h[0].eval()
    edits, trials = some_edits(model), some_trials(model)
    modes = [module.training for module in model.modules()]

    with unchanged(model, "bitwise"):
        if raises:
            monkeypatch.setattr(model.transformer.ln_f, "forward", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                evaluate_edits(model, edits, trials, TEXT)
        else:
            evaluate_edits(model, edits, trials, TEXT)

    assert [module.training for module in model.modules()] == modes
    assert all("forward" not in block.mlp.c_proj.__dict__ for block in model.transformer.h)


def test_no_edits_give_no_scores():
    scores = evaluate_edits(shared_model("gpt2"), [], [], TEXT)

    assert scores.rel.shape == scores.ppl_change.shape == (0,)
    assert scores.ppl_before == pytest.approx(perplexity(shared_model("gpt2")), rel=BATCHED_SCORE)


def test_perplexity_of_uniform_answers_is_the_size_of_the_vocabulary():
    model = make_model("llama")
    with torch.no_grad():
        model.lm_head.weight.zero_()

    before, after = perplexities(model, [erase(model, torch.ones(2, D_MLP).bool())], TEXT)

    assert before == pytest.approx(D_VOCAB, rel=BATCHED_SCORE)
    assert after == pytest.approx([D_VOCAB], rel=BATCHED_SCORE)


def test_progress_is_shown_only_when_asked_for(capsys: pytest.CaptureFixture):
    model = planted_model()
    edits = [erase(model, planted_set(0))]

    evaluate_edits(model, edits, [planted_trial()])
    assert capsys.readouterr().err == ""
    evaluate_edits(model, edits, [planted_trial()], show_progress=True)
    assert "asking under edits" in capsys.readouterr().err


def test_what_cannot_be_asked_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch):
    model = make_model("gpt2")
    monkeypatch.setattr(model, "forward", lambda *_args, **_kwargs: pytest.fail("it ran"))
    edit, trial = Edit({1: some_edits(model)[-1].deltas[1]}), Trial([1], [[2]], [[3]], 4)
    cases = [
        (r"1 edits with 2 trials", [trial, trial], None, edit),
        (r"trials\[0\].others: a query without", [replace(trial, others=[[]])], None, edit),
        (r"trials\[0\].unrelated: \[99\]", [replace(trial, unrelated=[[99]])], None, edit),
        (r"trials\[0\].answer and wanted: \[4, 60\]", [replace(trial, wanted=60)], None, edit),
        (r"text must be token ids \[N,T\]", [trial], TEXT[0], edit),
        (r"text holds ids outside .* 0 to 59", [trial], TEXT + 60, edit),
        (r"changes layer 7", [trial], None, Edit({7: edit.deltas[1]})),
    ]
    for message, trials, text, own in cases:
        with pytest.raises(ValueError, match=message):
            evaluate_edits(model, [own], trials, text)
