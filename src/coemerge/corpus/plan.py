"""The exposure plan: how many documents show each (fact, task), in which arm, and when.

Held as numpy columns, one row per cell, so that millions of cells stay small. The plan says what
should be shown; analyses read the ledger of what was (``ledger``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from coemerge.corpus.arms import ArmsConfig, Assignment, Cell, get_arm
from coemerge.prompts.tasks import TASKS, get_task
from coemerge.worlds.facts import World

TIMINGS = ("uniform", "burst", "spaced", "once", "window")
NO_ARM = "auxiliary"
TASK_CODES = {name: code for code, name in enumerate(TASKS)}
TASK_NAMES = tuple(TASKS)

CELL_DTYPE = np.dtype(
    [
        ("fact", np.int32),
        ("task", np.int8),
        ("n_documents", np.int32),
        ("timing", np.int8),
        ("wording", np.int16),
        ("start", np.float32),
        ("stop", np.float32),
    ]
)


@dataclass
class TimingConfig:
    """When the documents of a cell fall, within the window [start, stop) of training.

    ``uniform``: independent times; ``burst``: all at one random time; ``spaced``: evenly, with a
    random phase; ``once``: one document only; ``window``: uniform, start and stop given here.
    """

    kind: str = "uniform"
    start: float = 0.0
    stop: float = 1.0


@dataclass
class PlanConfig:
    """``documents``: documents per (fact, task) of a fully shown cell. ``auxiliary`` likewise, for
    auxiliary relations, which have no arms."""

    tasks: list[str] = field(default_factory=list)
    documents: dict[str, int] = field(default_factory=dict)
    auxiliary: dict[str, int] = field(default_factory=dict)
    arms: ArmsConfig = field(default_factory=ArmsConfig)
    timing: TimingConfig = field(default_factory=TimingConfig)


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
    arms = [NO_ARM, *config.arms.shares]
    arm_codes = np.zeros(len(world.facts), dtype=np.int8)
    details: dict[str, int] = {"": 0}
    detail_codes = np.zeros(len(world.facts), dtype=np.int16)
    assigned: dict[str, tuple[Assignment, int, int]] = {}
    linked = {r.root for r in world.relations.values() if r.root != r.relation_id}
    blocks = []
    for name, relation in sorted(world.relations.items(), key=lambda item: item[1].root != item[0]):
        positions = world.positions[name]
        if relation.root != name:
            rows = _follow(world, positions, assigned, config, arm_codes, detail_codes)
        elif relation.auxiliary and name not in linked:
            cells = _with_counts(tuple(Cell(t) for t in config.auxiliary), config.auxiliary, config)
            rows = [(fact, *cell) for fact in positions for cell in cells]
        else:
            rows = []
            available = _tasks_of(world, name, config.tasks)
            for fact, arm, rank in _randomise(world, positions, config.arms.shares, seed):
                assignment = get_arm(arm)(rank, available, config.arms)
                arm_codes[fact] = arms.index(arm)
                detail_codes[fact] = details.setdefault(assignment.detail, len(details))
                rows += [
                    (fact, *c) for c in _with_counts(assignment.cells, config.documents, config)
                ]
                if name in linked:
                    codes = (int(arm_codes[fact]), int(detail_codes[fact]))
                    assigned[world.facts[fact].fact_id] = (assignment, *codes)
        blocks.append(np.array(rows, dtype=CELL_DTYPE))
    all_cells = np.concatenate([np.empty(0, CELL_DTYPE), *blocks])
    return Plan(all_cells, tuple(arms), arm_codes, detail_codes, tuple(details))


def _randomise(
    world: World, positions: range, shares: dict[str, float], seed: int
) -> list[tuple[int, str, int]]:
    """(fact, arm, rank within arm) in order of fact.

    Stratified by object: facts in random order, those with one object side by side, are dealt to
    the arms in proportion. No object then belongs to one arm alone more than it must.
    """
    facts = [world.facts[i] for i in positions]
    salt = list(facts[0].relation_id.encode())
    rng = np.random.default_rng([seed, *salt])
    objects = sorted({fact.object for fact in facts})
    place = dict(zip(objects, rng.random(len(objects)), strict=True))
    key = [(place[fact.object], u) for fact, u in zip(facts, rng.random(len(facts)), strict=True)]
    weights = np.array(list(shares.values()), dtype=float)
    arms, weights = list(shares), weights / weights.sum()
    owed = rng.random(len(weights)) * weights  # a random start: no arm is always served first
    counts = dict.fromkeys(arms, 0)
    placed = []
    for k in sorted(range(len(facts)), key=key.__getitem__):
        owed += weights
        chosen = int(np.argmax(np.where(weights > 0, owed, -np.inf)))
        owed[chosen] -= 1
        placed.append((positions[k], arms[chosen], counts[arms[chosen]]))
        counts[arms[chosen]] += 1
    return sorted(placed)


def answer_counts(world: World, plan: Plan) -> dict[tuple[str, str], np.ndarray]:
    """(relation, task) -> planned documents per object, in the order of the answer set."""
    counts: dict[tuple[str, str], np.ndarray] = {}
    rank = {
        name: {obj: k for k, obj in enumerate(objects)}
        for name, objects in world.candidates.items()
    }
    for cell in plan.cells:
        fact = world.facts[int(cell["fact"])]
        objects = rank[fact.relation_id]
        key = (fact.relation_id, get_task(TASK_NAMES[cell["task"]]).base)
        column = counts.setdefault(key, np.zeros(len(objects), dtype=np.int64))
        column[objects[fact.object]] += cell["n_documents"]
    return counts


def _tasks_of(world: World, relation_id: str, tasks: Sequence[str]) -> list[str]:
    """Without the two-hop task where the relation leads nowhere."""
    has_bridge = world.relations[relation_id].bridge is not None
    return [t for t in tasks if t != "multihop" or has_bridge]


def _follow(
    world: World,
    positions: range,
    assigned: dict[str, tuple[Assignment, int, int]],
    config: PlanConfig,
    arm_codes: np.ndarray,
    detail_codes: np.ndarray,
) -> list[tuple]:
    rows: list[tuple] = []
    for fact in positions:
        assignment, arm_codes[fact], detail_codes[fact] = assigned[world.facts[fact].root_id]
        if assignment.restated:
            rows += [(fact, *c) for c in _with_counts(assignment.cells, config.documents, config)]
    return rows


def _with_counts(
    cells: tuple[Cell, ...], counts: dict[str, int], config: PlanConfig
) -> list[tuple]:
    """CELL_DTYPE rows without the fact. Two-step forms need both of their formats."""
    shown = {cell.task for cell in cells}
    rows = []
    for cell in cells:
        task = get_task(cell.task)
        if task.route and not {task.route, task.base} <= shown:
            continue
        timing = cell.timing or config.timing.kind
        count = counts.get(cell.task, 0) if cell.n_documents is None else cell.n_documents
        start, stop = config.timing.start, config.timing.stop
        width = stop - start
        rows.append(
            (
                TASK_CODES[cell.task],
                min(count, 1) if timing == "once" else count,
                TIMINGS.index(timing),
                -1 if cell.wording is None else cell.wording,
                start + cell.window[0] * width,
                start + cell.window[1] * width,
            )
        )
    return rows


def check_plan_config(config: PlanConfig) -> None:
    """Raises ValueError listing every faulty key."""
    problems = []
    for task in config.tasks:
        get_task(task)
        if config.documents.get(task, 0) < 1:
            problems.append(f"corpus.plan.documents.{task}: must be at least 1 (task is listed)")
    for arm, share in config.arms.shares.items():
        get_arm(arm)
        if share < 0:
            problems.append(f"corpus.plan.arms.shares.{arm}: must not be negative, got {share}")
    if not sum(config.arms.shares.values()) > 0:
        problems.append("corpus.plan.arms.shares: at least one arm needs a positive share")
    if not config.tasks:
        problems.append("corpus.plan.tasks: at least one task is needed")
    if config.timing.kind not in TIMINGS:
        problems.append(f"corpus.plan.timing.kind: {config.timing.kind!r} not in {TIMINGS}")
    if not 0 <= config.timing.start < config.timing.stop <= 1:
        problems.append("corpus.plan.timing: needs 0 <= start < stop <= 1")
    problems += _arm_problems(config)
    for task, count in config.auxiliary.items():
        if task not in TASKS or count < 0:
            problems.append(f"corpus.plan.auxiliary.{task}: no such task, or a negative number")
    if any(dose < 1 for dose in config.arms.doses):
        problems.append(f"corpus.plan.arms.doses: must be at least 1, got {config.arms.doses}")
    if problems:
        raise ValueError("; ".join(problems))


def _arm_problems(config: PlanConfig) -> list[str]:
    """Parameters of the arms in use: every task they name needs documents."""
    arms, problems = config.arms, []
    pairs = arms.order_pairs
    if any(len(pair) != 2 for pair in pairs):
        problems.append(f"corpus.plan.arms.order_pairs: needs pairs of tasks, got {pairs}")
    named = {
        "A3_dose": ("dose_sources", arms.dose_sources),
        "A4_order": ("order_pairs", [task for pair in pairs for task in pair]),
        "A8_wordings": ("wordings_source", [arms.wordings_source]),
    }
    for arm, (key, tasks) in named.items():
        if arms.shares.get(arm, 0) > 0:
            counted = config.documents if arm == "A4_order" else TASKS
            unknown = [t for t in tasks if t not in TASKS or not counted.get(t)]
            if unknown or not tasks:
                problems.append(f"corpus.plan.arms.{key}: unknown or without documents: {unknown}")
    if arms.shares.get("A3_dose", 0) > 0 and not arms.doses:
        problems.append("corpus.plan.arms.doses: at least one dose is needed")
    return problems


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
    time = start + u * (stop - start)
    order = np.argsort(time, kind="stable")
    return owner[order], time[order]
