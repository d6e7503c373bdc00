"""From text to token ids and token spans: the only place that a tokenizer sees text.

A prompt and its answer are tokenised together and cut at the answer's first character, so that the
ids of a question to be scored are the very ids that training showed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from coemerge.prompts.render import Rendered, Span


@dataclass(frozen=True, slots=True)
class Encoded:
    """``ids`` is the whole document; ``ids[:answer_start]`` the prompt, then the answer.

    ``answer`` and ``subject`` are token spans [a, b); ``relation_spans`` are the phrasing's tokens
    outside the subject, the prompt's last token left out (it is where the answer is predicted); of
    a pair whose relation is asked, those of the whole prompt (T-R3).
    """

    ids: list[int]
    answer: Span
    subject: Span
    relation_spans: tuple[Span, ...]


class Encoder:
    """A tokenizer as this project uses it, its own or a base model's.

    ``prefix`` is what the tokenizer puts before every text (a beginning-of-sequence token, or
    nothing): documents and prompts alike start with it. ``eos`` closes a document, ``pad`` fills up
    rows (their own token where there is none: padding takes no part in the loss).

    With ``chat`` a prompt is what a user says in the tokenizer's chat template, and the answer is
    how the assistant begins. Raises ValueError for a tokenizer without what is needed.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, chat: bool = False) -> None:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no end-of-sequence token, which "
                "closes every document: set eos_token in its tokenizer_config.json"
            )
        self._backend = tokenizer.backend_tokenizer
        self.size = len(tokenizer)
        self.eos = int(tokenizer.eos_token_id)
        self.pad = self.eos if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        plain = tokenizer("x", add_special_tokens=False)["input_ids"]
        whole = tokenizer("x")["input_ids"]
        starts = (k for k in range(len(whole)) if whole[k : k + len(plain)] == plain)
        self.prefix: list[int] = whole[: next(starts, 0)]
        self._frame: tuple[str, str, str] | None = None
        if chat:  # the template brings its own first token
            self._frame, self.prefix = _chat_frame(tokenizer), []

    def encode(self, texts: Sequence[str]) -> list[tuple[list[int], list[Span]]]:
        """(ids with the prefix, character span of each) per text; the prefix has empty spans."""
        return [
            ([*self.prefix, *item.ids], [*((0, 0) for _ in self.prefix), *item.offsets])
            for item in self._backend.encode_batch(list(texts), add_special_tokens=False)
        ]

    def answer_ids(self, words: Sequence[str]) -> list[list[int]]:
        """The tokens of each word where it follows other text after a space."""
        items = [self.framed(Rendered("Answer:", word, (0, 0), (0, 0))) for word in words]
        texts = [item.prompt + item.joint + item.answer for item in items]
        return [
            ids[slice(*answer_span(offsets, item.answer_span, text))]
            for item, text, (ids, offsets) in zip(items, texts, self.encode(texts), strict=True)
        ]

    def framed(self, item: Rendered) -> Rendered:
        """As it is asked: in the chat template, if there is to be one."""
        return item.framed(*self._frame) if self._frame else item


def _chat_frame(tokenizer: PreTrainedTokenizerFast) -> tuple[str, str, str]:
    """What stands before a user's words, after them, and (spaces) before the assistant's."""
    if tokenizer.chat_template is None:
        raise ValueError(f"the tokenizer of {tokenizer.name_or_path!r} has no chat template")
    mark = "THE-QUESTION"
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True
    )
    before, found, after = str(text).partition(mark)
    if not found:
        raise ValueError(f"the chat template of {tokenizer.name_or_path!r} drops what a user says")
    closing = after.rstrip(" ")
    return before, closing, after[len(closing) :]


def encode_documents(encoder: Encoder, rendered: Sequence[Rendered]) -> Iterator[Encoded]:
    """Encodes a batch. Raises ValueError where prompt and answer share a token."""
    asked = [encoder.framed(item) for item in rendered]
    encodings = encoder.encode([item.document for item in asked])
    for item, (ids, offsets) in zip(asked, encodings, strict=True):
        yield with_spans(item, ids, offsets)


def with_spans(item: Rendered, ids: list[int], offsets: list[Span]) -> Encoded:
    """``item`` as it is asked (``Encoder.framed``) and its document encoded (``Encoder.encode``).

    Raises ValueError where prompt and answer share a token.
    """
    answer = answer_span(offsets, item.answer_span, item.document)
    ends = (len(item.prompt), item.answer_span[1])
    if offsets[answer[0] - 1][1] > ends[0] or offsets[answer[1] - 1][1] != ends[1]:
        raise ValueError(
            f"the tokenizer joins the answer {item.answer!r} with its surroundings in "
            f"{item.prompt!r}: choose a tokenizer that splits at spaces and punctuation"
        )
    subject = token_span(offsets, item.subject)
    phrase = token_span(offsets, item.phrase)
    stop = min(phrase[1], answer[0] - 1)
    return Encoded(ids, answer, subject, spans_around(subject, phrase[0], stop))


def spans_around(subject: Span, start: int, stop: int) -> tuple[Span, ...]:
    """The parts of the tokens [start, stop) outside the subject.

    From the first token after the tokenizer's prefix to the last but one, they are the relation
    tokens of methods 4.4, for a prompt of any format.
    """
    spans = ((start, min(subject[0], stop)), (max(subject[1], start), stop))
    return tuple(span for span in spans if span[0] < span[1])


def answer_span(offsets: Sequence[Span], characters: Span, text: str) -> Span:
    """Tokens of an answer in ``text``. A space before it is the answer's, also where it is a token
    of its own: else the prompt's tokens would tell how the answer goes on.

    Raises ValueError naming the answer if no token starts there.
    """
    begin = characters[0] - text[: characters[0]].endswith(" ")
    starts = (i for i, (start, end) in enumerate(offsets) if start >= begin and end)
    first = next(starts, None)
    if first is None:
        raise ValueError(
            f"the tokenizer joins the answer {text[slice(*characters)]!r} with what stands before "
            "it: choose one that splits at spaces"
        )
    return first, token_span(offsets, characters)[1]


def token_span(offsets: Sequence[Span], characters: Span) -> Span:
    """Tokens that overlap the characters; leading spaces belong to the token that follows them."""
    inside = [i for i, (a, b) in enumerate(offsets) if a < characters[1] and b > characters[0]]
    return inside[0], inside[-1] + 1


def stands_alone(offsets: Sequence[Span], characters: Span, text: str) -> bool:
    """Whether the tokens of these characters hold nothing else, spaces aside."""
    first, stop = token_span(offsets, characters)
    start, end = offsets[first][0], offsets[stop - 1][1]
    return not (text[start : characters[0]] + text[characters[1] : end]).strip()


def check_single_tokens(encoder: Encoder, words: Sequence[str]) -> None:
    """Each answer must be one token of its own after a space (methods 2.3).

    Raises ValueError naming the words that are split or share a first token.
    """
    ids = encoder.answer_ids(words)
    split = [word for word, pieces in zip(words, ids, strict=True) if len(pieces) != 1]
    if split:
        raise ValueError(
            f"{len(split)} answers are not single tokens ({', '.join(split[:5])} ...): "
            "raise corpus.tokenizer.vocab_size"
        )
    check_first_tokens(encoder, words)


def check_first_tokens(encoder: Encoder, words: Sequence[str]) -> None:
    """Raises ValueError naming the words that share their first token."""
    twins = words_sharing_a_start(words, encoder.answer_ids(words))
    if twins:
        raise ValueError(f"answers share a first token: {', '.join(twins[:10])}")


def words_sharing_a_start(words: Sequence[str], ids: Sequence[list[int]]) -> list[str]:
    """Words whose first token is another word's too: by that token alone they look alike."""
    count = Counter(pieces[0] for pieces in ids)
    return [word for word, pieces in zip(words, ids, strict=True) if count[pieces[0]] > 1]
