"""What a reader hands over: triples with their origin, the data set's own wordings, and counts.

A reader says what a file holds, line by line; what is kept of it is decided in ``worlds.public``.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.edit_cases import EditCase
from coemerge.worlds.facts import Wordings


@dataclass(frozen=True, slots=True)
class Triple:
    """One statement of a file. ``where`` is ``file:line`` (or ``file: record n``)."""

    relation_id: str
    subject: str
    object: str
    where: str


@dataclass(frozen=True, slots=True)
class RelationInfo:
    """What a data set says of a relation; ``name`` is for people."""

    name: str
    domain: str = "subject"
    range: str = "object"
    symmetric: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """One fictional passage with its rewordings and its probes, (input, target) each."""

    text: str
    paraphrases: tuple[str, ...]
    memorization: tuple[tuple[str, str], ...]
    generalization: tuple[tuple[str, str], ...]
    hard_generalization: tuple[tuple[str, str], ...]


@dataclass
class Reading:
    """All of one data set. ``notes`` counts what a reader passed over or mended, by reason;
    ``formats`` restricts a relation to the task formats that make sense for it."""

    triples: list[Triple] = field(default_factory=list)
    relations: dict[str, RelationInfo] = field(default_factory=dict)
    wordings: dict[str, Wordings] = field(default_factory=dict)
    formats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: list[MinimalPair] = field(default_factory=list)
    cases: list[EditCase] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
