"""CounterFact: edit requests with the prompts that judge an edit; and RaKE, which extends it.

Meng et al. (2022), "Locating and Editing Factual Associations in GPT". RaKE: Wei et al. (2024),
"Assessing Knowledge Editing in Language Models via Relation Perspective". One JSON list.
"""

from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.edit_cases import EditCase
from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import Record, add_triple, json_records, list_files
from coemerge.worlds.readers.records import Reading, RelationInfo
from coemerge.worlds.readers.wordings import (
    SUBJECT,
    is_statement,
    most_frequent,
    safe_id,
    statement_from,
    with_subject_slot,
)

LAYOUT = (
    'a JSON list of {"case_id", "requested_rewrite": {"prompt", "relation_id", "subject", '
    '"target_true": {"str"}, "target_new": {"str"}}, ...}'
)


def read(path: Path) -> Reading:
    """Raises FileNotFoundError, or ValueError naming file and line or record."""
    reading = Reading()
    statements: dict[str, Counter[str]] = defaultdict(Counter)
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for file in list_files(path, ".json", LAYOUT):
        for record in json_records(file, LAYOUT):
            case = _case(record)
            add_triple(reading, case.relation_id, case.subject, case.target_true, record.where)
            names[case.relation_id].update(case.relation_names)
            statement = statement_from(case.prompt)
            if is_statement(statement, reading.notes):
                statements[case.relation_id][statement] += 1
            if _is_complete(case, reading.notes):
                reading.cases.append(case)
    for relation_id, found in names.items():
        name = most_frequent(found, 1)
        reading.relations[relation_id] = RelationInfo(name[0] if name else relation_id)
        reading.wordings[relation_id] = Wordings(most_frequent(statements[relation_id]))
    return reading


def _is_complete(case: EditCase, notes: Counter[str]) -> bool:
    """Without a subject in its place or without targets there is nothing to edit."""
    if case.prompt.count(SUBJECT) == 1 and case.subject and case.target_true and case.target_new:
        return True
    notes["cases passed over: no place for the subject, or an empty subject or target"] += 1
    return False


def _case(record: Record) -> EditCase:
    request = record.part("requested_rewrite")
    subject = request.text("subject")
    relation = request.part("relation") if request.has("relation") else None

    def told(text: str) -> str:
        return text.replace("{}", subject)

    return EditCase(
        case_id=_case_id(record),
        relation_id=safe_id(request.text("relation_id"), record.where),
        subject=subject,
        prompt=with_subject_slot(request.text("prompt")),
        target_true=request.part("target_true").text("str"),
        target_new=request.part("target_new").text("str"),
        paraphrase_prompts=record.texts("paraphrase_prompts"),
        neighborhood_prompts=record.texts("neighborhood_prompts"),
        attribute_prompts=record.texts("attribute_prompts"),
        generation_prompts=record.texts("generation_prompts"),
        relation_names=tuple(filter(None, relation.texts("strs"))) if relation else (),
        relation_prompts=tuple(told(text) for text in record.texts("rel_prompts")),
        add_relation_prompt=told(request.text("add_rel_prompt", "")),
        remove_relation_prompt=told(request.text("rm_rel_prompt", "")),
    )


def _case_id(record: Record) -> str:
    value = record.values.get("case_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return record.text("case_id")
