"""The few distinct ways in which facts are shown; each of a million refers to one by a code."""

from collections.abc import Sequence

import numpy as np

from coemerge.corpus.arms import Assignment, Cell, get_arm, period
from coemerge.corpus.plan_config import TIMINGS, PlanConfig
from coemerge.prompts.tasks import TASKS, get_task

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
        config = self._config.arms
        lap = period(tasks, config)
        table = np.array(
            [
                [
                    self._add(1 + which, get_arm(arm)(rank, tasks, config), self._config.documents)
                    for rank in range(lap)
                ]
                for which, arm in enumerate(active_arms(config.shares))
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
