"""A small agreement grammar as data: word classes, sentence frames, and what is held out.

A marked word has two forms, of number or of gender; all marked words of a sentence show the same
one. A phenomenon names the class that decides (its cue) and the class that has to follow (its
target). Rows of some classes are kept apart, never shown in one sentence, so that knowing which
form goes with which can be told from having seen two words together (methods 2.12, 6.4).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from coemerge.worlds.grammar_file import GrammarFile, read_grammar_file

CLASSES_OF = {"number": ("singular", "plural"), "gender": ("masculine", "feminine")}
_SLOT = re.compile(r"\[(\w+)\]")
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class WordClass:
    """``feature`` is number, gender, or empty where a word has one form; ``rows`` [n][1 or 2]."""

    feature: str
    rows: tuple[tuple[str, ...], ...]
    weights: np.ndarray

    def form(self, row: int, value: int) -> str:
        return self.rows[row][value if self.feature else 0]


@dataclass(frozen=True)
class Frame:
    """Literal text and slots in turn: ``literals`` has one entry more than ``slots``."""

    text: str

    @cached_property
    def literals(self) -> tuple[str, ...]:
        return tuple(_SLOT.split(self.text)[::2])

    @cached_property
    def slots(self) -> tuple[str, ...]:
        return tuple(_SLOT.findall(self.text))

    def fill(self, words: Sequence[str]) -> str:
        pairs = zip(self.literals, [*words, ""], strict=True)
        return "".join(literal + word for literal, word in pairs)


@dataclass(frozen=True, slots=True)
class Phenomenon:
    """``held_out`` frames are for scoring alone."""

    name: str
    feature: str
    cue: str
    target: str
    frames: tuple[Frame, ...]
    held_out: tuple[Frame, ...]


@dataclass(frozen=True)
class Grammar:
    """``others`` are frames of training that no pair is made of; ``n_pairs`` to score, for each
    phenomenon and split."""

    opening: str
    classes: Mapping[str, WordClass]
    phenomena: Mapping[str, Phenomenon]
    others: tuple[Frame, ...]
    every: int
    apart: frozenset[frozenset[str]]
    n_pairs: int

    @cached_property
    def words(self) -> dict[str, tuple[str, str]]:
        """Every form -> (its class, singular, plural, masculine, feminine or empty)."""
        return {
            form: (name, CLASSES_OF[kind.feature][value] if kind.feature else "")
            for name, kind in self.classes.items()
            for row in kind.rows
            for value, form in enumerate(row)
        }

    def feature(self, frame: Frame) -> str:
        """Of the marked words of a frame; they all have one."""
        return next(self.classes[s].feature for s in frame.slots if self.classes[s].feature)

    def together(self, name: str, rows: Mapping[str, int]) -> np.ndarray:
        """bool [n]: rows of a class that may stand in a sentence beside these ``rows``."""
        places = np.arange(len(self.classes[name].rows))
        allowed = np.ones(len(places), dtype=bool)
        for other, row in rows.items():
            if frozenset((name, other)) in self.apart:
                allowed &= (places + row) % self.every != 0
        return allowed

    def kept_apart(self, first: str, second: str) -> list[tuple[int, int]]:
        """Rows of two classes that are never shown in one sentence."""
        if frozenset((first, second)) not in self.apart:
            return []
        sizes = (len(self.classes[first].rows), len(self.classes[second].rows))
        return [
            (i, j) for i in range(sizes[0]) for j in range(sizes[1]) if not (i + j) % self.every
        ]


def load_grammar(path: Path) -> Grammar:
    """Raises ValueError naming the file and everything that is wrong with it."""
    file = read_grammar_file(path)
    classes = {
        name: WordClass(feature, rows, np.array(file.weights.get(name, [1.0] * len(rows)), float))
        for feature, group in (*file.marked.items(), ("", file.plain))
        for name, rows in group.items()
    }
    phenomena = {
        name: Phenomenon(
            name,
            classes[entry.target].feature if entry.target in classes else "",
            entry.cue,
            entry.target,
            tuple(map(Frame, entry.frames)),
            tuple(map(Frame, entry.held_out)),
        )
        for name, entry in file.phenomena.items()
    }
    grammar = Grammar(
        file.opening,
        classes,
        phenomena,
        tuple(map(Frame, file.others)),
        file.every,
        frozenset(map(frozenset, file.apart)),
        file.n_pairs,
    )
    if problems := _problems(grammar, file):
        raise ValueError(f"{path}: " + "; ".join(problems[:20]))
    return grammar


def _problems(grammar: Grammar, file: GrammarFile) -> list[str]:
    problems = _word_problems(grammar, file)
    for pair in file.apart:
        if unknown := sorted(set(pair) - set(grammar.classes)):
            problems.append(f"apart.classes: {pair} names unknown classes {unknown}")
    frames = [("others", frame) for frame in grammar.others]
    for name, phenomenon in grammar.phenomena.items():
        own = (*phenomenon.frames, *phenomenon.held_out)
        frames += [(f"phenomena.{name}", frame) for frame in own]
    unsound = [p for where, frame in frames if (p := _frame_problem(grammar, where, frame))]
    if problems or unsound:  # what follows takes sound frames for granted
        return problems + unsound
    others = [p for frame in grammar.others for p in _crowded(grammar, "others", frame)]
    return others + [p for one in grammar.phenomena.values() for p in _unfit(grammar, one)]


def _word_problems(grammar: Grammar, file: GrammarFile) -> list[str]:
    problems, seen = [], set()
    for name, kind in grammar.classes.items():
        forms = [form for row in kind.rows for form in row]
        twice = [form for k, form in enumerate(forms) if form in seen or form in forms[:k]]
        seen.update(forms)
        if twice:
            problems.append(f"{name}: {twice} occur twice; a word tells its class and its form")
        problems += [f"{name}: {f!r} is not one word" for f in forms if not WORD.fullmatch(f)]
        if len(kind.weights) != len(kind.rows) or not (kind.weights > 0).all():
            problems.append(f"weights.{name}: needs {len(kind.rows)} positive weights, one a row")
    problems += [f"weights.{n}: no such class" for n in file.weights if n not in grammar.classes]
    return problems


def _frame_problem(grammar: Grammar, where: str, frame: Frame) -> str | None:
    unknown = [slot for slot in frame.slots if slot not in grammar.classes]
    if unknown:
        return f"{where}: {frame.text!r} has unknown slots {unknown}"
    features = {grammar.classes[slot].feature for slot in frame.slots} - {""}
    if len(features) != 1:
        return f"{where}: {frame.text!r} needs words of number or of gender, and not of both"
    said = [w for literal in frame.literals for w in WORD.findall(literal) if w in grammar.words]
    if said:
        return f"{where}: {frame.text!r} says {said}, words of a class; write slots for them"
    return None


def _unfit(grammar: Grammar, phenomenon: Phenomenon) -> list[str]:
    """Frames whose target is not decided by the cue alone, and held-out prompts that are shown."""
    where, problems = f"phenomena.{phenomenon.name}", []
    for frame in (*phenomenon.frames, *phenomenon.held_out):
        slots = frame.slots
        if slots.count(phenomenon.target) != 1 or phenomenon.cue not in slots:
            problems.append(f"{where}: {frame.text!r} needs its cue, and its target once")
            continue
        before = slots[: slots.index(phenomenon.target)]
        deciding = {slot for slot in before if grammar.classes[slot].feature}
        if deciding - {phenomenon.cue}:
            problems.append(f"{where}: {frame.text!r}: {sorted(deciding)} tell the target's form")
        problems += _crowded(grammar, where, frame, phenomenon)
    if not problems:
        shown = {_prompt(frame, phenomenon) for frame in phenomenon.frames}
        told = [f.text for f in phenomenon.held_out if _prompt(f, phenomenon) in shown]
        if told:
            problems.append(f"{where}: held_out {told} begin as frames that training shows do")
    return problems


def _crowded(
    grammar: Grammar, where: str, frame: Frame, phenomenon: Phenomenon | None = None
) -> list[str]:
    """Classes of which no row may be left when they are drawn: each row of another class that was
    drawn before forbids one row in every ``every``."""
    first = [phenomenon.target, phenomenon.cue] if phenomenon else []
    order = list(dict.fromkeys([*first, *frame.slots]))
    problems = []
    for place, name in enumerate(order):
        apart = [other for other in order[:place] if frozenset((name, other)) in grammar.apart]
        if len(apart) >= min(grammar.every, len(grammar.classes[name].rows)):
            problems.append(
                f"{where}: {frame.text!r}: no row of {name} may be left beside {apart}; give it "
                "more rows, or apart.every a larger number"
            )
    return problems


def _prompt(frame: Frame, phenomenon: Phenomenon) -> str:
    return frame.text.partition(f"[{phenomenon.target}]")[0]
