"""Settings of the exposure plan, and their checks."""

import math
from dataclasses import dataclass, field

from coemerge.corpus.arms import SIDES, ArmsConfig, get_arm
from coemerge.prompts.tasks import NAMING, TASKS, get_task

TIMINGS = ("uniform", "burst", "spaced", "once", "window", "injections")
_MOST_DOCUMENTS = 1_000_000  # of one fact in one format


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
    auxiliary relations, which have no arms.

    ``added``: formats among ``tasks`` that a run adds to those of the run it continues, each with
    the share of every arm's facts that is shown in it (not named: none). They decide nothing about
    arms: each fact keeps its arm, its target and its source.
    """

    tasks: list[str] = field(default_factory=list)
    documents: dict[str, int] = field(default_factory=dict)
    auxiliary: dict[str, int] = field(default_factory=dict)
    added: dict[str, dict[str, float]] = field(default_factory=dict)
    arms: ArmsConfig = field(default_factory=ArmsConfig)
    timing: TimingConfig = field(default_factory=TimingConfig)

    @property
    def names_relations(self) -> bool:
        """Whether any document or prompt asks for a relation's name."""
        return NAMING in (*self.tasks, *self.auxiliary)


def check_plan_config(config: PlanConfig) -> None:
    """Raises ValueError listing every faulty key."""
    problems = []
    for task in config.tasks:
        get_task(task)
        if not 1 <= config.documents.get(task, 0) <= _MOST_DOCUMENTS:
            problems.append(
                f"corpus.plan.documents.{task}: must be at least 1 (task is listed) and at most "
                f"{_MOST_DOCUMENTS:,}, got {config.documents.get(task)}"
            )
    if twice := sorted({task for task in config.tasks if config.tasks.count(task) > 1}):
        problems.append(f"corpus.plan.tasks: {', '.join(twice)} is named twice")
    for arm, share in config.arms.shares.items():
        get_arm(arm)
        if not 0 <= share < math.inf:
            problems.append(
                f"corpus.plan.arms.shares.{arm}: must not be negative, and finite, got {share}"
            )
    if not sum(config.arms.shares.values()) > 0:
        problems.append("corpus.plan.arms.shares: at least one arm needs a positive share")
    if not config.tasks:
        problems.append("corpus.plan.tasks: at least one task is needed")
    if config.timing.kind not in TIMINGS:
        problems.append(f"corpus.plan.timing.kind: {config.timing.kind!r} not in {TIMINGS}")
    if not 0 <= config.timing.start < config.timing.stop <= 1:
        problems.append("corpus.plan.timing: needs 0 <= start < stop <= 1")
    problems += _arm_problems(config) + _side_problems(config) + _added_problems(config)
    for task, count in config.auxiliary.items():
        if task not in TASKS or not 0 <= count <= _MOST_DOCUMENTS:
            problems.append(f"corpus.plan.auxiliary.{task}: no such task, or no number in range")
    if any(dose < 1 for dose in config.arms.doses):
        problems.append(f"corpus.plan.arms.doses: must be at least 1, got {config.arms.doses}")
    if problems:
        raise ValueError("; ".join(problems))


def _added_problems(config: PlanConfig) -> list[str]:
    problems = []
    for task, shares in config.added.items():
        where = f"corpus.plan.added.{task}"
        if task not in config.tasks:
            problems.append(f"{where}: not among corpus.plan.tasks, add it there")
        for arm, share in shares.items():
            get_arm(arm, where)
            if not 0 <= share <= 1:
                problems.append(f"{where}.{arm}: must be in [0, 1], got {share:g}")
    if config.tasks and set(config.tasks) <= set(config.added):
        problems.append("corpus.plan.added: names all of corpus.plan.tasks; one must be left")
    return problems


def _side_problems(config: PlanConfig) -> list[str]:
    """Arms that contrast the two sides of a fact need formats on both."""
    used = [arm for arm in SIDES if config.arms.shares.get(arm, 0) > 0]
    asked = {TASKS[task].asks for task in config.tasks if task not in config.added}
    if not used or {"object", "relation"} <= asked:
        return []
    return [
        f"corpus.plan.arms.shares.{used[0]}: corpus.plan.tasks needs {NAMING} and a format that "
        f"asks for the object, got {config.tasks}"
    ]


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
    if arms.wordings_documents < 1:
        problems.append(
            f"corpus.plan.arms.wordings_documents: must be positive, got {arms.wordings_documents}"
        )
    window = arms.wordings_window
    if len(window) != 2 or not 0 <= window[0] < window[1] <= 1:
        problems.append(
            f"corpus.plan.arms.wordings_window: needs 0 <= start < stop <= 1, got {window}"
        )
    return problems
