"""The exposure plan: how many documents show each (fact, task), in which arm, and when.

Held as numpy columns, one row per cell, so that millions of cells stay small. The plan says what
should be shown; analyses read the ledger of what was (``ledger``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coemerge.corpus.patterns import CELL_DTYPE, TASK_NAMES, Patterns, active_arms
from coemerge.corpus.plan_config import TIMINGS, PlanConfig, check_plan_config
from coemerge.prompts.tasks import TASKS, get_task
from coemerge.worlds.facts import Relation, World


@dataclass(frozen=True)
class Plan:
    """``cells`` has dtype CELL_DTYPE; ``arm_codes[fact]`` indexes ``arms``; ``details`` names the
    target, source, dose or variant where the arm has one."""

    cells: np.ndarray
    arms: tuple[str, ...]
    arm_codes: np.ndarray
    detail_codes: np.ndarray
    details: tuple[str, ...]

    @property
    def n_documents(self) -> int:
        return int(self.cells["n_documents"].sum())

    def arm(self, fact: int) -> str:
        return self.arms[self.arm_codes[fact]]

    def detail(self, fact: int) -> str:
        return self.details[self.detail_codes[fact]]


def build_plan(world: World, config: PlanConfig, seed: int) -> Plan:
    """Facts are randomised to arms within each relation. Raises ValueError on a faulty config.

    A fact that restates another (inverse, synonym) follows it: it gets the same cells, or none
    where its arm withholds the restatement. Two-step forms are shown only for facts that are shown
    in both the route and the answered format.
    """
    check_plan_config(config)
    patterns = Patterns(config)
    codes = np.zeros(len(world.facts), dtype=np.int32)
    roots_first = sorted(world.relations.items(), key=lambda item: item[1].root != item[0])
    linked = {r.root for name, r in world.relations.items() if r.root != name}
    blocks = []
    for name, relation in roots_first:
        positions = np.arange(world.positions[name].start, world.positions[name].stop)
        tasks = available_tasks(relation, config.tasks)
        if not len(positions):
            continue
        if relation.root != name:
            codes[positions] = codes[world.columns.root_positions(name)]
            blocks.append(patterns.cells(positions, codes[positions], restated=True))
            continue
        if relation.auxiliary and name not in linked:
            codes[positions] = patterns.auxiliary()
        elif tasks:
            arms, ranks = _randomise(world, name, config.arms.shares, seed)
            codes[positions] = patterns.codes(arms, ranks, tasks)
        blocks.append(patterns.cells(positions, codes[positions]))
    arm_codes, detail_codes = patterns.arm_codes[codes], patterns.detail_codes[codes]
    cells = np.concatenate([np.empty(0, CELL_DTYPE), *blocks])
    return Plan(cells, patterns.arms, arm_codes, detail_codes, tuple(patterns.details))


def available_tasks(relation: Relation, tasks: Sequence[str]) -> list[str]:
    """The formats that make sense for a relation: two-hop needs a bridge, and a relation may name
    its formats itself (two-step forms follow the format that they end in)."""
    return [
        task
        for task in tasks
        if (relation.bridge is not None or get_task(task).base != "multihop")
        and (relation.formats is None or get_task(task).base in relation.formats)
    ]


def _randomise(
    world: World, relation_id: str, shares: dict[str, float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(arm, rank within the arm) of every fact of a relation; arms by their place among those with
    a share.

    Stratified by object: facts in random order, those with one object side by side, are dealt to
    the arms in proportion. No object then belongs to one arm alone more than it must.
    """
    ranks = world.columns.object_ranks(relation_id)
    rng = np.random.default_rng([seed, *relation_id.encode()])
    objects = world.candidates[relation_id]
    occurring = sorted(np.unique(ranks), key=objects.__getitem__)
    place = np.zeros(len(objects))
    place[occurring] = rng.random(len(occurring))
    order = np.lexsort((rng.random(len(ranks)), place[ranks]))
    weights = np.array(list(active_arms(shares).values()), dtype=float)
    weights /= weights.sum()
    owed = (rng.random(len(weights)) * weights).tolist()  # random: no arm is always served first
    step = weights.tolist()
    counts = [0] * len(step)
    arm_of, rank_of = np.zeros(len(ranks), dtype=np.int8), np.zeros(len(ranks), dtype=np.int32)
    for k in order.tolist():
        owed = [o + w for o, w in zip(owed, step, strict=True)]
        chosen = owed.index(max(owed))
        owed[chosen] -= 1
        arm_of[k], rank_of[k] = chosen, counts[chosen]
        counts[chosen] += 1
    return arm_of, rank_of


def answer_counts(world: World, plan: Plan) -> dict[tuple[str, str], np.ndarray]:
    """(relation, task) -> planned documents per object, in the order of the answer set."""
    counts: dict[tuple[str, str], np.ndarray] = {}
    bases = np.array([list(TASKS).index(get_task(name).base) for name in TASK_NAMES])
    for name, positions in world.positions.items():
        ranks, size = world.columns.object_ranks(name), len(world.candidates[name])
        inside = (plan.cells["fact"] >= positions.start) & (plan.cells["fact"] < positions.stop)
        cells = plan.cells[inside]
        tasks = bases[cells["task"]]
        for task in np.unique(tasks):
            own = cells[tasks == task]
            answers = ranks[own["fact"] - positions.start]
            column = np.bincount(answers, weights=own["n_documents"], minlength=size)
            counts[name, TASK_NAMES[task]] = column.astype(np.int64)
    return counts


def document_times(cells: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(cell index, time in [0, 1)) of every document, in training order; shapes [n_documents]."""
    counts = cells["n_documents"]
    owner = np.repeat(np.arange(len(cells), dtype=np.int32), counts)
    start, stop = cells["start"][owner], cells["stop"][owner]
    kind = cells["timing"][owner]
    u = rng.random(len(owner), dtype=np.float32)
    per_cell = rng.random(len(cells), dtype=np.float32)[owner]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.arange(len(owner)) - first[owner]
    u = np.where(kind == TIMINGS.index("burst"), per_cell, u)
    spaced = (rank + per_cell) / np.maximum(counts[owner], 1)
    u = np.where(kind == TIMINGS.index("spaced"), spaced.astype(np.float32), u)
    together = (rank + 0.5) / np.maximum(counts[owner], 1)
    u = np.where(kind == TIMINGS.index("injections"), together.astype(np.float32), u)
    time = start + u * (stop - start)
    order = np.argsort(time, kind="stable")
    return owner[order], time[order]
