"""ParaRel (Elazar et al. 2021): facts and patterns as JSON lines, a file each per Wikidata
property. Facts derive from LAMA's T-REx."""

from collections import Counter
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import Record, files_under, json_lines, slots, text_field
from coemerge.worlds.readers.records import Reading, RelationInfo, Triple

_LAYOUT = "facts/P36.jsonl and patterns/P36.jsonl (or trex_lms_vocab/ and graphs_json/)"


def read(path: Path) -> Reading:
    """Facts and patterns are told apart by content; the file's name is the relation.

    Of a single file of facts, the patterns are looked for in the folders beside it.
    """
    reading = Reading()
    files = files_under(path, (".jsonl",), _LAYOUT)
    if path.is_file():
        files += sorted(p for p in path.parent.parent.glob(f"*/{path.name}") if p != path)
    patterns: dict[str, list[Record]] = {}
    for file in files:
        records = list(json_lines(file))
        if "pattern" in records[0][0]:
            found = patterns.setdefault(file.stem, [])
            found += [{**r, "pattern": text_field(r, "pattern", where)} for r, where in records]
        elif "sub_label" in records[0][0]:
            _add_facts(reading, file.stem, records)
        elif len(files) == 1:
            raise ValueError(
                f"{records[0][1]}: neither 'sub_label' nor 'pattern'; expected {_LAYOUT}"
            )
        else:
            reading.notes["files that hold neither facts nor patterns"] += 1
    for relation_id, found in patterns.items():
        _add_patterns(reading, relation_id, found)
    if not reading.triples and not reading.notes:
        raise ValueError(f"{path}: holds no facts; expected {_LAYOUT}")
    return reading


def _add_facts(reading: Reading, relation_id: str, records: list[tuple[Record, str]]) -> None:
    reading.relations.setdefault(relation_id, RelationInfo(relation_id))
    for record, where in records:
        pair = text_field(record, "sub_label", where), text_field(record, "obj_label", where)
        if all(pair):
            reading.triples.append(Triple(relation_id, *pair, where))
        else:
            reading.notes["facts without a subject or object"] += 1


def _add_patterns(reading: Reading, relation_id: str, found: list[Record]) -> None:
    if relation_id not in reading.relations:
        reading.notes["pattern files without facts"] += 1
        return
    usable = [wording for r in found if (wording := slots(r["pattern"], with_object=True))]
    reading.notes["patterns without [X] and [Y] once each"] += len(found) - len(usable)
    distinct = tuple(dict.fromkeys(usable))
    reading.notes["duplicate patterns"] += len(usable) - len(distinct)
    reading.wordings[relation_id] = Wordings(statements=distinct)
    lemmas = Counter(str(r.get("extended_lemma", "")) for r in found)
    lemmas.pop("", None)
    name = lemmas.most_common(1)[0][0].replace("-", " ") if lemmas else relation_id
    reading.relations[relation_id] = RelationInfo(name)
