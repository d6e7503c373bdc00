"""The tokenizer: reversible, repeatable, answers in one token, nothing added around a text."""

import pytest

from coemerge.corpus.tokenizer import EOS, PAD, train_tokenizer
from coemerge.corpus.tokenizer_config import TokenizerConfig

ANSWERS = ["Skivwick", "violin", "A"]
TEXTS = ["Note: Ann was born in Skivwick.", "Options: A violin, B cello. Answer: A."] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, ANSWERS, TokenizerConfig(vocab_size=400))


@pytest.mark.parametrize("word", ANSWERS)
def test_an_answer_is_one_token_after_a_space(tokenizer, word):
    assert len(tokenizer.encode(f" {word}")) == 1


@pytest.mark.parametrize("text", ["Ann, born 1990!", "  two  spaces ", "Zwölf Boxkämpfer 東京 🎻"])
def test_any_text_comes_back_unchanged(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_nothing_is_added_around_a_text(tokenizer):
    assert tokenizer.encode("Ann") == tokenizer.encode("Ann", add_special_tokens=False)


def test_padding_and_end_have_ids_of_their_own(tokenizer):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.convert_ids_to_tokens([tokenizer.pad_token_id, tokenizer.eos_token_id]) == [
        PAD,
        EOS,
    ]


def test_the_vocabulary_keeps_to_its_size(tokenizer):
    assert len(tokenizer) <= 400


def test_training_twice_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer(TEXTS, ANSWERS, TokenizerConfig(vocab_size=400))
    assert again.get_vocab() == tokenizer.get_vocab()


def test_only_the_sample_is_read():
    def texts():
        yield from TEXTS[:3]
        raise AssertionError("read beyond the sample")

    train_tokenizer(texts(), ANSWERS, TokenizerConfig(vocab_size=400, sample=3))
