"""CounterFact (Meng et al. 2022) and RaKE (Wei et al. 2024), which adds fields: a JSON list."""

from collections import Counter, defaultdict
from pathlib import Path

from coemerge.worlds.facts import Wordings
from coemerge.worlds.readers.files import (
    OBJECT,
    Record,
    files_under,
    json_list,
    mapping_field,
    slots,
    text_field,
    texts_field,
)
from coemerge.worlds.readers.records import EditCase, Reading, RelationInfo, Triple


def read(path: Path) -> Reading:
    """The true object makes the fact; the whole record an ``EditCase``."""
    reading = Reading()
    prompts: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files_under(path, (".json",), "a JSON list of edit requests"):
        for record, where in json_list(file):
            case = _case(record, where)
            if case is None:
                reading.notes["requests whose prompt has no slot, or that lack a name"] += 1
                continue
            reading.cases.append(case)
            reading.triples.append(Triple(case.relation_id, case.subject, case.target_true, where))
            prompts[case.relation_id][f"{case.prompt} {OBJECT}."] += 1
            name = case.relation_names[0] if case.relation_names else case.relation_id
            reading.relations.setdefault(case.relation_id, RelationInfo(name))
    for relation_id, counted in prompts.items():
        statements = tuple(wording for wording, _ in counted.most_common())
        reading.wordings[relation_id] = Wordings(statements)
    return reading


def _case(record: Record, where: str) -> EditCase | None:
    request = mapping_field(record, "requested_rewrite", where)
    true = text_field(mapping_field(request, "target_true", where), "str", where)
    new = text_field(mapping_field(request, "target_new", where), "str", where)
    prompt = slots(text_field(request, "prompt", where), with_object=False)
    subject = text_field(request, "subject", where)
    if prompt is None or not subject or not true:
        return None
    names = request.get("relation") or {}
    return EditCase(
        case_id=str(record.get("case_id", "")),
        relation_id=text_field(request, "relation_id", where),
        subject=subject,
        prompt=prompt,
        target_true=true,
        target_new=new,
        paraphrase_prompts=texts_field(record, "paraphrase_prompts", where),
        neighborhood_prompts=texts_field(record, "neighborhood_prompts", where),
        attribute_prompts=texts_field(record, "attribute_prompts", where),
        generation_prompts=texts_field(record, "generation_prompts", where),
        relation_names=texts_field(names, "strs", where) if isinstance(names, dict) else (),
        relation_prompts=texts_field(record, "rel_prompts", where),
        add_relation_prompt=str(request.get("add_rel_prompt") or ""),
        remove_relation_prompt=str(request.get("rm_rel_prompt") or ""),
    )
