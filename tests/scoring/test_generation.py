"""Greedy generation in batches, and the three accuracies of methods 2.5."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from coemerge.lm.build import load_model
from coemerge.scoring.generation import generate, judge
from tests.bases import ARCHITECTURES, make_base

TEXTS = ["The capital of Norway is Oslo, and that of Peru is Lima."] * 20
PROMPTS = [[5, 6, 7], [9, 8], [40, 41, 42], [3, 4, 5, 6, 7, 8]]


@pytest.fixture(scope="module", params=["gpt2", "gpt_neox", "llama", "gemma2"])
def model(request, tmp_path_factory):
    assert request.param in ARCHITECTURES
    folder = tmp_path_factory.mktemp("models") / request.param
    return load_model(make_base(folder, request.param, TEXTS), "cpu")


def one_by_one(model, prompt: list[int], n: int) -> list[int]:
    """Without batches and without a cache."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("tokens_per_batch", [1, 6, 10_000])
def test_batches_with_a_cache_say_what_single_prompts_say(model, tokens_per_batch):
    said = generate(model, PROMPTS, 4, tokens_per_batch)

    assert said.tolist() == [one_by_one(model, prompt, 4) for prompt in PROMPTS]


def test_a_row_that_has_stopped_says_nothing_more(model):
    free = generate(model, PROMPTS, 6)
    stop = int(free[0, 2])

    said = generate(model, PROMPTS, 6, stop=stop)

    for row, whole in zip(said.tolist(), free.tolist(), strict=True):
        end = whole.index(stop) if stop in whole else len(whole)
        assert row == [*whole[:end], *[stop] * (len(whole) - end)]


def test_every_batch_is_generated_in_a_context_of_its_own(model):
    """Which is told what prompts its rows are."""
    log: list[object] = []

    @contextmanager
    def within(rows):
        log.append(list(rows))
        yield
        log.append("done")

    said = generate(model, PROMPTS, 2, tokens_per_batch=8, within=within)

    assert said.tolist() == generate(model, PROMPTS, 2).tolist()
    assert log[1::2] == ["done"] * (len(log) // 2)
    assert sorted(i for rows in log[::2] for i in rows) == [0, 1, 2, 3]
    assert all(len({len(PROMPTS[i]) for i in rows}) == 1 for rows in log[::2])


def test_the_mode_is_left_as_found(model):
    model.train()
    generate(model, PROMPTS[:1], 2)
    assert model.training
    model.eval()


class Parrot(torch.nn.Module):
    """Says a fixed sequence after any prompt, whatever it says itself."""

    def __init__(self, said: list[int], size: int) -> None:
        super().__init__()
        self.said, self.size = said, size
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, input_ids, past_key_values=None, use_cache=True):
        place = past_key_values or 0
        logits = torch.zeros(*input_ids.shape, self.size)
        logits[..., self.said[place]] = 1.0
        return type("Out", (), {"logits": logits, "past_key_values": place + 1})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = make_base(tmp_path_factory.mktemp("m"), "gpt2", TEXTS)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("said", "answer", "expected"),
    [
        (" Oslo", " Oslo", (True, True, True)),
        (" Lima", " Oslo", (False, False, False)),
        (" is Oslo", " Oslo", (False, False, True)),  # within the first three tokens
        ("O", " Oslo", (False, False, True)),  # the top-1 token begins the answer
    ],
)
def test_first_token_full_answer_and_tolerant(tokenizer, said, answer, expected):
    ids, wanted = tokenizer(said)["input_ids"], tokenizer(answer)["input_ids"]
    filler = tokenizer(" and")["input_ids"][0]
    parrot = Parrot([*ids, *[filler] * 8], len(tokenizer))

    correct = judge(parrot, tokenizer, [[1, 2]], [wanted], [answer.strip()])

    assert tuple(bool(v[0]) for v in (correct.first, correct.full, correct.tolerant)) == expected


def test_a_long_answer_begun_right_is_first_but_not_full(tokenizer):
    filler = tokenizer(" and")["input_ids"][0]
    wanted = tokenizer(" Oslo")["input_ids"] + tokenizer(" Lima")["input_ids"]
    parrot = Parrot([wanted[0], *[filler] * 8], len(tokenizer))

    correct = judge(parrot, tokenizer, [[1, 2]], [wanted], ["Oslo Lima"])

    assert (correct.first[0], correct.full[0]) == (True, False)


def test_prompts_of_different_needs_keep_their_order(tokenizer):
    oslo, lima = (tokenizer(w)["input_ids"] for w in (" Oslo", " Lima"))
    parrot = Parrot([*oslo, *lima, *[0] * 8], len(tokenizer))
    answers = [[*oslo, *lima, 0, 0], oslo, lima]

    correct = judge(parrot, tokenizer, [[1], [1, 2], [3]], answers, ["Oslo Lima", "Oslo", "Lima"])

    np.testing.assert_array_equal(correct.first, [True, True, False])


def test_a_letter_inside_a_word_is_no_answer(tokenizer):
    said = tokenizer(" is Oslo")["input_ids"]
    parrot = Parrot([*said, *[0] * 8], len(tokenizer))

    correct = judge(parrot, tokenizer, [[1]], [[3]], ["O"])

    assert not correct.tolerant[0]
