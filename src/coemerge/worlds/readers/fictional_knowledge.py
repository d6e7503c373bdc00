"""Fictional Knowledge (Chang et al. 2024): invented passages with probes, a JSON list.

Each probe is an input and the target that continues it: verbatim (memorization), reworded
(generalization), or to be combined from several sentences (hard generalization).
"""

from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import (
    OBJECT,
    SUBJECT,
    Record,
    files_under,
    json_list,
    text_field,
    texts_field,
)
from coemerge.worlds.readers.records import Passage, Reading, RelationInfo, Triple

_PROBES = {
    "memorization": "mem",
    "generalization": "gen",
    "hard_generalization": "hard_gen",
}


def read(path: Path) -> Reading:
    """Passages, and each probe as a fact: its input is the subject, its target the object."""
    reading = Reading()
    for file in files_under(path, (".json",), "a JSON list of passages"):
        for record, where in json_list(file):
            probes = {kind: _pairs(record, prefix, where) for kind, prefix in _PROBES.items()}
            text = text_field(record, "train_context", where)
            reworded = texts_field(record, "paraphrases", where)
            reading.passages.append(Passage(text, reworded, **probes))
            for kind, pairs in probes.items():
                for asked, target in pairs:
                    if asked.strip() and target.strip():
                        pair = " ".join(asked.split()), " ".join(target.split()).rstrip(".")
                        reading.triples.append(Triple(kind, *pair, where))
                    else:
                        reading.notes["probes without an input or target"] += 1
    for kind in _PROBES:
        reading.relations[kind] = RelationInfo(kind.replace("_", " "), "passage", "ending")
        reading.wordings[kind] = Wordings((f"{SUBJECT} {OBJECT}.",))
    reading.formats = dict.fromkeys(_PROBES, ("completion",))
    return reading


def _pairs(record: Record, prefix: str, where: str) -> tuple[tuple[str, str], ...]:
    asked = texts_field(record, f"{prefix}_input", where)
    targets = texts_field(record, f"{prefix}_target", where)
    if len(asked) != len(targets):
        raise ValueError(
            f"{where}: {prefix}_input holds {len(asked)} texts, {prefix}_target {len(targets)}"
        )
    return tuple(zip(asked, targets, strict=True))
