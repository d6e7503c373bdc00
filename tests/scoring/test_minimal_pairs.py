"""Margins of minimal pairs, against a slow loop over whole sentences."""

import pytest
import torch
from transformers import PreTrainedModel

from coemerge.prompts.minimal_pairs import PairPrompt, PairSentences
from coemerge.scoring.minimal_pairs import margins
from coemerge.worlds.agreement import MinimalPair
from tests.tolerances import BATCHED_SCORE

PAIR = MinimalPair("sv", "plural", "girls", "see", "sees")
PROMPTS = [
    PairPrompt(PAIR, (1, 2, 3), 4, 5, None),
    PairPrompt(PAIR, (7, 2), 5, 4, (0, 1)),
    PairPrompt(PAIR, (3, 2, 1), 9, 8, None),
]
SENTENCES = [
    PairSentences(PAIR, (0, 1, 2, 3), (0, 1, 5, 3), 1),
    PairSentences(PAIR, (0, 7, 2, 9, 11), (0, 7, 2, 9), 1),
]


@torch.no_grad()
def log_prob(model: PreTrainedModel, ids: tuple[int, ...], n_given: int) -> float:
    """Of the tokens after the given ones, one position at a time."""
    total = 0.0
    for k in range(n_given, len(ids)):
        logits = model.eval()(input_ids=torch.tensor([ids[:k]])).logits[0, -1]
        total += float(logits.log_softmax(-1)[ids[k]])
    return total


def test_the_margin_after_a_prompt_is_that_of_the_deciding_token(model):
    expected = [
        log_prob(model, (*p.ids, p.good_id), len(p.ids))
        - log_prob(model, (*p.ids, p.bad_id), len(p.ids))
        for p in PROMPTS
    ]
    assert margins(model, PROMPTS).tolist() == pytest.approx(expected, abs=BATCHED_SCORE)


def test_the_margin_of_whole_sentences_may_compare_different_lengths(model):
    expected = [
        log_prob(model, s.good_ids, s.n_given) - log_prob(model, s.bad_ids, s.n_given)
        for s in SENTENCES
    ]
    assert margins(model, SENTENCES).tolist() == pytest.approx(expected, abs=10 * BATCHED_SCORE)


def test_exchanging_good_and_bad_turns_the_margin_around(gpt2):
    turned = [PairPrompt(p.pair, p.ids, p.bad_id, p.good_id, p.cue) for p in PROMPTS]
    torch.testing.assert_close(margins(gpt2, turned), -margins(gpt2, PROMPTS))


def test_no_pairs_have_no_margins(gpt2):
    assert margins(gpt2, []).shape == (0,)
