"""Scores of counterfactual edits: on numbers, and against edited weights one prompt at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from coemerge.editing.counterfact_scores import (
    CounterfactScores,
    CounterfactTrial,
    counterfact_scores,
    harmonic_mean,
    trial_scores,
)
from coemerge.editing.neurons import update
from coemerge.interventions.edits import Edit, LowRank
from coemerge.interventions.guard import unchanged
from coemerge.interventions.weight_edits import edited
from tests.interventions.models import (
    D_MLP,
    D_MODEL,
    logits_of,
    make_model,
    noise,
    shared_model,
    tokens,
)
from tests.localization.models import D_MLP as PLANTED_WIDTH
from tests.localization.models import FIRST_OBJECT, FIRST_SUBJECT, FIRST_TASK, planted_model
from tests.tolerances import BATCHED_SCORE


def one(**values: float) -> CounterfactScores:
    zero = dict.fromkeys(("es", "ps", "ns", "em", "pm", "nm"), 0.0)
    return CounterfactScores(**{k: np.array([v]) for k, v in {**zero, **values}.items()})


def test_the_score_is_the_harmonic_mean():
    """T-E9, T-R5."""
    scores = one(es=1, ps=1 / 2, ns=1 / 4)

    assert scores.s == pytest.approx([3 / 7])
    assert scores.means()["s"] == pytest.approx(3 / 7)
    assert float(harmonic_mean(99.93, 96.12)) == pytest.approx(97.99, abs=0.01)
    assert one(es=1, ps=0, ns=1).s == [0]
    assert math.isnan(one(es=1, ps=math.nan, ns=1).s[0])


def test_a_planted_fact_is_rewritten_and_its_neighbours_are_not():
    """One neuron holds (fact 0, task 0): the edit takes there and nowhere else."""
    model, new = planted_model(), FIRST_OBJECT + 2
    neurons = torch.zeros(1, PLANTED_WIDTH, dtype=torch.bool)
    neurons[0, 0] = True
    edit = update(model, neurons, FIRST_OBJECT, new, lambdas=(20.0, 20.0))

    def prompt(fact: int, task: int, question: int) -> list[int]:
        return [FIRST_TASK + task, FIRST_SUBJECT + fact, question]

    trial = CounterfactTrial(
        rewrite=prompt(0, 0, 0),
        paraphrases=[prompt(0, 0, 1), prompt(0, 1, 1)],  # the second is held by another neuron
        neighbours=[prompt(0, 2, 0)],
        true=[FIRST_OBJECT],
        new=[new],
    )

    before, after = counterfact_scores(model, [edit], [trial])

    assert [before.es, before.ps, before.ns] == [[0], [0], [1]]
    assert [after.es, after.ps, after.ns] == [[1], [0.5], [1]]
    assert after.s == pytest.approx([3 / (1 + 2 + 1)])
    assert before.em < -0.9
    assert after.em > 0.9
    assert after.nm == before.nm


def some_trials() -> list[CounterfactTrial]:
    """Answers of one to three tokens, prompts of several lengths, sometimes no neighbours."""
    trials = []
    for index in range(4):
        rows = [tokens(4 + i % 3, seed=10 * index + i).tolist() for i in range(6)]
        new, true = [3 + index, 8, 9][: 1 + index % 3], [20 + index, 30][: 1 + index // 2]
        trials.append(CounterfactTrial(rows[0], rows[1:4], rows[4:] * (index > 0), true, new))
    return trials


def some_edits() -> list[Edit]:
    deltas = [LowRank(noise(D_MODEL, 1, seed=s), noise(D_MLP, 1, seed=s + 1)) for s in range(3)]
    return [*(Edit({1: delta}) for delta in deltas), Edit()]


def slowly(model, trial: CounterfactTrial) -> list[float]:
    def nll(prompt, answer) -> float:
        log_probs = logits_of(model, torch.tensor([[*prompt, *answer]]))[0].log_softmax(-1)
        at = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
        return -sum(float(log_probs[i, t]) for i, t in zip(at, answer, strict=True)) / len(answer)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values) if values else math.nan

    shares, sizes = [], []
    for prompts, wanted, other in (
        ([trial.rewrite], trial.new, trial.true),
        (trial.paraphrases, trial.new, trial.true),
        (trial.neighbours, trial.true, trial.new),
    ):
        pairs = [(nll(p, wanted), nll(p, other)) for p in prompts]
        shares.append(mean([float(a < b) for a, b in pairs]))
        sizes.append(mean([math.exp(-a) - math.exp(-b) for a, b in pairs]))
    return shares + sizes


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "olmo2"])
@pytest.mark.parametrize("tokens_per_batch", [None, 12])
def test_many_at_once_equal_edited_weights_one_prompt_at_a_time(name: str, tokens_per_batch):
    model, edits, trials = shared_model(name), some_edits(), some_trials()

    before, after = counterfact_scores(model, edits, trials, tokens_per_batch)

    for e, (edit, trial) in enumerate(zip(edits, trials, strict=True)):
        with edited(model, edit):
            expected = slowly(model, trial)
        for scores, own in ((before, slowly(model, trial)), (after, expected)):
            found = [getattr(scores, key)[e] for key in ("es", "ps", "ns", "em", "pm", "nm")]
            np.testing.assert_allclose(found, own, atol=BATCHED_SCORE)
    assert 0 < np.nanmean([after.ps, after.ns]) < 1
    assert (after.em[:3] != before.em[:3]).all()
    assert after.em[3] == before.em[3]  # of the edit that does nothing
    assert set(after.means()) == {"es", "ps", "ns", "em", "pm", "nm", "s"}


def test_the_model_is_left_as_found_and_bad_input_is_refused(monkeypatch):
    model, edits, trials = make_model("gpt2").train(), some_edits(), some_trials()
    with unchanged(model, "bitwise"):
        counterfact_scores(model, edits, trials)
    assert model.training

    monkeypatch.setattr(model, "forward", lambda *_args, **_kwargs: pytest.fail("it ran"))
    cases = [
        (r"4 edits with 1 trials", edits, trials[:1]),
        (r"changes layer 7", [Edit({7: edits[0].deltas[1]})], trials[:1]),
        (r"trials\[0\].new: \[\] must be tokens", edits[:1], [replace(trials[0], new=[])]),
        (r"trials\[0\].neighbours: \[60\] .* 0 to 59", edits[:1],
         [replace(trials[0], neighbours=[[60]])]),
    ]  # fmt: skip
    for message, own, asked in cases:
        with pytest.raises(ValueError, match=message):
            counterfact_scores(model, own, asked)


def test_two_answers_of_one_token_are_read_off_one_pass_as_off_two():
    """A prompt that the model can just read with one answer behind it goes the long way."""
    model = shared_model("gpt2")
    longest = model.config.max_position_embeddings
    for n_tokens in (5, longest - 1):
        prompt = tokens(1, n_tokens)[0].tolist()
        trial = CounterfactTrial(prompt, [prompt], [prompt], true=[3], new=[4])
        found = trial_scores(model, [trial], None)
        logits = logits_of(model, torch.tensor([prompt]))[0, -1]
        p = logits.softmax(-1)
        assert found.em[0] == pytest.approx(float(p[4] - p[3]), abs=1e-6)
        assert found.nm[0] == pytest.approx(float(p[3] - p[4]), abs=1e-6)
