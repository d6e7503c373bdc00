"""LRE: relations of four kinds (factual, commonsense, bias, linguistic), one JSON file each.

Hernandez et al. (2024), "Linearity of Relation Decoding in Transformer Language Models". Some files
hold characters that were escaped twice, so that a name reads ``Bras\\u00edlia`` even once parsed.
"""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import Record, add_triple, json_record, list_files
from coemerge.worlds.readers.records import Reading, RelationInfo
from coemerge.worlds.readers.wordings import (
    distinct,
    is_question,
    is_statement,
    slug,
    statement_from,
    with_subject_slot,
)

LAYOUT = (
    'one JSON object per relation: "name", "prompt_templates" with {}, '
    '"samples" [{"subject", "object"}]'
)
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def read(path: Path) -> Reading:
    """Raises FileNotFoundError, or ValueError naming file and line or record."""
    reading = Reading()
    templates: dict[str, list[str]] = defaultdict(list)
    for file in list_files(path, ".json", LAYOUT):
        record = json_record(file, LAYOUT)
        name = record.text("name", "") or file.stem
        relation_id = slug(name, record.where)
        if relation_id in reading.relations:
            reading.notes["files of a relation that another file has too (merged)"] += 1
        reading.relations.setdefault(relation_id, _info(name, record))
        for field in ("prompt_templates", "prompt_templates_zs"):
            templates[relation_id] += record.texts(field)
        for sample in record.parts("samples"):
            subject = _unescaped(sample.text("subject"), reading.notes)
            obj = _unescaped(sample.text("object"), reading.notes)
            add_triple(reading, relation_id, subject, obj, sample.where)
    for relation_id, found in templates.items():
        reading.wordings[relation_id] = _wordings(found, reading.notes)
    reading.notes += Counter()  # drops what was counted zero times
    return reading


def _info(name: str, record: Record) -> RelationInfo:
    properties = record.part("properties") if record.has("properties") else record
    return RelationInfo(
        name,
        _type_name("domain", "subject", properties, record),
        _type_name("range", "object", properties, record),
        properties.flag("symmetric"),
    )


def _type_name(side: str, default: str, properties: Record, record: Record) -> str:
    """``domain`` and ``range`` may also list the labels themselves, which name no type."""
    named = properties.text(f"{side}_name", "")
    if not named and not isinstance(record.values.get(side), list):
        named = record.text(side, "")
    return named or default


def _wordings(templates: list[str], notes: Counter[str]) -> Wordings:
    """What ends with a question mark asks; all else is continued by the object."""
    unique = distinct((_unescaped(template, notes) for template in templates), notes)
    asked = [with_subject_slot(t) for t in unique if t.endswith("?")]
    stated = [statement_from(t) for t in unique if not t.endswith("?")]
    return Wordings(
        tuple(s for s in stated if is_statement(s, notes)),
        tuple(q for q in asked if is_question(q, notes)),
    )


def _unescaped(text: str, notes: Counter[str]) -> str:
    def decoded(match: re.Match[str]) -> str:
        characters: str = json.loads(f'"{match[0]}"')
        try:
            characters.encode()
        except UnicodeEncodeError:  # half a character: not an escape, after all
            return match[0]
        notes["doubly escaped characters decoded"] += len(characters)
        return characters

    return _ESCAPED.sub(decoded, text).strip()
