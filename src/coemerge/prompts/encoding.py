"""From text to token ids and token spans: the only place that a tokenizer sees text.

A prompt and its answer are tokenised together and cut at the answer's first character, so that the
ids of a question to be scored are the very ids that training showed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from coemerge.prompts.render import Rendered, Span


@dataclass(frozen=True, slots=True)
class Encoded:
    """``ids`` is the whole document; ``ids[:answer_start]`` the prompt, then the answer.

    ``answer`` and ``subject`` are token spans [a, b); ``relation_spans`` are the phrasing's tokens
    outside the subject, the prompt's last token left out (it is where the answer is predicted).
    """

    ids: list[int]
    answer: Span
    subject: Span
    relation_spans: tuple[Span, ...]


def encode_documents(
    tokenizer: PreTrainedTokenizerFast, rendered: Sequence[Rendered]
) -> Iterator[Encoded]:
    """Encodes a batch. Raises ValueError where prompt and answer share a token."""
    texts = [f"{r.prompt} {r.answer}." for r in rendered]
    encodings = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    for item, ids, offsets in zip(
        rendered, encodings["input_ids"], encodings["offset_mapping"], strict=True
    ):
        yield _with_spans(item, ids, offsets)


def _with_spans(item: Rendered, ids: list[int], offsets: list[Span]) -> Encoded:
    end = len(item.prompt) + 1 + len(item.answer)
    answer = _token_span(offsets, (len(item.prompt) + 1, end))
    if not len(item.prompt) <= offsets[answer[0]][0] or offsets[answer[1] - 1][1] != end:
        raise ValueError(
            f"the tokenizer joins the answer {item.answer!r} with its surroundings in "
            f"{item.prompt!r}: choose a tokenizer that splits at spaces and punctuation"
        )
    subject = _token_span(offsets, item.subject)
    phrase = _token_span(offsets, item.phrase)
    stop = min(phrase[1], answer[0] - 1)
    spans = ((phrase[0], min(subject[0], stop)), (subject[1], stop))
    return Encoded(ids, answer, subject, tuple(s for s in spans if s[0] < s[1]))


def _token_span(offsets: Sequence[Span], characters: Span) -> Span:
    """Tokens that overlap the characters; leading spaces belong to the token that follows them."""
    inside = [i for i, (a, b) in enumerate(offsets) if a < characters[1] and b > characters[0]]
    return inside[0], inside[-1] + 1


def check_single_tokens(tokenizer: PreTrainedTokenizerFast, words: Sequence[str]) -> None:
    """Each answer must be one token of its own after a space (methods 2.3).

    Raises ValueError naming the words that are split or share a first token.
    """
    ids = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    split = [word for word, pieces in zip(words, ids, strict=True) if len(pieces) != 1]
    if split:
        raise ValueError(
            f"{len(split)} answers are not single tokens ({', '.join(split[:5])} ...): "
            "raise corpus.tokenizer.vocab_size"
        )
    firsts = [pieces[0] for pieces in ids]
    twins = [word for word, first in zip(words, firsts, strict=True) if firsts.count(first) > 1]
    if twins:
        raise ValueError(f"answers share a first token: {', '.join(twins[:10])}")
