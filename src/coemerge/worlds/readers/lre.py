"""LRE (Hernandez et al. 2024, "Linearity of relation decoding"): one JSON file per relation."""

import re
from pathlib import Path
from typing import Any

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import (
    OBJECT,
    Record,
    files_under,
    json_document,
    mapping_field,
    slots,
    slug,
    text_field,
    texts_field,
)
from coemerge.worlds.readers.records import Reading, RelationInfo, Triple

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def read(path: Path) -> Reading:
    """A file is a relation; its prompt templates lead up to the object."""
    reading = Reading()
    for file in files_under(path, (".json",), "one JSON file per relation"):
        content = json_document(file)
        if not isinstance(content, dict):
            raise ValueError(f"{file}: expected an object, found {type(content).__name__}")
        if "samples" not in content and path.is_dir():
            reading.notes["files that hold no relation"] += 1
            continue
        _add(reading, content, str(file))
    return reading


def _add(reading: Reading, content: Record, where: str) -> None:
    name = text_field(content, "name", where)
    relation_id = slug(name)
    samples = content.get("samples")
    if not isinstance(samples, list) or not samples:
        raise ValueError(f"{where}: 'samples' must be a list of subjects and objects, not empty")
    details = content.get("properties") or {}
    if not isinstance(details, dict):
        raise ValueError(f"{where}: 'properties' must be an object")
    domain = content.get("domain") or details.get("domain_name") or "subject"
    image = content.get("range") or details.get("range_name") or "object"
    symmetric = bool(details.get("symmetric", False))
    reading.relations[relation_id] = RelationInfo(name, str(domain), str(image), symmetric)
    reading.wordings[relation_id] = Wordings(_statements(reading, content, where))
    for number, sample in enumerate(samples, start=1):
        _add_sample(reading, relation_id, sample, f"{where}: sample {number}")


def _add_sample(reading: Reading, relation_id: str, sample: Any, where: str) -> None:
    record = mapping_field({"sample": sample}, "sample", where)
    pair = [_unescaped(reading, text_field(record, key, where)) for key in ("subject", "object")]
    if all(pair):
        reading.triples.append(Triple(relation_id, pair[0], pair[1], where))
    else:
        reading.notes["samples without a subject or object"] += 1


def _statements(reading: Reading, content: Record, where: str) -> tuple[str, ...]:
    templates = (
        *texts_field(content, "prompt_templates", where),
        *texts_field(content, "prompt_templates_zs", where),
    )
    made = [slots(f"{t.rstrip('. ')} {OBJECT}.", with_object=True) for t in templates]
    usable = dict.fromkeys(wording for wording in made if wording)
    reading.notes["templates without {} once"] += made.count(None)
    return tuple(usable)


def _unescaped(reading: Reading, text: str) -> str:
    """Some labels hold escapes of escapes, ``Bras\\u00edlia`` letter by letter."""
    if not _ESCAPE.search(text):
        return text
    reading.notes["labels with doubly escaped characters (mended)"] += 1
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
