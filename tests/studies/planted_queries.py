"""Queries of the planted model (``tests.localization.models``): of two facts every wording is
answered by one neuron, of the two others every wording by a neuron of its own."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import torch

from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Queries, Subject
from coemerge.tables.store import make_table
from tests.localization.models import (
    FACTS,
    FIRST_OBJECT,
    FIRST_SUBJECT,
    FIRST_TASK,
    N_TASKS,
    QUESTIONS,
    neuron_of,
    planted_model,
    prompt_table,
)

CONSISTENT, INCONSISTENT = FACTS[:2], FACTS[2:]
RELATIONS = {"fact-0": "r0", "fact-1": "r0", "fact-2": "r0", "fact-3": "r1"}
REGIMES = {"fact-0": "reworded", "fact-1": "reworded", "fact-2": "repeated", "fact-3": ""}
SETTINGS: dict[str, Any] = {
    "k": 2,
    "top": 1,
    "steps": 4,
    "unrelated": 3,
    "contexts": ((2, 2),),  # the planted model reads 8 tokens
    "lambdas": (20.0, 20.0),  # a planted neuron writes 40
    "bins": 5,
    "betas": (0.0, 1.0),
    "taus": (0.1, 0.3),
    "random_draws": 2,
    "edit_draws": 2,
    "bootstrap_draws": 50,
}
CONFIG = QueryLocalizationConfig(**SETTINGS)


def planted_ids(fact: int, wording: int) -> list[int]:
    """What holds the neuron is the first token: the consistent facts' wordings have it alike."""
    differs = FACTS[fact] in INCONSISTENT
    task, question = (wording % N_TASKS, 0) if differs else (0, QUESTIONS[wording])
    return [FIRST_TASK + task, FIRST_SUBJECT + fact, question]


def planted_neurons(fact: int, wording: int) -> list[int]:
    return [neuron_of(fact, wording % N_TASKS if FACTS[fact] in INCONSISTENT else 0)]


def prompts(rows: Iterable[tuple[int, int, list[int]]] | None = None, **changes: Any) -> pa.Table:
    """(fact, wording, ids) each, all in completion; of the planted facts three wordings. Of
    ``changes`` the columns are replaced."""
    usual = [(f, t, planted_ids(f, t)) for f in range(len(FACTS)) for t in range(3)]
    asked = [(f, 0, t, ids, f) for f, t, ids in (usual if rows is None else rows)]
    columns = prompt_table(asked).to_pydict()
    relation = [RELATIONS[fact] for fact in columns["fact_id"]]
    task = ["completion"] * len(asked)
    return make_table("prompts", {**columns, "relation": relation, "task": task, **changes})


def facts(names: Sequence[str] = FACTS) -> pd.DataFrame:
    detail = [REGIMES[fact] for fact in names]
    return pd.DataFrame(
        {
            "fact_id": list(names),
            "relation": [RELATIONS[fact] for fact in names],
            "arm": ["A8_wordings" if regime else "A0_full" for regime in detail],
            "detail": detail,
        }
    )


def subject(**changes: Any) -> Subject:
    """With some text for perplexity."""
    text = torch.randint(FIRST_OBJECT, (3, 6), generator=torch.Generator().manual_seed(0))
    usual = {"identity": "planted", "seed": 0, "prompts": prompts(), "facts": facts()}
    return Subject(**{"model": planted_model(), "text": text, **usual, **changes})


def queries_of(
    relations: Sequence[str],
    k: int = 2,
    wordings: Sequence[Sequence[int]] | None = None,
    ids: Sequence[Sequence[int]] | None = None,
    answers: Sequence[int] | None = None,
    more: Sequence[Sequence[Sequence[int]]] | None = None,
) -> Queries:
    """One fact per relation named: ``wordings`` [F][k], by default 0 to k-1 of each; ``ids`` of
    every query, by default [9, row]; first tokens of ``answers`` by fact, by default 100 + fact;
    ``more``, further wordings of each fact, by default none."""
    n = len(relations)
    names = [f"f{f}" for f in range(n)]
    usual = pd.DataFrame({"fact_id": names, "relation": list(relations), "arm": "A0_full"})
    template = [t for of_fact in wordings or [range(k)] * n for t in of_fact]
    first = [100 + f for f in range(n)] if answers is None else answers
    rows = pd.DataFrame(
        {
            "ids": [list(i) for i in ids] if ids else [[9, row] for row in range(n * k)],
            "answer_ids": [[answer] for answer in first for _ in range(k)],
            "template_id": template,
            "split": "seen_templates",
            "text": [f"query {row}" for row in range(n * k)],
        }
    )
    further = [[list(i) for i in of_fact] for of_fact in more or [[]] * n]
    counts = usual.groupby(["relation", "arm"]).size().rename("n").reset_index()
    return Queries(usual.assign(detail=""), rows, k, further, counts.assign(reason="studied"))


def cell(rows: list[dict[str, Any]], column: str = "value", /, **wanted: object) -> Any:
    """A column of the one row with these values."""
    found = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0][column]
