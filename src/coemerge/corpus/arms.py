"""Arms of the experiment: which cells (fact, task) a fact of each arm is shown in (methods 2.4).

An arm is a function of a fact's rank within its arm and relation, so that sources, targets, doses
and orders rotate evenly. Everything an arm does not list is withheld.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coemerge.prompts.tasks import get_task

FIRST_HALF, SECOND_HALF = (0.0, 0.5), (0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One (fact, task) to be shown. ``n_documents`` None means the task's usual number.

    ``window`` is the part of training, as fractions, in which the documents fall; ``wording`` the
    one template to use, or None for all seen ones; ``timing`` None means the plan's.
    """

    task: str
    n_documents: int | None = None
    window: tuple[float, float] = (0.0, 1.0)
    wording: int | None = None
    timing: str | None = None


@dataclass
class ArmsConfig:
    """``shares``: weight of each arm within a relation. The rest parametrises single arms."""

    shares: dict[str, float] = field(default_factory=dict)
    doses: list[int] = field(default_factory=lambda: [1, 3, 10, 30, 100])
    dose_sources: list[str] = field(default_factory=lambda: ["completion", "openqa"])
    order_pairs: list[list[str]] = field(default_factory=lambda: [["completion", "mcqa"]])
    wordings_source: str = "completion"  # A8: shown once, or this often in one or in many wordings
    wordings_documents: int = 10
    wordings_window: list[float] = field(default_factory=lambda: [0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Assignment:
    """``detail`` says which target, source, dose or variant this fact got.

    ``restated`` tells whether facts that restate this one (inverse, synonym) may be shown.
    """

    cells: tuple[Cell, ...]
    detail: str = ""
    restated: bool = True


def _alone(tasks: Sequence[str]) -> list[str]:
    """Without two-step forms, which cannot be shown alone: a run that adds them keeps each fact's
    target and source."""
    return [task for task in tasks if not get_task(task).route]


ArmRule = Callable[[int, Sequence[str], ArmsConfig], Assignment]


def _full(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    return Assignment(tuple(Cell(t) for t in tasks))


def _withheld_target(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    target = _alone(tasks)[rank % len(_alone(tasks))]
    return Assignment(tuple(Cell(t) for t in tasks if t != target), detail=target)


def _single_source(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    source = _alone(tasks)[rank % len(_alone(tasks))]
    return Assignment((Cell(source),), detail=source)


def _dose(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    lap, which = divmod(rank, len(config.doses))
    source = config.dose_sources[lap % len(config.dose_sources)]
    dose = config.doses[which]
    return Assignment((Cell(source, n_documents=dose),), detail=f"{source}:{dose}")


def _order(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    lap, reverse = divmod(rank, 2)
    pair = config.order_pairs[lap % len(config.order_pairs)]
    first, second = pair[::-1] if reverse else pair
    cells = (Cell(first, window=FIRST_HALF), Cell(second, window=SECOND_HALF))
    return Assignment(cells, detail=f"{first}>{second}")


def _never(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    return Assignment((), restated=False)


def _half_restated(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    restated = rank % 2 == 0
    detail = "restated" if restated else "restatement withheld"
    return Assignment(tuple(Cell(t) for t in tasks), detail, restated)


def _wordings(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
    task, many = config.wordings_source, config.wordings_documents
    start, stop = config.wordings_window
    window, first = (start, stop), (start, start + (stop - start) / many)
    variants = {
        "once": Cell(task, 1, first, wording=0, timing="injections"),
        "repeated": Cell(task, many, window, wording=0, timing="injections"),
        "reworded": Cell(task, many, window, timing="injections"),
    }
    name = list(variants)[rank % len(variants)]
    return Assignment((variants[name],), detail=name)


def _sides(*asked: str) -> ArmRule:
    """Shown in the formats that ask for these parts of a fact alone (``Task.asks``)."""

    def rule(rank: int, tasks: Sequence[str], config: ArmsConfig) -> Assignment:
        return Assignment(tuple(Cell(t) for t in tasks if get_task(t).asks in asked))

    return rule


SIDES: dict[str, ArmRule] = {
    "entity_only": _sides("object"),
    "relation_only": _sides("relation"),
    "both_sides": _sides("object", "relation"),
}
ARMS: dict[str, ArmRule] = {
    "A0_full": _full,
    "A1_withheld_target": _withheld_target,
    "A2_single_source": _single_source,
    "A3_dose": _dose,
    "A4_order": _order,
    "A5_never": _never,
    "A6_one_direction": _half_restated,
    "A7_one_synonym": _half_restated,
    "A8_wordings": _wordings,
    **SIDES,
}


def period(tasks: Sequence[str], config: ArmsConfig) -> int:
    """Ranks that lie this far apart are assigned alike, in every arm."""
    laps = (
        len(_alone(tasks)),
        2 * len(config.order_pairs),
        len(config.doses) * len(config.dose_sources),
        3,
        2,
    )
    return math.lcm(*(max(lap, 1) for lap in laps))


def get_arm(name: str, key: str = "corpus.plan.arms.shares") -> ArmRule:
    """Raises ValueError naming the configuration's key and the known arms."""
    if name not in ARMS:
        raise ValueError(f"{key}: unknown arm {name!r}; known: {', '.join(ARMS)}")
    return ARMS[name]
