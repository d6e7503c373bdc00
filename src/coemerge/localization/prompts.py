"""The prompts of a table as masks need them: what is asked, of whom, and the corrupted version."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from coemerge.localization.corruption import with_placeholder, with_subject

TRAIN, EVAL = "seen_templates", "held_out_templates"
Cell = tuple[str, str]  # (fact_id, task)
Span = tuple[int, int]


@dataclass(frozen=True)
class Prompts:
    """N prompts, in the order of their table. ``answers``: first answer token; ``candidates``:
    first tokens of all allowed answers; ``spans``: of the subject; ``corrupted``: ids with another
    subject or none, as long as ``ids``."""

    prompt_ids: list[str]
    facts: np.ndarray
    relations: np.ndarray
    tasks: np.ndarray
    splits: np.ndarray
    ids: list[list[int]]
    answers: list[int]
    candidates: list[list[int]]
    spans: list[Span]
    corrupted: list[list[int]]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def cells(self) -> dict[tuple[str, str, str], np.ndarray]:
        """(fact, task, split) -> indices of its prompts."""
        found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for i, key in enumerate(zip(self.facts, self.tasks, self.splits, strict=True)):
            found[key].append(i)
        return {key: np.array(rows) for key, rows in found.items()}

    @cached_property
    def relation_of(self) -> dict[str, str]:
        return dict(zip(self.facts, self.relations, strict=True))

    def digest(self) -> str:
        """Hash of everything that training and evaluation see."""
        seen = (self.prompt_ids, self.ids, self.answers, self.candidates, self.corrupted)
        splits = list(zip(self.relations, self.tasks, self.splits, strict=True))
        return hashlib.sha256(repr((seen, splits)).encode()).hexdigest()


def read_prompts(
    table: pa.Table, corruption: str = "swap", placeholder: int | None = None, seed: int = 0
) -> Prompts:
    """From ``tables.records.PromptRecord``; ``placeholder`` is needed for that corruption only.

    A swapped subject is one of the same relation, from a prompt of the same task and template (so
    tokenized alike), with another object where objects are known; which one, ``seed`` and the
    prompt's id decide. Raises ValueError where there is none with as many tokens, and for a missing
    placeholder.
    """
    columns = {name: table[name].to_pylist() for name in table.column_names}
    spans = list(zip(columns["subject_start"], columns["subject_stop"], strict=True))
    if corruption == "swap":
        corrupted = _swapped(columns, spans, seed)
    elif placeholder is None:
        raise ValueError("corruption=placeholder needs the placeholder's token id")
    else:
        pairs = zip(columns["ids"], spans, strict=True)
        corrupted = [with_placeholder(ids, span, placeholder) for ids, span in pairs]
    return Prompts(
        prompt_ids=columns["prompt_id"],
        facts=np.array(columns["fact_id"], dtype=object),
        relations=np.array(columns["relation"], dtype=object),
        tasks=np.array(columns["task"], dtype=object),
        splits=np.array(columns["split"], dtype=object),
        ids=columns["ids"],
        answers=[ids[0] for ids in columns["answer_ids"]],
        candidates=columns["candidate_ids"],
        spans=spans,
        corrupted=corrupted,
    )


def _swapped(columns: dict, spans: Sequence[Span], seed: int) -> list[list[int]]:
    """Every prompt about another subject."""
    objects = _objects(columns)
    wordings = list(zip(columns["relation"], columns["task"], columns["template_id"], strict=True))
    subjects: dict[tuple, dict[str, list[int]]] = defaultdict(dict)
    for wording, fact, ids, (start, stop) in zip(
        wordings, columns["fact_id"], columns["ids"], spans, strict=True
    ):
        subjects[wording].setdefault(fact, ids[start:stop])
    corrupted = []
    for i, (wording, fact, ids) in enumerate(
        zip(wordings, columns["fact_id"], columns["ids"], strict=True)
    ):
        others = [
            other
            for donor, other in subjects[wording].items()
            if donor != fact and objects.get(donor, donor) != objects.get(fact, fact)
        ]
        start, stop = spans[i]
        fitting = [other for other in others if len(other) == stop - start] or others
        subject = columns["text"][i]
        if not fitting:
            raise ValueError(
                f"no other subject to swap with in {subject!r}: add facts of relation "
                f"{wording[0]!r}, or use masks.corruption=placeholder"
            )
        chosen = fitting[stable_seed(0, str(seed), columns["prompt_id"][i])[1] % len(fitting)]
        corrupted.append(with_subject(ids, (start, stop), chosen, subject))
    return corrupted


def _objects(columns: dict) -> dict[str, str]:
    """fact -> object, from the tasks whose answer is the object itself: no options, no claim."""
    rows = zip(
        columns["fact_id"],
        columns["answer"],
        columns["option_order"],
        columns["polarity"],
        strict=True,
    )
    return {
        fact: answer for fact, answer, options, polarity in rows if not options and not polarity
    }


def stable_seed(seed: int, *names: str) -> list[int]:
    """A seed for numpy's generators from a number and names, equal in every process."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return [seed, int.from_bytes(digest[:8], "big")]
