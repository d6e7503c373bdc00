"""A fact's own prompts, in the order in which studies of edits use them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_COLUMNS = ["fact_id", "template_id", "split", "text", "ids", "answer_ids", "subject_start",
            "subject_stop"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wording:
    """A prompt of ``text``, with tokens ``ids``, of which ``subject`` spans the subject's, and the
    tokens that answer it."""

    ids: list[int]
    subject: tuple[int, int]
    answer: list[int]
    text: str
    template_id: int


def wordings(prompts: pa.Table, task: str, variant: int) -> dict[str, list[Wording]]:
    """By fact: the first wording that training showed, then those held out, then the others.
    ``prompts``: ``tables.records.PromptRecord``."""
    chosen = (pc.field("task") == task) & (pc.field("variant") == variant)
    frame = prompts.filter(chosen).select(_COLUMNS).to_pandas()
    frame = frame.drop_duplicates(["fact_id", "template_id"]).sort_values("template_id")
    found: dict[str, list[Mapping]] = {}
    for row in frame.to_dict("records"):
        found.setdefault(row["fact_id"], []).append(row)
    return {fact: [_wording(row) for row in _in_order(rows)] for fact, rows in found.items()}


def _in_order(rows: list[Mapping]) -> list[Mapping]:
    seen, held_out = (
        [row for row in rows if (row["split"] == "held_out_templates") == is_held_out]
        for is_held_out in (False, True)
    )
    return [*seen[:1], *held_out, *seen[1:]]


def _wording(row: Mapping) -> Wording:
    return Wording(
        ids=[int(token) for token in row["ids"]],
        subject=(int(row["subject_start"]), int(row["subject_stop"])),
        answer=[int(token) for token in row["answer_ids"]],
        text=row["text"],
        template_id=int(row["template_id"]),
    )
