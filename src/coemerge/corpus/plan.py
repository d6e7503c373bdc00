"""The exposure plan: how many documents show each (fact, task), in which arm, and when.

Held as numpy columns, one row per cell, so that millions of cells stay small. The plan says what
should be shown; analyses read the ledger of what was (``ledger``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from coemerge.corpus.arms import ArmsConfig, Assignment, Cell, get_arm, period
from coemerge.prompts.tasks import TASKS, get_task
from coemerge.worlds.facts import Relation, World

TIMINGS = ("uniform", "burst", "spaced", "once", "window", "injections")
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
    random phase; ``once``: one document only; ``window``: uniform, start and stop given here;
    ``injections``: evenly, at the same moments for all facts.
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
    patterns = _Patterns(config)
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


class _Patterns:
    """The few distinct ways in which facts are shown; each fact refers to one by its code.

    Code 0 shows nothing and belongs to no arm. ``_rows[code]`` are its CELL_DTYPE rows, the fact
    left open.
    """

    def __init__(self, config: PlanConfig) -> None:
        self._config = config
        self.arms = (NO_ARM, *_active(config.arms.shares))
        self.details: dict[str, int] = {"": 0}
        self._rows: list[np.ndarray] = []
        self._restated: list[bool] = []
        self._arm_codes: list[int] = []
        self._details: list[int] = []
        self._known: dict[tuple[int, Assignment], int] = {}
        self._add(0, Assignment(()), config.documents)

    @property
    def arm_codes(self) -> np.ndarray:
        return np.array(self._arm_codes, dtype=np.int8)

    @property
    def detail_codes(self) -> np.ndarray:
        return np.array(self._details, dtype=np.int16)

    def auxiliary(self) -> int:
        """The code of relations that have no arms."""
        cells = tuple(Cell(task) for task in self._config.auxiliary)
        return self._add(0, Assignment(cells), self._config.auxiliary)

    def codes(self, arms: np.ndarray, ranks: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
        """Of facts by their arm (index into the shares) and rank within it."""
        config = self._config.arms
        lap = period(tasks, config)
        table = np.array(
            [
                [
                    self._add(1 + which, get_arm(arm)(rank, tasks, config), self._config.documents)
                    for rank in range(lap)
                ]
                for which, arm in enumerate(_active(config.shares))
            ]
        )
        return table[arms, ranks % lap]

    def cells(self, positions: np.ndarray, codes: np.ndarray, restated: bool = False) -> np.ndarray:
        """CELL_DTYPE rows of the facts, one after the other. With ``restated``, of facts that
        follow another one: none where its arm withholds them."""
        sizes = np.array([len(rows) for rows in self._rows])
        if restated:
            sizes = sizes * np.array(self._restated)
        starts = np.concatenate([[0], np.cumsum([len(rows) for rows in self._rows])])
        counts = sizes[codes]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        cells = np.concatenate(self._rows)[np.repeat(starts[codes], counts) + within]
        cells["fact"] = np.repeat(positions, counts)
        return cells

    def _add(self, arm: int, assignment: Assignment, counts: dict[str, int]) -> int:
        key = (arm, assignment)
        if key not in self._known:
            self._known[key] = len(self._rows)
            rows = _with_counts(assignment.cells, counts, self._config)
            self._rows.append(np.array([(0, *row) for row in rows], dtype=CELL_DTYPE))
            self._restated.append(assignment.restated)
            self._arm_codes.append(arm)
            self._details.append(self.details.setdefault(assignment.detail, len(self.details)))
        return self._known[key]


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
    weights = np.array(list(_active(shares).values()), dtype=float)
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


def _active(shares: dict[str, float]) -> dict[str, float]:
    return {arm: share for arm, share in shares.items() if share > 0}


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
    together = (rank + 0.5) / np.maximum(counts[owner], 1)
    u = np.where(kind == TIMINGS.index("injections"), together.astype(np.float32), u)
    time = start + u * (stop - start)
    order = np.argsort(time, kind="stable")
    return owner[order], time[order]
