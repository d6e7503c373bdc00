"""Minimal pairs (of a grammar, or of BLiMP) as token ids: a prompt and two words, or whole.

After what they share, the pairs are questions like those about facts: a prompt and the one token
that has to follow (methods 6.2). Where the deciding word comes later, whole sentences are compared.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coemerge.prompts.encoding import Encoder, token_span
from coemerge.prompts.render import Span
from coemerge.worlds.agreement import MinimalPair

SEVERAL_TOKENS = "pairs that differ in several tokens (skipped)"
CUE_FOLLOWS = "pairs that only whole sentences can tell (skipped)"
ONE_SENTENCE = "pairs whose words the tokenizer does not tell apart (skipped)"
NO_PROMPT = "pairs that differ in their first token (skipped)"


@dataclass(frozen=True, slots=True)
class PairPrompt:
    """``ids`` is what both sentences of ``pair`` begin with, the tokenizer's prefix included;
    ``good_id`` and ``bad_id`` go on, and are all that the sentences differ in. ``cue``: token span
    of the deciding word in ``ids``, or None where a data set does not tell it."""

    pair: MinimalPair
    ids: tuple[int, ...]
    good_id: int
    bad_id: int
    cue: Span | None

    @property
    def answer_pos(self) -> int:
        """Index whose logits predict the deciding token."""
        return len(self.ids) - 1


@dataclass(frozen=True, slots=True)
class PairSentences:
    """``good_ids`` and ``bad_ids`` start with ``n_given`` tokens that are no part of the sentence:
    the tokenizer's prefix, or the closing token where it has none."""

    pair: MinimalPair
    good_ids: tuple[int, ...]
    bad_ids: tuple[int, ...]
    n_given: int


def pair_prompts(
    encoder: Encoder, pairs: Iterable[MinimalPair]
) -> tuple[list[PairPrompt], Counter[str]]:
    """Prompts of the pairs whose sentences differ in exactly one token, and how many were skipped,
    by reason.

    Raises ValueError naming a phenomenon of which no pair is decided before its target.
    """
    pairs = list(pairs)
    told = {pair.phenomenon for pair in pairs if not pair.cue_follows}
    if untold := sorted({pair.phenomenon for pair in pairs} - told):
        raise ValueError(
            f"{', '.join(untold)}: the word that decides comes after the one it decides over, so "
            "that a prompt up to there cannot tell which is right; compare whole sentences, or "
            "leave the paradigm out (of a determiner and its noun take determiner_noun_agreement_1)"
        )
    notes: Counter[str] = Counter(CUE_FOLLOWS for pair in pairs if pair.cue_follows)
    before = [pair for pair in pairs if not pair.cue_follows]
    prompts = []
    for pair, good, bad in _encoded(encoder, before):
        differ = [k for k, two in enumerate(zip(good[0], bad[0], strict=False)) if two[0] != two[1]]
        if good[0] == bad[0]:
            notes[ONE_SENTENCE] += 1
        elif len(good[0]) != len(bad[0]) or len(differ) != 1:
            notes[SEVERAL_TOKENS] += 1
        elif differ[0] == 0:
            notes[NO_PROMPT] += 1
        else:
            stop = differ[0]
            cue = _cue_span(pair, good[1][:stop])
            prompts.append(
                PairPrompt(pair, tuple(good[0][:stop]), good[0][stop], bad[0][stop], cue)
            )
    return prompts, notes


def pair_sentences(encoder: Encoder, pairs: Iterable[MinimalPair]) -> list[PairSentences]:
    """Both sentences of every pair, for a score of the whole."""
    start = [] if encoder.prefix else [encoder.eos]
    n_given = len(encoder.prefix or start)
    return [
        PairSentences(pair, (*start, *good), (*start, *bad), n_given)
        for pair, (good, _), (bad, _) in _encoded(encoder, list(pairs))
    ]


Encoding = tuple[list[int], list[Span]]


def _encoded(
    encoder: Encoder, pairs: Sequence[MinimalPair]
) -> Iterable[tuple[MinimalPair, Encoding, Encoding]]:
    good = encoder.encode([pair.sentence(pair.good) for pair in pairs])
    bad = encoder.encode([pair.sentence(pair.bad) for pair in pairs])
    return zip(pairs, good, bad, strict=True)


def _cue_span(pair: MinimalPair, offsets: Sequence[Span]) -> Span | None:
    """Of the last place where the deciding word stands among these tokens."""
    if not pair.cue:
        return None
    text, stop = pair.sentence(pair.good), offsets[-1][1]
    found = re.finditer(rf"(?<!\w){re.escape(pair.cue)}(?!\w)", text)
    inside = [at.span() for at in found if at.end() <= stop]
    return token_span(offsets, inside[-1]) if inside else None
