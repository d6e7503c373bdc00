"""Known facts: single facts with the prompt that a large model completed rightly.

Meng et al. (2022), "Locating and Editing Factual Associations in GPT", used for causal tracing. One
JSON list.
"""

from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import add_triple, json_records, list_files
from coemerge.worlds.readers.records import Reading, RelationInfo
from coemerge.worlds.readers.wordings import is_statement, most_frequent, safe_id, statement_from

LAYOUT = 'a JSON list of {"subject", "attribute", "template", "relation_id", ...}'


def read(path: Path) -> Reading:
    """Raises FileNotFoundError, or ValueError naming file and line or record."""
    reading = Reading()
    statements: dict[str, Counter[str]] = defaultdict(Counter)
    for file in list_files(path, ".json", LAYOUT):
        for record in json_records(file, LAYOUT):
            name = safe_id(record.text("relation_id"), record.where)
            subject, attribute = record.text("subject"), record.text("attribute")
            add_triple(reading, name, subject, attribute, record.where)
            reading.relations.setdefault(name, RelationInfo(name))
            statement = statement_from(record.text("template"))
            if is_statement(statement, reading.notes):
                statements[name][statement] += 1
    for name in reading.relations:
        reading.wordings[name] = Wordings(most_frequent(statements[name]))
    return reading
