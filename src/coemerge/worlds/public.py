"""A world from a public data set: lenient about what real files hold, honest about what was done.

Duplicates and facts whose object is their subject are dropped, subjects with several objects kept
and their relation flagged as not functional, formats left out where a relation is too small for
them. All of it is counted in ``World.notes``.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import numpy as np

from coemerge.inputs import files_below
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.edit_cases import EditCase
from coemerge.worlds.facts import Fact, ListedFacts, Relation, Wordings, World, fact_id
from coemerge.worlds.readers import READERS, pararel
from coemerge.worlds.readers.records import Reading, RelationInfo, Triple

MIN_ANSWERS = 8  # objects that lettered formats need (prompts.options)
_OPTION_CLASSES = 4  # likewise
_WITHOUT_LETTERS = ("completion", "fitb", "openqa", "verification")
Groups = dict[str, list[Triple]]
Formats = tuple[str, ...] | None


@dataclass
class PublicWorldConfig:
    """``format`` is a key of ``readers.READERS``; ``path`` a file or folder of that data set.

    Filters: ``relations`` (null: all), ``facts_per_relation`` (a sample of that size by ``seed``),
    ``single_token`` (only answers that are one token; with a tokenizer of our own, single words).
    ``templates``: data (the set's own phrasings and generic ones) or files
    (``prompts.templates_dir/<relation>.yaml``, written by you).
    """

    format: str = ""
    path: str = ""
    seed: int = 0
    relations: list[str] | None = None
    facts_per_relation: int | None = None
    single_token: bool = False
    templates: str = "data"

    def check(self) -> None:
        """Reads everything. Raises ValueError naming file and line, key or value."""
        self.build()

    def build(self, single_token: Callable[[str], bool] | None = None) -> World:
        """Raises ValueError where nothing is left, or a filter does not fit."""
        self._check_keys()
        reading = _read(self.format, self.path, self._stamp())
        notes = Counter(reading.notes)
        groups = self._selected(_grouped(reading.triples))
        groups = {name: _distinct(triples, notes) for name, triples in groups.items()}
        if self.single_token:
            is_single = single_token or _is_one_word
            groups = {n: _with_single_tokens(t, is_single, notes) for n, t in groups.items()}
        if self.facts_per_relation is not None:
            groups = {n: self._sample(n, triples) for n, triples in groups.items()}
        world = _world(self.format, reading, groups, self.templates == "data", notes)
        if not world.facts:
            counts = "; ".join(f"{reason}: {n}" for reason, n in notes.items() if n)
            raise ValueError(
                f"world.path: {self.path}: no facts are left ({counts or 'none read'})"
            )
        return world

    @property
    def holds_pairs(self) -> bool:
        """Whether the data set is one of minimal pairs. Raises ValueError where it cannot be read.

        ``build`` then makes facts out of those that a beginning tells: what it goes on with.
        """
        self._check_keys()
        return bool(_read(self.format, self.path, self._stamp()).pairs)

    def pairs(self) -> tuple[list[MinimalPair], Counter[str]]:
        """A data set's minimal pairs, of ``relations`` (BLiMP: paradigms) where these are given,
        and what was passed over. Raises ValueError where there are none."""
        self._check_keys()
        reading = _read(self.format, self.path, self._stamp())
        paradigms = sorted({pair.phenomenon for pair in reading.pairs})
        unknown = sorted(set(self.relations or ()) - set(paradigms))
        if unknown or not paradigms:
            raise ValueError(
                f"world.relations: {self.path} has no minimal pairs of {unknown or 'any kind'}; "
                f"there are: {', '.join(paradigms) or 'none'}"
            )
        chosen = set(paradigms if self.relations is None else self.relations)
        return [pair for pair in reading.pairs if pair.phenomenon in chosen], reading.notes.copy()

    def inputs(self) -> list[Path]:
        """Files that are read besides ``path``."""
        path = Path(self.path)
        return pararel.companions(path) if self.format == "pararel" and path.is_file() else []

    def _stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Changes with any file that is read."""
        path = Path(self.path)
        files = [path, *self.inputs(), *(files_below(path) if path.is_dir() else ())]
        return tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(files))

    def _check_keys(self) -> None:
        if self.format not in READERS:
            raise ValueError(f"world.format: {self.format!r} is not one of {', '.join(READERS)}")
        if not self.path:
            raise ValueError(f"world.path: name the file or folder of the {self.format} data")
        if not Path(self.path).exists():
            raise ValueError(f"world.path: {self.path}: no such file or folder")
        if self.seed < 0:
            raise ValueError(f"world.seed: must not be negative, got {self.seed}")
        if self.facts_per_relation is not None and self.facts_per_relation < 2:
            raise ValueError(f"world.facts_per_relation: {self.facts_per_relation} is below 2")
        if self.templates not in ("data", "files"):
            raise ValueError(f"world.templates: {self.templates!r} is neither data nor files")

    def _selected(self, groups: Groups) -> Groups:
        if self.relations is None:
            return groups
        for name in self.relations:
            if name not in groups:
                close = get_close_matches(name, groups, n=1)
                meant = f" (did you mean {close[0]!r}?)" if close else ""
                raise ValueError(
                    f"world.relations: {self.path} has no {name!r}{meant}; there are: "
                    f"{', '.join(sorted(groups))}"
                )
        return {name: groups[name] for name in self.relations}

    def _sample(self, name: str, triples: list[Triple]) -> list[Triple]:
        if len(triples) <= (self.facts_per_relation or 0):
            return triples
        rng = np.random.default_rng([self.seed, *name.encode()])
        chosen = rng.choice(len(triples), size=self.facts_per_relation, replace=False)
        return [triples[k] for k in sorted(chosen)]


@lru_cache(maxsize=1)
def _read(name: str, path: str, stamp: tuple[tuple[str, int, int], ...]) -> Reading:
    """Checks and the build ask for the same files, which may be large; nobody changes a reading."""
    return READERS[name](Path(path))


def _grouped(triples: Iterable[Triple]) -> Groups:
    groups: Groups = defaultdict(list)
    for triple in triples:
        groups[triple.relation_id].append(triple)
    return dict(sorted(groups.items()))


def _distinct(triples: list[Triple], notes: Counter[str]) -> list[Triple]:
    kept: dict[tuple[str, str], Triple] = {}
    for triple in triples:
        pair = (triple.subject, triple.object)
        if pair in kept:
            notes["duplicates dropped"] += 1
        elif triple.subject == triple.object:
            notes["subject = object dropped"] += 1
        else:
            kept[pair] = triple
    return list(kept.values())


def _with_single_tokens(
    triples: list[Triple], is_single: Callable[[str], bool], notes: Counter[str]
) -> list[Triple]:
    kept = [t for t in triples if is_single(t.object)]
    notes["answers of several tokens dropped (world.single_token)"] += len(triples) - len(kept)
    return kept


def _is_one_word(word: str) -> bool:
    return word.isalnum()


def _world(
    name: str, reading: Reading, groups: Groups, own_wordings: bool, notes: Counter[str]
) -> World:
    facts: list[Fact] = []
    positions, candidates, relations = {}, {}, {}
    for relation_id, found in groups.items():
        kept, answers, formats = _askable(found, reading.formats.get(relation_id), notes)
        if len(answers) < 2:
            notes[f"relations with a single answer dropped ({relation_id})"] += len(kept)
            continue
        if formats == _WITHOUT_LETTERS:
            notes[f"relations with fewer than {MIN_ANSWERS} answers: no lettered formats"] += 1
        start = len(facts)
        facts += [
            Fact(fact_id(relation_id, t.subject, t.object), relation_id, t.subject, t.object)
            for t in kept
        ]
        positions[relation_id] = range(start, len(facts))
        candidates[relation_id] = answers
        relations[relation_id] = _relation(relation_id, reading, kept, formats, notes)
    wordings = {r: reading.wordings.get(r, Wordings()) for r in relations} if own_wordings else {}
    listed = ListedFacts(facts, positions, candidates)
    counted = {reason: n for reason, n in notes.items() if n}
    edits = _edits_of(facts, reading.cases)
    return World(name, relations, listed, positions, candidates, wordings, counted, False, edits)


def _edits_of(facts: Sequence[Fact], cases: Sequence[EditCase]) -> dict[str, list[EditCase]]:
    """By fact; those of facts that were left out are left out, too."""
    found: dict[str, list[EditCase]] = defaultdict(list)
    for case in cases:
        found[fact_id(case.relation_id, case.subject, case.target_true)].append(case)
    return {fact.fact_id: found[fact.fact_id] for fact in facts if fact.fact_id in found}


def _askable(
    found: list[Triple], given: Formats, notes: Counter[str]
) -> tuple[list[Triple], tuple[str, ...], Formats]:
    """(facts, their answer set, the formats that make sense; None means all).

    Leaves out subjects with so many right answers that too few wrong ones remain; the answer set
    may then shrink, so this goes on until nothing changes.
    """
    kept = found
    while True:
        answers = tuple(sorted({t.object for t in kept}))
        small = given is None and len(answers) < MIN_ANSWERS
        formats = _WITHOUT_LETTERS if small else given
        askable = _with_wrong_answers(kept, answers, formats)
        if len(askable) == len(kept):
            break
        kept = askable
    notes["facts dropped: their subject has nearly every object"] += len(found) - len(kept)
    return kept, answers, formats


def _with_wrong_answers(
    found: list[Triple], answers: tuple[str, ...], formats: Formats
) -> list[Triple]:
    """Lettered formats need wrong answers in each class of option sets (``prompts.options``), a
    claim needs one; subjects of one object always leave enough."""
    classes = {answer: rank % _OPTION_CLASSES for rank, answer in enumerate(answers)}
    true: dict[str, set[str]] = defaultdict(set)
    for triple in found:
        true[triple.subject].add(triple.object)

    def enough(subject: str) -> bool:
        wrong = [answer for answer in answers if answer not in true[subject]]
        if formats is None:
            n_classes = len({classes[answer] for answer in wrong})
            return len(wrong) >= MIN_ANSWERS - 1 and n_classes == _OPTION_CLASSES
        return bool(wrong) or "verification" not in formats

    answerable = {subject for subject, own in true.items() if len(own) == 1 or enough(subject)}
    return [t for t in found if t.subject in answerable]


def _relation(
    relation_id: str,
    reading: Reading,
    kept: list[Triple],
    formats: Formats,
    notes: Counter[str],
) -> Relation:
    several = sum(n > 1 for n in Counter(t.subject for t in kept).values())
    notes["subjects with several objects (kept; relation not functional)"] += several
    leaks = sum(f" {t.object} " in f" {t.subject} " for t in kept)
    notes["answers that stand in their subject (kept)"] += leaks
    info = reading.relations.get(relation_id, RelationInfo(relation_id.replace("_", " ")))
    return Relation(
        relation_id,
        info.domain,
        info.range,
        functional=several == 0,
        bijective=several == 0 and len({t.object for t in kept}) == len(kept),
        symmetric=info.symmetric,
        label=info.name,
        formats=formats,
    )
