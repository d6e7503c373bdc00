"""Prompts in shared rows: answered as if alone, from fewer tokens, and only where that is safe."""

import random
from collections.abc import Sequence

import pytest
import torch
from transformers import PreTrainedModel

from coemerge.interventions.capture import capture
from coemerge.interventions.sites import Site
from coemerge.scoring import forward
from coemerge.scoring.forward import Answers, Question, score_prompts
from coemerge.scoring.shared_prefixes import CAPACITY, SharedRows, shared_rows, takes_shared_rows
from tests.interventions.models import MODELS, shared_model
from tests.scoring.conftest import VOCAB, tiny_model
from tests.scoring.test_forward import assert_same


@pytest.fixture
def questions() -> list[Question]:
    """Phrasings that branch at several depths, answers of 1 to 3 tokens, some asked twice, some the
    beginning of another; in no order."""
    draw = random.Random(4)

    def some(n: int) -> list[int]:
        return [draw.randrange(VOCAB) for _ in range(n)]

    made = []
    for _ in range(6):
        stem = some(draw.randint(8, 14))
        for _ in range(12):
            ids = stem[: draw.randint(6, len(stem))] + some(draw.randint(0, 2))
            answer = some(draw.choice((1, 1, 3)))
            made.append(Question(ids, answer, sorted({answer[0], *some(3)})))
    made += made[::5]
    draw.shuffle(made)
    return made


def alone(
    model: PreTrainedModel, asked: Sequence[Question], monkeypatch: pytest.MonkeyPatch
) -> Answers:
    with monkeypatch.context() as patch:
        patch.setattr(forward, "takes_shared_rows", lambda _: False)
        return score_prompts(model, asked)


def rows_of(asked: Sequence[Question]) -> tuple[list[int], list[SharedRows]]:
    texts = [(*q.ids, *q.answer_ids[:-1]) for q in asked]
    rest, rows = shared_rows(texts, [len(q.answer_ids) for q in asked], 1024, torch.zeros(1))
    return rest, list(rows)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_answers_are_those_of_prompts_alone(
    model: PreTrainedModel,
    questions: list[Question],
    attention: str,
    monkeypatch: pytest.MonkeyPatch,
):
    model.set_attn_implementation(attention)
    assert takes_shared_rows(model)

    assert_same(score_prompts(model, questions), alone(model, questions, monkeypatch))


def test_rows_have_every_prompt_once_and_fewer_tokens(questions: list[Question]):
    rest, batches = rows_of(questions)

    shared = [i for batch in batches for i in batch.index]
    assert sorted([*rest, *shared]) == list(range(len(questions)))
    assert not rest
    n_tokens = sum(len(q.ids) + len(q.answer_ids) - 1 for q in questions)
    assert sum(batch.ids.numel() for batch in batches) < 0.8 * n_tokens
    for batch in batches:
        for place, i in enumerate(batch.index):
            question = questions[i]
            row, last = batch.rows[place, 0], int(batch.columns[place, -1])
            seen = batch.mask[row, 0, last] == 0
            assert batch.ids[row, seen].tolist() == [*question.ids, *question.answer_ids[:-1]]
            assert batch.positions[row, seen].tolist() == list(range(int(seen.sum())))


def test_a_tree_by_hand():
    prompts = [5, 6, 8], [5, 6, 7], [5, 9], [5, 6, 7], [5]
    _, (batch,) = rows_of([Question(ids, [0], [0]) for ids in prompts])

    assert batch.ids.tolist() == [[5, 6, 7, 7, 8, 9]]  # what is asked for is not shared: 7 and 7
    assert batch.positions.tolist() == [[0, 1, 2, 2, 2, 1]]
    sees = (batch.mask[0, 0] == 0).int().tolist()
    assert sees == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 1],
    ]
    assert batch.index == [4, 1, 3, 0, 2]
    assert batch.columns.tolist() == [[0], [2], [3], [4], [5]]


def test_prompts_with_nothing_in_common_stay_alone():
    asked = [Question([first, 1, 2, 3], [0], [0]) for first in range(VOCAB)]

    rest, batches = rows_of(asked)

    assert rest == list(range(VOCAB))
    assert not batches


def test_long_prompts_get_rows_that_hold_them(monkeypatch: pytest.MonkeyPatch):
    model = tiny_model("gpt2", n_positions=512)
    stem = [i % VOCAB for i in range(CAPACITY)]
    long = [Question([*stem, *range(n), 3], [n], [n, 1]) for n in range(2, 12)]
    short = [Question([*stem[:20], n], [n], [n, 1]) for n in range(10)]
    asked = long + short

    assert max(batch.ids.shape[1] for batch in rows_of(asked)[1]) > CAPACITY
    assert_same(score_prompts(model, asked), alone(model, asked, monkeypatch))


@pytest.mark.parametrize("architecture", ["gemma2", "olmo3", "qwen3"])
def test_prompts_longer_than_a_window_stay_alone(
    architecture: str, monkeypatch: pytest.MonkeyPatch
):
    model = shared_model(architecture)
    monkeypatch.setattr(model.config, "sliding_window", 8)
    stem = list(range(10))
    asked = [Question([*stem[:n], token], [1], [1, 2]) for n in (4, 10) for token in range(12)]

    with monkeypatch.context() as patch:
        patch.setattr(forward, "takes_shared_rows", lambda _: True)
        found = score_prompts(model, asked)
    rest, _ = shared_rows([q.ids for q in asked], [1] * len(asked), 1024, torch.zeros(1), 8)

    assert_same(found, alone(model, asked, monkeypatch))
    assert rest == list(range(12, 24))


@pytest.mark.parametrize("architecture", MODELS)
def test_every_architecture_answers_as_alone(architecture: str, monkeypatch: pytest.MonkeyPatch):
    model = shared_model(architecture)
    stem = list(range(9))
    asked = [Question([*stem, i, j], [1], [1, 2]) for i in range(6) for j in range(6)]

    assert takes_shared_rows(model)
    assert_same(score_prompts(model, asked), alone(model, asked, monkeypatch))


def test_batches_are_bounded_in_tokens_and_in_what_is_asked(questions: list[Question]):
    texts = [(*q.ids, *q.answer_ids[:-1]) for q in questions]
    n_last = [len(q.answer_ids) for q in questions]
    for limit in (32, 64, 256):
        _, batches = shared_rows(texts, n_last, limit, torch.zeros(1))
        for batch in batches:
            n_rows, width = batch.ids.shape
            assert n_rows == 1 or n_rows * width <= limit
            assert n_rows == 1 or batch.columns.numel() <= limit // 8


def test_an_empty_prompt_is_refused(gpt2: PreTrainedModel):
    with pytest.raises(ValueError, match="empty prompt"):
        score_prompts(gpt2, [Question([], [2], [2])])


def test_a_model_whose_parts_compute_something_else_is_not_given_any(gpt2: PreTrainedModel):
    part = gpt2.get_submodule("transformer.h.0.mlp.c_proj")
    part.forward = lambda x: x
    assert not takes_shared_rows(gpt2)


def test_a_model_that_is_hooked_sees_prompts_in_rows_of_their_own(
    gpt2: PreTrainedModel, questions: list[Question]
):
    with capture(gpt2, [Site("resid_post", 0)]):
        assert not takes_shared_rows(gpt2)
        inside = score_prompts(gpt2, questions)

    assert_same(inside, score_prompts(gpt2, questions))


def test_models_of_unknown_architecture_or_attention_are_not_given_any(gpt2: PreTrainedModel):
    gpt2.config._attn_implementation = "flash_attention_2"
    assert not takes_shared_rows(gpt2)
    gpt2.config._attn_implementation = "sdpa"
    gpt2.config.model_type = "unheard_of"
    assert not takes_shared_rows(gpt2)


def test_the_model_is_left_as_found(gpt2: PreTrainedModel, questions: list[Question]):
    before = {name: value.clone() for name, value in gpt2.state_dict().items()}
    names = [(name, type(module)) for name, module in gpt2.named_modules()]

    score_prompts(gpt2, questions)

    assert takes_shared_rows(gpt2)  # no hook is left
    assert not any("forward" in vars(module) for module in gpt2.modules())
    assert [(name, type(module)) for name, module in gpt2.named_modules()] == names
    assert all(value.equal(before[name]) for name, value in gpt2.state_dict().items())
