"""Small files in the shape of each data set, written by us, and where the real ones may lie."""

import json
from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


def real(name: str) -> Path:
    """The real files of a set; the test is skipped where they are not at hand."""
    if not (REAL / name).is_dir():
        pytest.skip(f"no real {name} files beside the project")
    return REAL / name


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_lines(path: Path, *records: object) -> Path:
    return write(path, "".join(json.dumps(r) + "\n" for r in records))


def write_json(path: Path, value: object) -> Path:
    return write(path, json.dumps(value, indent=1))


FACTS = (
    {"sub_label": "Orvania", "obj_label": "Telk", "uuid": "1"},
    {"sub_label": "Suneth", "obj_label": "Port Amel", "uuid": "2"},
)
PATTERNS = (
    {"pattern": "The seat of [X] is [Y] .", "lemma": "seat", "extended_lemma": "seat-of"},
    {"pattern": "[Y] is the seat of [X].", "lemma": "seat", "extended_lemma": "is-seat-of"},
)


def relation(**changes: object) -> dict[str, object]:
    """An LRE file."""
    return {
        "name": "country seat of power",
        "prompt_templates": ["{} is ruled from", "The seat of {} is"],
        "prompt_templates_zs": ["Where is the seat of {}? It is in"],
        "properties": {
            "relation_type": "factual",
            "domain_name": "country",
            "range_name": "city",
            "symmetric": False,
        },
        "samples": [
            {"subject": "Orvania", "object": "Telk"},
            {"subject": "Suneth", "object": "Port Amel"},
        ],
    } | changes


def edit(number: int = 7, **request: object) -> dict[str, object]:
    """A CounterFact record."""
    return {
        "case_id": number,
        "pararel_idx": 1,
        "requested_rewrite": {
            "prompt": "The seat of {} is",
            "relation_id": "P36",
            "subject": "Orvania",
            "target_true": {"str": "Telk", "id": "Q1"},
            "target_new": {"str": "Amel", "id": "Q2"},
        }
        | request,
        "paraphrase_prompts": ["Orvania is ruled from"],
        "neighborhood_prompts": ["The seat of Suneth is"],
        "attribute_prompts": [],
        "generation_prompts": ["Orvania's rulers live in"],
    }


def known(**changes: object) -> dict[str, object]:
    return {
        "known_id": 0,
        "subject": "Orvania",
        "attribute": "Telk",
        "template": "The seat of {} is",
        "prediction": " Telk, a town",
        "prompt": "The seat of Orvania is",
        "relation_id": "P36",
    } | changes


def passage(text: str = "Telk rose in 3012. It rules Orvania.", **changes: object) -> dict:
    return {
        "train_context": text,
        "paraphrases": ["In 3012 Telk rose; it rules Orvania."],
        "mem_input": ["Telk rose in", "It rules"],
        "mem_target": ["3012", "Orvania"],
        "gen_input": ["The year of Telk's rise was"],
        "gen_target": ["3012"],
        "hard_gen_input": ["Since 3012 Orvania may be ruled from"],
        "hard_gen_target": ["Telk"],
    } | changes


def pair(good: str, bad: str, **changes: object) -> dict[str, object]:
    """A BLiMP line."""
    return {
        "sentence_good": good,
        "sentence_bad": bad,
        "field": "morphology",
        "linguistics_term": "agreement",
        "UID": "some_agreement_1",
        "simple_LM_method": True,
        "one_prefix_method": False,
        "two_prefix_method": False,
        "lexically_identical": False,
        "pairID": "0",
    } | changes


COLUMNS = (
    "id subj prop obj subj_id prop_id obj_id s_aliases o_aliases s_uri o_uri s_wiki_title "
    "o_wiki_title s_pop o_pop question possible_answers"
).split()


def row(**changes: str) -> dict[str, str]:
    """A PopQA row."""
    return dict.fromkeys(COLUMNS, "1") | {
        "subj": "Ada Vorn",
        "prop": "place of birth",
        "obj": "Telk",
        "s_aliases": '["A. Vorn"]',
        "o_aliases": "[]",
        "question": "In what city was Ada Vorn born?",
        "possible_answers": '["Telk", "Telk City"]',
        **changes,
    }


def table(*rows: dict[str, str]) -> str:
    """As the set quotes it: a field with quotation marks stands in quotation marks."""

    def quoted(field: str) -> str:
        return '"' + field.replace('"', '""') + '"' if '"' in field else field

    lines = [list(rows[0]), *(list(r.values()) for r in rows)]
    return "".join("\t".join(map(quoted, line)) + "\n" for line in lines)
