"""The task formats: what each shows, how it is answered, and what chance is."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["generative", "discriminative"]
Options = Literal["seen", "fresh", "none"]
Split = Literal["seen_templates", "held_out_templates"]
Asked = Literal["object", "relation", "truth"]

NAMING = "relation_naming"


@dataclass(frozen=True, slots=True)
class Task:
    """One format (methods 2.3). ``phrasing`` is the key of its paraphrases in a template file.

    ``n_options`` is 0 for tasks without lettered options. ``restated_by`` is set for the two-step
    forms ``cot_<route>_<task>``: the fact is restated in the route's wording before the answer.
    """

    name: str
    phrasing: str
    kind: Kind
    n_options: int = 0
    route: str | None = None
    answers: str | None = None

    @property
    def base(self) -> str:
        """The format that is answered in the end: itself, or the last step of a two-step form."""
        return self.answers or self.name

    @property
    def form(self) -> str:
        if self.route:
            return "cot"
        return "relation" if self.base == NAMING else "direct"

    @property
    def asks(self) -> Asked:
        """What a fact is asked for: its object (the entity side), its relation, or its truth."""
        asked: dict[str, Asked] = {NAMING: "relation", "verification": "truth"}
        return asked.get(self.base, "object")

    @property
    def shows_object(self) -> bool:
        """Whether the prompt names the fact's object or another one, as likely."""
        return self.asks != "object"


_DIRECT = (
    Task("completion", "statement", "generative"),
    Task("fitb", "cloze", "generative"),
    Task("openqa", "question", "generative"),
    Task("mcqa", "choice", "discriminative", n_options=4),
    Task("negmcqa", "negated", "discriminative", n_options=2),
    Task("verification", "claim", "discriminative"),
    Task("multihop", "multihop", "generative"),
)
_COT = tuple(
    Task(f"cot_{route}_{t.name}", t.phrasing, t.kind, t.n_options, route=route, answers=t.name)
    for t in _DIRECT
    if t.kind == "discriminative"
    for route in ("completion", "fitb", "openqa")
)
# Last: a stored corpus names a format by its place here.
_BOTH_SIDES = (Task(NAMING, "pair", "discriminative"),)
TASKS: dict[str, Task] = {task.name: task for task in (*_DIRECT, *_COT, *_BOTH_SIDES)}
CORE_TASKS = ("completion", "fitb", "openqa", "mcqa", "negmcqa", "verification")


def get_task(name: str) -> Task:
    """Raises ValueError naming the known tasks."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    return TASKS[name]


def chance_level(task: Task, n_candidates: int) -> float:
    """Probability of the right answer under uniform guessing among the allowed answers."""
    if task.base == "verification":
        return 0.5
    return 1.0 / (task.n_options or n_candidates)
