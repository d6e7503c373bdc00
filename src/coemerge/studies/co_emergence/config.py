"""Settings of the studies; free of heavy imports, so that they can be checked at once."""

from dataclasses import dataclass, field

from coemerge.prompts.tasks import CORE_TASKS, get_task
from coemerge.statistics.thresholds import THETA
from coemerge.studies.shared.settings import check_lists, check_whole_numbers

# Noise is estimated between paraphrases, emergence between checkpoints: two of each.
_LEAST = {"paraphrases": 2, "checkpoints": 2, "null_draws": 1, "bootstrap_draws": 1, "seed": 0}


@dataclass
class CoEmergenceConfig:
    """``thetas``: emergence thresholds, 0.6 among them, which is that of the figures; ``windows``:
    checkpoints that a target may take to follow, -1 among them (to the end); ``paraphrases`` asked
    per fact and task; ``tasks`` null: all that there are; ``checkpoints``: at most so many, spread
    over training (null: all); ``answers``: whether models also answer by themselves, for three
    accuracies."""

    thetas: list[float] = field(default_factory=lambda: [0.6, 0.4, 0.8])
    windows: list[int] = field(default_factory=lambda: [-1, 0, 1, 2, 4, 8, 16])
    paraphrases: int = 3
    tasks: list[str] | None = None
    checkpoints: int | None = None
    answers: bool = True
    null_draws: int = 200
    bootstrap_draws: int = 10_000
    seed: int = 0

    def check(self) -> None:
        """Raises ValueError naming the key."""
        check_lists(self, ("thetas", "windows", "tasks"))
        check_whole_numbers(self, _LEAST, optional=("checkpoints",))
        for theta in self.thetas:
            if not 0 < theta < 1:
                raise ValueError(f"study.thetas: {theta} is not between 0 and 1")
        if THETA not in self.thetas:
            raise ValueError(
                f"study.thetas: {self.thetas} lacks {THETA}, the threshold of figures and of the "
                "published rates; add others to it"
            )
        if -1 not in self.windows or min(self.windows) < -1:
            raise ValueError(
                f"study.windows: {self.windows} needs -1 (to the last checkpoint), and 0, 1, ... "
                "for shorter ones"
            )
        for task in self.tasks or ():
            get_task(task)
        if len(self.tasks or CORE_TASKS) < 2:
            raise ValueError(f"study.tasks: co-emergence needs two tasks, got {self.tasks}")
