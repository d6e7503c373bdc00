"""Answer probabilities: against formulas, against a slow loop, and without side effects."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from coemerge.scoring.forward import (
    Answers,
    Question,
    chance_normalised,
    next_token_distribution,
    score_prompts,
)
from tests.scoring.conftest import VOCAB
from tests.tolerances import BATCHED_SCORE, BF16_WOULD_SHOW, DISTRIBUTION_SUM, EXACT_IN_FLOAT64

PROBABILITIES = ("p_first", "p_full", "nll", "p_cand")


@pytest.mark.parametrize(
    ("p", "chance", "score"),
    [(0.55, 0.25, 0.4), (0.25, 0.25, 0.0), (0.125, 0.125, 0.0), (1.0, 0.25, 1.0), (0.0, 0.5, -1.0)],
)
def test_score_is_zero_at_chance_and_one_when_certain(p: float, chance: float, score: float):
    assert chance_normalised(p, chance) == pytest.approx(score, abs=EXACT_IN_FLOAT64)  # T-S1


def test_score_of_a_tensor_is_elementwise():
    p, chance = torch.tensor([0.55, 0.0]).double(), torch.tensor([0.25, 0.5]).double()

    score = chance_normalised(p, chance)

    torch.testing.assert_close(score, torch.tensor([0.4, -1.0]).double(), atol=1e-7, rtol=0)


def assert_same(left: Answers, right: Answers) -> None:
    for name in PROBABILITIES:
        torch.testing.assert_close(
            getattr(left, name), getattr(right, name), atol=BATCHED_SCORE, rtol=BATCHED_SCORE
        )
    assert left.rank.equal(right.rank)
    assert left.correct.equal(right.correct)


def one_by_one(model: nn.Module, questions: list[Question]) -> Answers:
    singles = [score_prompts(model, [question]) for question in questions]
    names = (*PROBABILITIES, "rank", "correct")
    return Answers(**{n: torch.cat([getattr(s, n) for s in singles]) for n in names})


def test_batched_scores_equal_single_ones(model: PreTrainedModel, questions: list[Question]):
    assert_same(score_prompts(model, questions), one_by_one(model, questions))  # T-S2


@pytest.mark.parametrize("tokens_per_batch", [1, 11, 10_000])
def test_batch_size_does_not_matter(
    gpt2: PreTrainedModel, questions: list[Question], tokens_per_batch: int
):
    scores = score_prompts(gpt2, questions, tokens_per_batch)

    assert_same(scores, score_prompts(gpt2, questions))


def test_scores_keep_the_order_of_the_questions(gpt2: PreTrainedModel, questions: list[Question]):
    forwards = score_prompts(gpt2, questions)
    backwards = score_prompts(gpt2, questions[::-1])

    torch.testing.assert_close(forwards.p_full, backwards.p_full.flip(0))


def test_scores_equal_a_slow_loop(model: PreTrainedModel, questions: list[Question]):
    scores = score_prompts(model, questions)

    model.eval()
    for index, question in enumerate(questions):
        log_probs, context, first = [], list(question.ids), None
        for token in question.answer_ids:
            with torch.no_grad():
                distribution = model(torch.tensor([context])).logits[0, -1].softmax(-1)
            first = distribution if first is None else first
            log_probs.append(math.log(distribution[token]))
            context.append(token)
        right = first[question.answer_ids[0]].item()
        among = sum(first[c].item() for c in question.candidate_ids)
        close = {"rel": BATCHED_SCORE, "abs": BATCHED_SCORE}
        assert scores.p_first[index].item() == pytest.approx(right, **close)
        assert scores.p_full[index].item() == pytest.approx(math.exp(sum(log_probs)), **close)
        mean = sum(log_probs) / len(log_probs)
        assert scores.nll[index].item() == pytest.approx(-mean, **close)
        assert scores.p_cand[index].item() == pytest.approx(right / among, **close)
        assert scores.rank[index] == sum(p.item() > right for p in first)
        assert scores.correct[index] == (first.argmax() == question.answer_ids[0])


class Fixed(nn.Module):
    """Answers every prompt with the same known distribution."""

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1))


def test_rank_and_candidate_share_by_hand():
    model = Fixed([0.1, 0.4, 0.2, 0.3])
    questions = [Question([0], [2], [2, 0]), Question([3, 3], [1, 3], [1, 2, 3])]

    scores = score_prompts(model, questions)

    assert scores.rank.tolist() == [2, 0]
    assert scores.correct.tolist() == [False, True]
    torch.testing.assert_close(scores.p_cand, torch.tensor([0.2 / 0.3, 0.4 / 0.9]))
    torch.testing.assert_close(scores.p_full, torch.tensor([0.2, 0.4 * 0.3]))
    expected = torch.tensor([-math.log(0.2), -(math.log(0.4) + math.log(0.3)) / 2])
    torch.testing.assert_close(scores.nll, expected)


def test_next_token_distribution_sums_to_one(model: PreTrainedModel, questions: list[Question]):
    for question in questions:
        distribution = next_token_distribution(model, question.ids)

        assert distribution.shape == (VOCAB,)
        assert distribution.dtype == torch.float32
        assert distribution.sum().item() == pytest.approx(1.0, abs=DISTRIBUTION_SUM)  # T-S4


def test_first_token_probability_is_read_from_that_distribution(
    gpt2: PreTrainedModel, questions: list[Question]
):
    scores = score_prompts(gpt2, questions)

    for question, p_first in zip(questions, scores.p_first, strict=True):
        expected = next_token_distribution(gpt2, question.ids)[question.answer_ids[0]]
        torch.testing.assert_close(p_first, expected, atol=BATCHED_SCORE, rtol=0)


def test_an_empty_answer_is_refused(gpt2: PreTrainedModel):
    with pytest.raises(ValueError, match="empty answer"):
        score_prompts(gpt2, [Question([1], [2], [2]), Question([1, 2], [], [3])])


def test_no_questions_give_no_scores(gpt2: PreTrainedModel):
    assert len(score_prompts(gpt2, []).p_first) == 0


class Guard:
    """Everything of a model and of torch that scoring must leave as it was."""

    def __init__(self, model: nn.Module) -> None:
        self.modes = [m.training for m in model.modules()]
        self.requires_grad = [p.requires_grad for p in model.parameters()]
        self.weights = {k: v.clone() for k, v in model.state_dict().items()}
        self.gradients = [p.grad for p in model.parameters()]
        self.n_hooks = sum(len(m._forward_hooks) for m in model.modules())
        self.random_state = torch.get_rng_state()
        self.grad_enabled = torch.is_grad_enabled()

    def check(self, model: nn.Module) -> None:
        after = Guard(model)
        assert after.modes == self.modes
        assert after.requires_grad == self.requires_grad
        assert all(after.weights[k].equal(v) for k, v in self.weights.items())
        assert all(a is b for a, b in zip(after.gradients, self.gradients, strict=True))
        assert after.n_hooks == self.n_hooks
        assert after.random_state.equal(self.random_state)
        assert after.grad_enabled == self.grad_enabled


def make_state_uneven(model: PreTrainedModel) -> None:
    """Some modules in train and some in eval mode, some parameters frozen, a gradient in place."""
    model.train()
    list(model.modules())[3].eval()
    parameters = list(model.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.ones_like(parameters[1])


def test_scoring_leaves_model_and_random_state_alone(
    model: PreTrainedModel, questions: list[Question]
):
    make_state_uneven(model)
    guard = Guard(model)

    scores = score_prompts(model, questions)
    next_token_distribution(model, questions[0].ids)

    guard.check(model)
    assert not scores.p_first.requires_grad


def test_scoring_leaves_model_alone_when_forward_raises(
    gpt2: PreTrainedModel, questions: list[Question], monkeypatch: pytest.MonkeyPatch
):
    make_state_uneven(gpt2)
    guard = Guard(gpt2)
    monkeypatch.setattr(gpt2.transformer.ln_f, "forward", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        score_prompts(gpt2, questions)

    guard.check(gpt2)


def test_dropout_is_off_while_scoring(questions: list[Question]):
    config = AutoConfig.for_model(
        "gpt2", n_layer=1, n_embd=16, n_head=2, n_positions=32, vocab_size=VOCAB,
        resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).train()

    first, second = score_prompts(model, questions), score_prompts(model, questions)

    assert first.p_full.equal(second.p_full)


def test_scores_are_float32_also_inside_autocast(model: PreTrainedModel, questions: list[Question]):
    outside = score_prompts(model, questions)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = score_prompts(model, questions)
        distribution = next_token_distribution(model, questions[0].ids)
        still_on = torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype

    for name in PROBABILITIES:
        values = getattr(inside, name)
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, getattr(outside, name), atol=BF16_WOULD_SHOW, rtol=0)
        assert values.equal(getattr(outside, name))
    assert distribution.dtype == torch.float32
    assert still_on == torch.bfloat16


def test_autocast_would_have_shown(gpt2: PreTrainedModel, questions: list[Question]):
    """The tolerance above separates: a bfloat16 pass differs by more."""
    exact = next_token_distribution(gpt2, questions[1].ids)

    gpt2.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rough = gpt2(torch.tensor([questions[1].ids])).logits[0, -1].float().softmax(-1)

    assert (exact - rough).abs().max() > BF16_WOULD_SHOW
