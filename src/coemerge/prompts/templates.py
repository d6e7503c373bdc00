"""Paraphrases as data: a YAML file per relation, ten phrasings per task, the last held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened

from coemerge.inputs import check_inside, is_line, read_yaml
from coemerge.prompts.tasks import CORE_TASKS, TASKS, Task

SUBJECT, OBJECT = "[X]", "[Y]"
PAIR = "pair"  # phrasings that serve all relations alike, see ``naming``
_WITH_OBJECT = frozenset({"statement", "cloze", "claim", PAIR})
_MOST = 10  # problems told at once
# Keys of a relation's file, one per format; only those of the core formats have to be there.
PHRASINGS = tuple(dict.fromkeys(t.phrasing for t in TASKS.values() if t.phrasing != PAIR))
_NEEDED = frozenset(TASKS[name].phrasing for name in CORE_TASKS)


@dataclass(frozen=True)
class Naming:
    """What relations are called when they are asked for (methods 4.7): ``names[relation_id]`` is
    one word, ``none`` the answer for a subject and an object that no relation joins."""

    names: Mapping[str, str]
    none: str

    @property
    def answers(self) -> tuple[str, ...]:
        return (*self.names.values(), self.none)


@dataclass(frozen=True)
class TemplateBook:
    """``phrasings[relation_id][key]`` lists the paraphrases; the last ``n_held_out`` are held out.

    A template id is the position in that list; it is shared by all facts of the relation.
    ``naming`` is there where relations can be asked for.
    """

    phrasings: Mapping[str, Mapping[str, Sequence[str]]]
    n_held_out: int
    naming: Naming | None = None

    def phrasing(self, relation_id: str, task: Task, template_id: int) -> str:
        return self.phrasings[relation_id][task.phrasing][template_id]

    def has(self, relation_id: str, task: Task) -> bool:
        return task.phrasing in self.phrasings[relation_id]

    def seen(self, relation_id: str, task: Task) -> range:
        return range(len(self.phrasings[relation_id][task.phrasing]) - self.n_held_out)

    def held_out(self, relation_id: str, task: Task) -> range:
        n = len(self.phrasings[relation_id][task.phrasing])
        return range(n - self.n_held_out, n)


def load_templates(
    directory: Path, relation_ids: Sequence[str], n_held_out: int, own: Path | None = None
) -> TemplateBook:
    """Reads ``<directory>/<relation_id>.yaml``; ``own`` may hold more relations, and further or
    other lists of these. Raises ValueError listing faulty entries."""
    phrasings, problems = {}, []
    for relation_id in relation_ids:
        places = [folder / f"{relation_id}.yaml" for folder in (directory, own) if folder]
        paths = [path for path in places if path.is_file()]
        if not paths:
            problems.append(
                f"{places[-1]}: missing; relation {relation_id!r} needs a template file"
            )
        lists: dict[str, Sequence[str]] = {}
        for path in paths:
            try:
                check_inside(path, path.parent)
                content = read_yaml(path)
                found = _problems(path, content, n_held_out, lists)
            except ValueError as error:
                found = [str(error)]
            problems += found
            if not found:
                lists |= {k: tuple(content[k]) for k in PHRASINGS if content.get(k)}
        phrasings[relation_id] = lists
    if problems:
        more = f"; and {len(problems) - _MOST} more" * (len(problems) > _MOST)
        raise ValueError("; ".join(problems[:_MOST]) + more)
    return TemplateBook(phrasings, n_held_out)


def _problems(
    path: Path, content: object, n_held_out: int, before: Mapping[str, Sequence[str]]
) -> list[str]:
    """``before``: what another file has of the relation already."""
    if not isinstance(content, dict):
        return [f"{path}: expected a mapping of task phrasings"]
    known = {*PHRASINGS, "relation"}
    problems = [f"{path}: unknown key {key!r}" for key in content if key not in known]
    for key in PHRASINGS:
        if content.get(key) is not None or key in _NEEDED - before.keys():
            problems += list_problems(path, key, content.get(key), n_held_out)
    return problems


def list_problems(path: Path, key: str, entries: object, n_held_out: int) -> list[str]:
    """What is wrong with the phrasings under one key of a file."""
    if not isinstance(entries, list) or len(entries) <= n_held_out:
        return [f"{path}: {key!r} needs a list of more than {n_held_out} phrasings"]
    problems = []
    for number, entry in enumerate(entries, start=1):
        problem = slot_problem(key, entry) or (
            None if is_line(entry) else "is not one line of text"
        )
        if problem is None and entries.index(entry) + 1 < number:
            problem = f"repeats entry {entries.index(entry) + 1}"
        if problem:
            shown = repr(entry) if isinstance(entry, str) else shortened(entry)
            problems.append(f"{path}: {key} entry {number} {shown}: {problem}")
    return problems


def slot_problem(key: str, entry: object) -> str | None:
    """What is wrong with the slots of one phrasing, or None."""
    if not isinstance(entry, str):
        return "expected text"
    wanted = {SUBJECT: 1, OBJECT: int(key in _WITH_OBJECT)}
    for slot, count in wanted.items():
        if entry.count(slot) != count:
            return f"needs {slot} {count} time(s)"
    if key == "statement":
        if not entry.rstrip(".").endswith(f" {OBJECT}"):
            return f"must end with {OBJECT}"
        if entry.index(SUBJECT) > entry.index(OBJECT):
            return f"{SUBJECT} must come before {OBJECT}"
    return None


def word_distance(first: str, second: str) -> int:
    """Levenshtein distance over lower-cased words, punctuation apart."""
    a, b = ([w.strip(".,?!:;'\"").lower() for w in text.split()] for text in (first, second))
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]
