"""The known facts of ROME (Meng et al. 2022): statements that GPT-2 XL completes, a JSON list."""

from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import OBJECT, files_under, json_list, slots, text_field
from coemerge.worlds.readers.records import Reading, RelationInfo, Triple


def read(path: Path) -> Reading:
    """``attribute`` is the object, ``template`` leads up to it."""
    reading = Reading()
    templates: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files_under(path, (".json",), "a JSON list of known facts"):
        for record, where in json_list(file):
            relation_id = text_field(record, "relation_id", where)
            pair = text_field(record, "subject", where), text_field(record, "attribute", where)
            wording = slots(f"{text_field(record, 'template', where)} {OBJECT}.", with_object=True)
            if not all(pair):
                reading.notes["facts without a subject or attribute"] += 1
                continue
            reading.relations.setdefault(relation_id, RelationInfo(relation_id))
            reading.triples.append(Triple(relation_id, *pair, where))
            if wording is None:
                reading.notes["templates without {} once"] += 1
            else:
                templates[relation_id][wording] += 1
    for relation_id, counted in templates.items():
        statements = tuple(wording for wording, _ in counted.most_common())
        reading.wordings[relation_id] = Wordings(statements)
    return reading
