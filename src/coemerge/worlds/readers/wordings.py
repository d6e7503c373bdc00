"""How the sets' phrasings become ours: [X] for the subject, [Y] for the object, each just once."""

import re
from collections import Counter
from collections.abc import Iterable

SUBJECT, OBJECT = "[X]", "[Y]"
TWICE = "wordings given more than once (kept once)"


def with_subject_slot(template: str) -> str:
    """``{}`` is where most sets put the subject."""
    return template.strip().replace("{}", SUBJECT)


def statement_from(template: str) -> str:
    """A template that stops before the object becomes a whole statement."""
    return f"{with_subject_slot(template)} {OBJECT}."


def is_statement(wording: str, notes: Counter[str]) -> bool:
    """Whether it holds both slots once; else it is counted."""
    if wording.count(SUBJECT) == 1 and wording.count(OBJECT) == 1:
        return True
    notes[f"statements without exactly one {SUBJECT} and one {OBJECT}"] += 1
    return False


def is_question(wording: str, notes: Counter[str]) -> bool:
    """Whether it holds the subject's slot once and not the object's; else it is counted."""
    if wording.count(SUBJECT) == 1 and OBJECT not in wording:
        return True
    notes[f"questions without exactly one {SUBJECT}"] += 1
    return False


def distinct(wordings: Iterable[str], notes: Counter[str]) -> tuple[str, ...]:
    """In the order of their first occurrence; repeated ones are counted."""
    counts = Counter(wordings)
    notes[TWICE] += counts.total() - len(counts)
    return tuple(counts)


def most_frequent(counts: Counter[str], limit: int | None = None) -> tuple[str, ...]:
    """Most frequent first, equally frequent ones in the order of their first occurrence."""
    return tuple(wording for wording, _ in counts.most_common(limit))


def slug(name: str, where: str) -> str:
    """A relation's name as a key and file name: lower-case words joined by ``_``."""
    words = re.findall(r"[^\W_]+", name.lower())
    if not words:
        raise ValueError(f"{where}: {name!r} is no name of a relation; expected words or an id")
    return "_".join(words)


def safe_id(name: str, where: str) -> str:
    """An id such as P36 stays as it is, unless it could not be a file's name."""
    return name if re.fullmatch(r"[A-Za-z0-9_]+", name) else slug(name, where)
