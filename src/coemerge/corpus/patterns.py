"""The few distinct ways in which facts are shown; each of a million refers to one by a code."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coemerge.corpus.arms import Assignment, Cell, get_arm, period
from coemerge.corpus.plan_config import TIMINGS, PlanConfig
from coemerge.prompts.tasks import TASKS, get_task

NO_ARM = "auxiliary"
TASK_CODES = {name: code for code, name in enumerate(TASKS)}
TASK_NAMES = tuple(TASKS)
_ROUNDING = 1e-9  # a share of 0.1 reaches 1 after ten facts, though ten tenths may not add to it

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


class Patterns:
    """Code 0 shows nothing and belongs to no arm. ``_rows[code]`` are its CELL_DTYPE rows, the fact
    left open.
    """

    def __init__(self, config: PlanConfig) -> None:
        self._config = config
        self.arms = (NO_ARM, *active_arms(config.arms.shares))
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
        own = [task for task in tasks if task not in self._config.added]
        added = [task for task in tasks if task in self._config.added]
        codes = np.zeros(len(arms), dtype=np.int32)
        if not own:
            return codes
        lap = period(own, self._config.arms)
        shown = [self._is_shown(task, arms, ranks) for task in added]
        which = sum((s.astype(np.int64) << k for k, s in enumerate(shown)), np.zeros_like(codes))
        for combination in np.unique(which):
            more = [task for k, task in enumerate(added) if combination >> k & 1]
            here = which == combination
            codes[here] = self._table(own, more, lap)[arms[here], ranks[here] % lap]
        return codes

    def _is_shown(self, task: str, arms: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """bool [n]: the facts shown in an added format, evenly spread over the ranks of an arm."""
        shares = self._config.added[task]
        of_arm = np.array([shares.get(arm, 0.0) for arm in active_arms(self._config.arms.shares)])
        share = of_arm[arms]
        before, after = (np.floor(n * share + _ROUNDING) for n in (ranks, ranks + 1))
        return after > before

    def _table(self, tasks: Sequence[str], more: Sequence[str], lap: int) -> np.ndarray:
        """Codes by arm and rank, of facts that are shown in the formats ``more`` too."""
        config = self._config.arms
        cells = tuple(Cell(task) for task in more)
        table = []
        for which, arm in enumerate(active_arms(config.shares)):
            assigned = (get_arm(arm)(rank, tasks, config) for rank in range(lap))
            given = [replace(a, cells=a.cells + cells) for a in assigned]
            table.append([self._add(1 + which, a, self._config.documents) for a in given])
        return np.array(table)

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


def active_arms(shares: dict[str, float]) -> dict[str, float]:
    """Arms with a share."""
    return {arm: share for arm, share in shares.items() if share > 0}


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
