"""PopQA (Mallen et al. 2023): questions about entities of known popularity, a TSV file."""

import json
from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import (
    SUBJECT,
    Record,
    files_under,
    slots,
    slug,
    text_field,
    tsv_rows,
)
from coemerge.worlds.readers.records import Reading, RelationInfo, Triple

_COLUMNS = ("subj", "prop", "obj", "question")
_LISTS = ("possible_answers", "s_aliases", "o_aliases")
_MOST_QUESTIONS = 10


def read(path: Path) -> Reading:
    """A row is a fact; a relation's questions are its rows' with the subject taken out."""
    reading = Reading()
    questions: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files_under(path, (".tsv",), "a TSV file with a header"):
        for row, where in tsv_rows(file, _COLUMNS):
            subject, name, obj, question = (text_field(row, c, where) for c in _COLUMNS)
            answers = _answers(row, where)
            if not (subject and name and obj):
                reading.notes["rows without a subject, property or object"] += 1
                continue
            if answers and obj not in answers:
                reading.notes["objects that are not among the possible answers (kept)"] += 1
            relation_id = slug(name)
            reading.relations.setdefault(relation_id, RelationInfo(name))
            reading.triples.append(Triple(relation_id, subject, obj, where))
            wording = slots(question.replace(subject, SUBJECT), with_object=False)
            if wording is None:
                reading.notes["questions that do not name their subject once"] += 1
            else:
                questions[relation_id][wording] += 1
    for relation_id, counted in questions.items():
        asked = tuple(wording for wording, _ in counted.most_common(_MOST_QUESTIONS))
        reading.wordings[relation_id] = Wordings(questions=asked)
    return reading


def _answers(row: Record, where: str) -> list[str]:
    """The possible answers; all columns with lists are checked, for they are JSON in a cell."""
    parsed: dict[str, list[str]] = {}
    for column in _LISTS:
        text = row.get(column) or "[]"
        try:
            parsed[column] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: {column} is not a JSON list: {text[:60]!r}") from error
    return parsed["possible_answers"]
