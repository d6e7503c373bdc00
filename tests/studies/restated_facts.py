"""A world of facts that restate each other: capitals and their inverse, occupations and fields."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from coemerge.studies.knowledge_neurons.agreement import Predict
from coemerge.studies.knowledge_neurons.checks import Questions
from coemerge.studies.knowledge_neurons.families import SYMMETRY, Planned
from coemerge.studies.shared.wordings import Wording, wordings

FULL, ONE_DIRECTION = "A0_full", "A6_one_direction"
RELATIONS = ("capital", "capital_of", "occupation", "field")
_LAST = 9  # the second token of every capital
_TRADES = 3
Store = dict[tuple[int, ...], list[int]]  # what a model answers to each prompt


def facts(n: int = 8, withheld: Iterable[int] = (5, 6, 7), n_full: int = 3) -> pd.DataFrame:
    """``n`` countries with their capitals and ``n`` people with occupations, which take turns.
    The first ``n_full`` of each are of the arm FULL. Restatements of ``withheld`` ones were never
    shown."""
    rows = []
    for relation in RELATIONS:
        for i in range(n):
            root = {"capital_of": "capital", "field": "occupation"}.get(relation, relation)
            subject, obj = {
                "capital": (f"country {i}", f"city {i}"),
                "capital_of": (f"city {i}", f"country {i}"),
                "occupation": (f"person {i}", f"trade {i % _TRADES}"),
                "field": (f"person {i}", f"field {i % _TRADES}"),
            }[relation]
            rows.append(
                {
                    "fact_id": f"{relation}-{i}",
                    "relation": relation,
                    "arm": FULL if i < n_full else ONE_DIRECTION,
                    "detail": "",
                    "subject": subject,
                    "object": obj,
                    "root_id": f"{root}-{i}",
                    "documents": 0.0 if relation != root and i in set(withheld) else 10.0,
                }
            )
    return pd.DataFrame(rows)


def tokens_of(name: str) -> list[int]:
    kind, number = name.split()
    first = {"country": 100, "city": 200, "person": 300, "trade": 400, "field": 500}[kind]
    return [first + int(number), *([_LAST] if kind == "city" else [])]


def prompt_rows(of: pd.DataFrame, templates: Sequence[str] = ("held_out", "seen")) -> pa.Table:
    """Each fact in every template, [1, relation and template, subject, 2]."""
    rows: list[dict[str, Any]] = []
    for fact in of.to_dict("records"):
        for template, split in enumerate(templates):
            subject = tokens_of(fact["subject"])
            first = 10 + 5 * RELATIONS.index(fact["relation"]) + template
            rows.append(
                {
                    "fact_id": fact["fact_id"],
                    "task": "completion",
                    "variant": 0,
                    "template_id": template,
                    "split": f"{split}_templates",
                    "text": f"{fact['relation']} of {fact['subject']}:",
                    "ids": [1, first, *subject, 2],
                    "answer_ids": tokens_of(fact["object"]),
                    "subject_start": 2,
                    "subject_stop": 2 + len(subject),
                }
            )
    return pa.Table.from_pylist(rows)


def first_wordings(of: pd.DataFrame) -> dict[str, Wording]:
    return {fact: found[0] for fact, found in wordings(prompt_rows(of), "completion", 0).items()}


def store_of(asked: Mapping[str, Wording]) -> Store:
    """A model that knows every fact."""
    return {tuple(prompt.ids): prompt.answer for prompt in asked.values()}


def rewired(store: Store, one: Planned, asked: Mapping[str, Wording], both: bool) -> Store:
    """The table after an edit; ``both``: what restates the fact is rewired with it."""
    own, donor = asked[one.fact], asked[one.donor]
    restated, other = asked[one.restated], asked[one.donor_restated]
    new = {tuple(own.ids): donor.answer}
    if both and one.family == SYMMETRY:
        new |= {tuple(other.ids): restated.answer, tuple(restated.ids): other.answer}
    elif both:
        new |= {tuple(restated.ids): other.answer}
    return {**store, **new}


def looks_up(untouched: Store, stores: Sequence[Store] = ()) -> Predict:
    """Says what the store of a row's edit has for its prompt, whatever the answer so far; the token
    0 beyond its end."""

    def predict(rows: Sequence[Sequence[int]], edit_of_row: np.ndarray, n: int) -> np.ndarray:
        found = []
        for row, edit in zip(rows, edit_of_row.tolist(), strict=True):
            store = untouched if edit < 0 else stores[edit]
            found.append([*store[tuple(row[: len(row) - n + 1])], *[0] * n][:n])
        return np.array(found)

    return predict


def with_shares(asked: Questions, pre: np.ndarray, post: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """``ImplicationsRecord``."""
    return asked.rows.assign(seed=seed, editor="rome", pre=pre, post=post)
