"""Sentences of a grammar for training, and minimal pairs of it for scoring."""

from collections.abc import Iterator, Mapping

import numpy as np

from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.grammar import CLASSES_OF, Frame, Grammar, Phenomenon

SEEN, HELD_OUT_WORDS, HELD_OUT_FRAMES = SPLITS = ("seen", "held_out_words", "held_out_frames")
_GAP = "\0"
_PATIENCE = 20  # draws per pair wanted, before there are said to be no more different ones


class Sentences:
    """Draws grammatical sentences: a frame, one of the two forms, then words, the target first.

    Forms are even, and words are drawn by their rows' weights alone, so that a word's form tells
    nothing of another's but what agreement does. Rows that are kept apart never meet.
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._frames = [
            (frame, phenomenon.target)
            for phenomenon in grammar.phenomena.values()
            for frame in phenomenon.frames
        ]
        self._frames += [(frame, "") for frame in grammar.others]

    def draw(self, rng: np.random.Generator) -> str:
        frame, target = self._frames[int(rng.integers(len(self._frames)))]
        value = int(rng.integers(2))
        rows: dict[str, int] = {}
        for name in dict.fromkeys([*([target] if target else []), *frame.slots]):
            rows[name] = draw_row(self._grammar, name, rows, rng)
        words = [self._grammar.classes[slot].form(rows[slot], value) for slot in frame.slots]
        return f"{self._grammar.opening} {frame.fill(words)}."


def draw_row(
    grammar: Grammar,
    name: str,
    rows: Mapping[str, int],
    rng: np.random.Generator,
    evenly: bool = False,
) -> int:
    """A row of a class that may stand beside ``rows``, by weight or evenly."""
    weights = grammar.together(name, rows) * (1.0 if evenly else grammar.classes[name].weights)
    bounds = np.cumsum(weights)
    return int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))


def grammar_pairs(grammar: Grammar, seed: int) -> Iterator[MinimalPair]:
    """Of every phenomenon and split (``SPLITS``) ``n_pairs`` different ones, or as many as there
    are; the two classes in turn, words evenly.

    ``held_out_words``: cue and target are kept apart in training, the frame is not;
    ``held_out_frames``: the other way round.
    """
    for name, phenomenon in grammar.phenomena.items():
        for split in SPLITS:
            rng = np.random.default_rng([seed, *f"{name}/{split}".encode()])
            known: set[MinimalPair] = set()
            for _ in range(_PATIENCE * grammar.n_pairs):
                pair = _pair(grammar, phenomenon, split, len(known) % 2, rng)
                if pair is None or len(known) == grammar.n_pairs:
                    break
                if pair not in known:
                    known.add(pair)
                    yield pair


def _pair(
    grammar: Grammar, phenomenon: Phenomenon, split: str, value: int, rng: np.random.Generator
) -> MinimalPair | None:
    """None where nothing is kept apart."""
    frames = phenomenon.held_out if split == HELD_OUT_FRAMES else phenomenon.frames
    frame = frames[int(rng.integers(len(frames)))]
    rows: dict[str, int] = {}
    if split == HELD_OUT_WORDS:
        apart = grammar.kept_apart(phenomenon.cue, phenomenon.target)
        if not apart:
            return None
        chosen = apart[int(rng.integers(len(apart)))]
        rows = dict(zip((phenomenon.cue, phenomenon.target), chosen, strict=True))
    for name in dict.fromkeys([phenomenon.target, *frame.slots]):
        if name not in rows:
            rows[name] = draw_row(grammar, name, rows, rng, evenly=True)
    return _as_pair(grammar, phenomenon, frame, rows, value, split)


def _as_pair(
    grammar: Grammar,
    phenomenon: Phenomenon,
    frame: Frame,
    rows: Mapping[str, int],
    value: int,
    split: str,
) -> MinimalPair:
    forms = {slot: grammar.classes[slot].form(rows[slot], value) for slot in frame.slots}
    target, row = grammar.classes[phenomenon.target], rows[phenomenon.target]
    words = [_GAP if slot == phenomenon.target else forms[slot] for slot in frame.slots]
    prefix, _, rest = frame.fill(words).partition(_GAP)
    return MinimalPair(
        phenomenon.name,
        CLASSES_OF[phenomenon.feature][value],
        f"{grammar.opening} {prefix}".rstrip(),
        forms[phenomenon.target],
        target.form(row, 1 - value),
        f"{rest}.".strip(),
        cue_follows=phenomenon.cue not in frame.slots[: frame.slots.index(phenomenon.target)],
        cue=forms[phenomenon.cue],
        split=split,
    )
