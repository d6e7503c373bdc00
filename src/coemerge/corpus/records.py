"""A data set's tables, written part by part so that a million facts cost no memory."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from coemerge.corpus.cooccurrence import Cooccurrence
from coemerge.corpus.patterns import TASK_NAMES
from coemerge.corpus.plan import Plan
from coemerge.corpus.plan_config import TIMINGS
from coemerge.prompts.build import Prompt
from coemerge.tables.store import Columns, read_table, write_table, write_table_parts
from coemerge.worlds.agreement import MinimalPair
from coemerge.worlds.facts import World

_FACTS, _CELLS, _PROMPTS = 50_000, 100_000, 20_000
_PROMPT_FIELDS = (
    "prompt_id fact_id task template_id split options variant text answer ids answer_ids "
    "candidate_ids option_order polarity answer_pos chance prior"
).split()


def write_facts(path: Path, world: World, plan: Plan, provenance: dict[str, Any]) -> None:
    """data/facts.parquet."""

    def parts() -> Iterator[Columns]:
        for where in _slices(len(world.facts), _FACTS):
            facts = [world.facts[i] for i in where]
            yield {
                "fact_index": where,
                "fact_id": [f.fact_id for f in facts],
                "relation": [f.relation_id for f in facts],
                "subject": [f.subject for f in facts],
                "object": [f.object for f in facts],
                "arm": [plan.arm(i) for i in where],
                "detail": [plan.detail(i) for i in where],
                "root_id": [f.root_id for f in facts],
            }

    write_table_parts(path, "facts", parts(), provenance)


def write_plan(path: Path, world: World, plan: Plan, provenance: dict[str, Any]) -> None:
    """data/plan.parquet."""

    def parts() -> Iterator[Columns]:
        for where in _slices(len(plan.cells), _CELLS):
            cells = plan.cells[where.start : where.stop]
            ids = {i: world.facts[i].fact_id for i in set(cells["fact"].tolist())}
            yield {
                "fact_id": [ids[i] for i in cells["fact"].tolist()],
                "task": [TASK_NAMES[i] for i in cells["task"]],
                "n_documents": cells["n_documents"],
                "timing": [TIMINGS[i] for i in cells["timing"]],
                "wording": cells["wording"],
                "start": cells["start"],
                "stop": cells["stop"],
            }

    write_table_parts(path, "plan", parts(), provenance)


def write_prompts(path: Path, prompts: Iterable[Prompt], provenance: dict[str, Any]) -> None:
    """data/prompts.parquet."""

    def parts() -> Iterator[Columns]:
        iterator = iter(prompts)
        while items := list(itertools.islice(iterator, _PROMPTS)):
            columns: dict[str, Any] = {n: [getattr(p, n) for p in items] for n in _PROMPT_FIELDS}
            columns["relation"] = [p.relation_id for p in items]
            columns["subject_start"] = [p.subject_span[0] for p in items]
            columns["subject_stop"] = [p.subject_span[1] for p in items]
            spans = [list(itertools.chain(*p.relation_spans)) for p in items]
            yield {**columns, "relation_spans": spans}

    write_table_parts(path, "prompts", parts(), provenance)


def write_cooccurrence(path: Path, counts: Cooccurrence, provenance: dict[str, Any]) -> None:
    """data/cooccurrence.parquet."""
    write_table(path, "cooccurrence", counts.columns(), provenance, sealed=False)


def write_pairs(path: Path, pairs: Sequence[MinimalPair], provenance: dict[str, Any]) -> None:
    """data/minimal_pairs.parquet."""
    names = [f.name for f in fields(MinimalPair)]
    columns: dict[str, Any] = {name: [getattr(p, name) for p in pairs] for name in names}
    ids = {"pair_id": [f"{p.phenomenon}/{p.split}/{k}" for k, p in enumerate(pairs)]}
    write_table(path, "minimal_pairs", {**ids, **columns}, provenance, sealed=False)


def read_pairs(path: Path) -> list[MinimalPair]:
    """As they were written."""
    rows = read_table(path).drop_columns(["pair_id"]).to_pylist()
    return [MinimalPair(**row) for row in rows]


def _slices(size: int, step: int) -> Iterator[range]:
    for start in range(0, size, step):
        yield range(start, min(start + step, size))
