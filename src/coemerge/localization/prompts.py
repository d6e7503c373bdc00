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
    table: pa.Table,
    corruption: str = "swap",
    placeholder: int | None = None,
    seed: int = 0,
    donors: pa.Table | None = None,
) -> Prompts:
    """From ``tables.records.PromptRecord``; ``placeholder`` is needed for that corruption only.

    A swapped subject comes from a prompt of the same relation, task and template (so tokenized
    alike) in ``donors``, by default ``table``: best those of facts that the model knows. Its object
    is another one, and one that the prompt names if there is such a donor (another option, or the
    object of a false claim): the corrupted prompt then has an answer of its own, and is not merely
    unanswerable. Which donor, ``seed`` and the prompt's id decide. Raises ValueError where there is
    none with as many tokens, and for a missing placeholder.
    """
    columns = {name: table[name].to_pylist() for name in table.column_names}
    spans = list(zip(columns["subject_start"], columns["subject_stop"], strict=True))
    if corruption == "swap":
        corrupted = _swapped(columns, spans, table if donors is None else donors, seed)
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


def _swapped(columns: dict, spans: Sequence[Span], donors: pa.Table, seed: int) -> list[list[int]]:
    """Every prompt about another subject."""
    subjects = _Donors(donors)
    wordings = list(zip(columns["relation"], columns["task"], columns["template_id"], strict=True))
    corrupted = []
    for i, (wording, fact, ids, text) in enumerate(
        zip(wordings, columns["fact_id"], columns["ids"], columns["text"], strict=True)
    ):
        start, stop = spans[i]
        names_answer = bool(columns["option_order"][i] or columns["polarity"][i])
        fitting = subjects.of(wording, fact, text if names_answer else "", stop - start)
        if not fitting:
            raise ValueError(
                f"no other subject to swap with in {text!r}: add facts of relation "
                f"{wording[0]!r}, or use masks.corruption=placeholder"
            )
        chosen = fitting[stable_seed(0, str(seed), columns["prompt_id"][i])[1] % len(fitting)]
        corrupted.append(with_subject(ids, (start, stop), chosen, text))
    return corrupted


class _Donors:
    """Subjects by wording, and the objects of their facts."""

    def __init__(self, table: pa.Table) -> None:
        names = ("relation", "task", "template_id", "fact_id", "ids", "answer", "option_order",
                 "polarity", "subject_start", "subject_stop")  # fmt: skip
        self._subjects: dict[tuple, dict[str, list[int]]] = defaultdict(dict)
        self._answers: dict[Cell, str] = {}  # in tasks whose answer is an object
        self._objects: dict[str, str] = {}  # in the first of these
        for relation, task, template, fact, ids, answer, options, polarity, start, stop in zip(
            *(table[name].to_pylist() for name in names), strict=True
        ):
            self._subjects[relation, task, template].setdefault(fact, ids[start:stop])
            if not options and not polarity:
                self._answers[fact, task] = answer
                self._objects.setdefault(fact, answer)

    def of(self, wording: tuple, fact: str, text: str, n_tokens: int) -> list[list[int]]:
        """Subjects of facts with another object, as many tokens long if there are such, and with
        an object that ``text`` names if there are such."""
        task = wording[1]
        others = {
            donor: subject
            for donor, subject in self._subjects[wording].items()
            if donor != fact
            and self._objects.get(donor, donor) != self._objects.get(fact, fact)
            and self._answers.get((donor, task), donor) != self._answers.get((fact, task), fact)
        }
        fitting = {d: s for d, s in others.items() if len(s) == n_tokens} or others
        named = {d: s for d, s in fitting.items() if text and self._objects.get(d, "\0") in text}
        return list((named or fitting).values())


def stable_seed(seed: int, *names: str) -> list[int]:
    """A seed for numpy's generators from a number and names, equal in every process."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return [seed, int.from_bytes(digest[:8], "big")]
