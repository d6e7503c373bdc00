"""PopQA: questions about entities, with how often their pages are viewed.

Mallen et al. (2023), "When Not to Trust Language Models: Investigating Effectiveness of Parametric
and Non-Parametric Memories". One table; lists of answers and aliases are JSON inside a field.
"""

from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import Record, add_triple, list_files, parsed_json, tsv_records
from coemerge.worlds.readers.records import Reading, RelationInfo
from coemerge.worlds.readers.wordings import SUBJECT, is_question, most_frequent, slug

LAYOUT = "a table parted by tabs, with a header line that names subj, prop, obj and question"
_REQUIRED = ("subj", "prop", "obj", "question")
_ALIASES = ("s_aliases", "o_aliases")
_MOST = 10  # questions per relation


def read(path: Path) -> Reading:
    """Raises FileNotFoundError, or ValueError naming file and line."""
    reading = Reading()
    questions: dict[str, Counter[str]] = defaultdict(Counter)
    for file in list_files(path, ".tsv", LAYOUT):
        for record in tsv_records(file, _REQUIRED, LAYOUT):
            subject, prop, obj = (record.text(name) for name in ("subj", "prop", "obj"))
            relation_id = slug(prop, record.where)
            for column in _ALIASES:
                _listed(record, column)
            answers = _listed(record, "possible_answers")
            if answers and obj not in answers:
                reading.notes["answers missing among their possible answers"] += 1
            reading.relations.setdefault(relation_id, RelationInfo(prop))
            add_triple(reading, relation_id, subject, obj, record.where)
            question = record.text("question").replace(subject or SUBJECT, SUBJECT)
            if subject and is_question(question, reading.notes):
                questions[relation_id][question] += 1
    for relation_id in reading.relations:
        found = questions[relation_id]
        if len(found) > _MOST:
            reading.notes[f"question wordings beyond the {_MOST} most frequent"] += (
                len(found) - _MOST
            )
        reading.wordings[relation_id] = Wordings(questions=most_frequent(found, _MOST))
    return reading


def _listed(record: Record, column: str) -> tuple[str, ...]:
    """The texts of a JSON list inside a field; none where the field is blank or absent."""
    field = record.text(column, "")
    if not field:
        return ()
    value = parsed_json(field, f"{record.where}: {column}", "a list of texts")
    return Record(record.where, {column: value}).texts(column)
