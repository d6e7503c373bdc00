"""Fictional Knowledge: passages about things that do not exist, with probes of three depths.

Chang et al. (2024), "How Do Large Language Models Acquire Factual Knowledge During Pretraining?".
One JSON list, once without and once with the passages' rewordings.
"""

from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import Record, add_triple, json_records, list_files
from coemerge.worlds.readers.records import Passage, Reading, RelationInfo
from coemerge.worlds.readers.wordings import OBJECT, SUBJECT

LAYOUT = (
    'a JSON list of {"train_context", "paraphrases", and "mem_input", "mem_target", likewise '
    "gen_ and hard_gen_}"
)
_DEPTHS = {"memorization": "mem", "generalization": "gen", "hard_generalization": "hard_gen"}


def read(path: Path) -> Reading:
    """Raises FileNotFoundError, or ValueError naming file and line or record."""
    reading = Reading(formats=dict.fromkeys(_DEPTHS, ("completion",)))
    for relation_id in _DEPTHS:
        name = relation_id.replace("_", " ")
        reading.relations[relation_id] = RelationInfo(name, "beginning", "continuation")
        reading.wordings[relation_id] = Wordings((f"{SUBJECT} {OBJECT}",))
    passages: dict[str, Passage] = {}
    for file in list_files(path, ".json", LAYOUT):
        for record in json_records(file, LAYOUT):
            passage = _passage(record, reading)
            if passage.text in passages:
                reading.notes["passages given more than once (the most reworded kept)"] += 1
            known = passages.get(passage.text)
            if known is None or len(passage.paraphrases) > len(known.paraphrases):
                passages[passage.text] = passage
    reading.passages.extend(passages.values())
    return reading


def _passage(record: Record, reading: Reading) -> Passage:
    text = record.text("train_context")
    if not text:
        raise ValueError(f'{record.where}: "train_context" is empty; expected a passage')
    probes = {relation_id: _probes(record, relation_id, reading) for relation_id in _DEPTHS}
    return Passage(text, tuple(filter(None, record.texts("paraphrases"))), **probes)


def _probes(record: Record, relation_id: str, reading: Reading) -> tuple[tuple[str, str], ...]:
    depth = _DEPTHS[relation_id]
    inputs, targets = record.texts(f"{depth}_input"), record.texts(f"{depth}_target")
    if len(inputs) != len(targets):
        raise ValueError(
            f'{record.where}: {len(inputs)} of "{depth}_input" but {len(targets)} of '
            f'"{depth}_target"; expected as many of one as of the other'
        )
    pairs = tuple(zip(inputs, targets, strict=True))
    for begun, continued in pairs:
        add_triple(reading, relation_id, begun, continued, record.where)
    return tuple((begun, continued) for begun, continued in pairs if begun and continued)
