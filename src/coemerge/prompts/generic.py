"""Phrasings for relations of public data sets: their own wordings, and generic ones around them.

A data set says how a fact is stated, at times how it is asked, never how it is asked six ways. Its
statements serve completion, blanks and claims as they are; the other formats quote a statement's
beginning ('Which of these completes "The capital of France is"?'). Lists are filled up to ten by
putting every wording behind every opening, the plain one first, so that the held-out phrasings
differ from the seen ones in their opening at least.
"""

from collections.abc import Sequence

from coemerge.prompts.templates import OBJECT, SUBJECT, slot_problem
from coemerge.worlds.facts import Relation, Wordings

_SIZE = 10
_OPENINGS = (
    "{}",
    "It is known that {}",
    "Records say that {}",
    "In fact, {}",
    "As is well known, {}",
    "It is true that {}",
    "According to the books, {}",
    "Sources agree that {}",
    "People say that {}",
    "It is said that {}",
)
_QUESTIONS = (
    'What completes "{}"?',
    'How does "{}" go on?',
    'What comes after "{}"?',
    'How does the statement "{}" end?',
    'What has to follow "{}"?',
    'Which words complete the statement "{}"?',
    'With what does "{}" end?',
    'What is missing at the end of "{}"?',
    'What belongs after "{}"?',
    'How is "{}" completed?',
)
_ASKED = (
    "{}",
    "Please answer: {}",
    "Here is a question: {}",
    "Someone asks: {}",
    "Tell me: {}",
    "Asked again: {}",
    "To answer: {}",
    "One more: {}",
    "A reader asks: {}",
    "It was asked: {}",
)
_CHOICES = (
    'Which of these completes "{}"?',
    'Which option completes "{}"?',
    'Which of the listed answers goes after "{}"?',
    'Which one of these comes after "{}"?',
    'With which option does "{}" end?',
    'Which listed answer completes the statement "{}"?',
    'Which of these belongs after "{}"?',
    'Which option has to follow "{}"?',
    'Which of the listed ones completes "{}"?',
    'Which one belongs at the end of "{}"?',
)
_NEGATED = (
    'Which of these does not complete "{}"?',
    'Which option does not complete "{}"?',
    'Which of the listed answers does not go after "{}"?',
    'Which one of these does not come after "{}"?',
    'With which option does "{}" not end?',
    'Which listed answer does not complete the statement "{}"?',
    'Which of these does not belong after "{}"?',
    'Which option cannot follow "{}"?',
    'Which of the listed ones does not complete "{}"?',
    'Which one does not belong at the end of "{}"?',
)


def phrasings_from(relation: Relation, wordings: Wordings) -> dict[str, tuple[str, ...]]:
    """Ten phrasings per key of a template file (``templates.PHRASINGS``, without multihop)."""
    label = relation.label or relation.relation_id.replace("_", " ")
    label = label.replace(SUBJECT, "subject").replace(OBJECT, "object")  # slots are ours alone
    generic = f"The {label.removesuffix(' of')} of {SUBJECT} is {OBJECT}."
    ending = left_to_right(wordings)
    others = [s for s in wordings.statements if slot_problem("statement", s) is not None]
    beginnings = [_beginning(s) for s in ending or [generic]]
    asked = _cross(_ASKED, wordings.questions) or _cross(_QUESTIONS, beginnings)
    return {
        "statement": _cross(_OPENINGS, ending or [generic]),
        "cloze": _cross(_OPENINGS, [*others, *ending] or [generic]),
        "question": asked,
        "choice": _cross(_CHOICES, beginnings),
        "negated": _cross(_NEGATED, beginnings),
        "claim": _cross(_OPENINGS, [*ending, *others] or [generic]),
    }


def left_to_right(wordings: Wordings) -> list[str]:
    """Statements that end with the object, of those that begin alike the first: the phrasings of
    ``statement`` begin with these, as far as there is room."""
    usable = [s for s in wordings.statements if slot_problem("statement", s) is None]
    by_beginning = {_beginning(s): s for s in reversed(usable)}
    return [s for s in usable if s in by_beginning.values()]


def _beginning(statement: str) -> str:
    return statement[: statement.index(OBJECT)].rstrip()


def _cross(openings: Sequence[str], wordings: Sequence[str]) -> tuple[str, ...]:
    """Ten different combinations, those with the first opening first."""
    made = dict.fromkeys(
        opening.format(wording if opening == "{}" else _inside(wording, opening))
        for opening in openings
        for wording in wordings
    )
    return tuple(made)[:_SIZE]


def _inside(wording: str, opening: str) -> str:
    """A statement within a sentence starts in lower case; quoted ones and questions stay."""
    if '"' in opening or opening.endswith(": {}") or wording.startswith("["):
        return wording
    return wording[:1].lower() + wording[1:]
