"""Settings of the study, and what a run must have left for it; free of heavy imports."""

from dataclasses import dataclass
from pathlib import Path

from coemerge.inputs import read_yaml
from coemerge.prompts.tasks import get_task
from coemerge.studies.shared.settings import check_whole_numbers

MASKS = Path("results") / "task_localization"
REFERENCES = ("mean", "zero")
MIN_DRAWS = 20  # behind a worst-of-K floor (methods 3.7, T-T1)
_LEAST = {"random_draws": MIN_DRAWS, "paraphrases": 2, "max_tokens": 4, "bootstrap_draws": 1,
          "tokens_per_batch": 1, "seed": 0}  # fmt: skip


@dataclass
class ChainOfThoughtConfig:
    """``baseline``: accuracy of the untouched model that a fact needs, direct and with reasoning.
    ``reference``: what ablated units become. ``random_draws``: random masks of equal size per
    layer, of each mask. ``paraphrases`` held out that are asked of each fact and task.
    ``max_tokens``: reasoning and answer together. ``tokens_per_batch``: null for what suits the
    device."""

    baseline: float = 0.99
    reference: str = "mean"
    random_draws: int = MIN_DRAWS
    paraphrases: int = 2
    max_tokens: int = 32
    tokens_per_batch: int | None = None
    bootstrap_draws: int = 10_000
    seed: int = 0

    def check(self) -> None:
        """Raises ValueError naming the key."""
        if not 0 < self.baseline <= 1:
            raise ValueError(f"study.baseline: must be in (0, 1], got {self.baseline}")
        if self.reference not in REFERENCES:
            raise ValueError(
                f"study.reference: {self.reference!r} is not one of {', '.join(REFERENCES)}"
            )
        check_whole_numbers(self, _LEAST, optional=("tokens_per_batch",))

    def check_run(self, run: Path, out: Path) -> None:
        """``out``: where the analysis writes. Raises ValueError where a run was shown no reasoning
        or has no masks, with the remedy."""
        routes(run)
        masks_of(run, out)


@dataclass(frozen=True)
class Cues:
    """What surrounds reasoning: ``reason`` opens it, ``answers[task]`` stands before the answer."""

    reason: str
    answers: dict[str, str]


def routes(run: Path) -> dict[str, str]:
    """Answered task -> the two-step form in which a run was trained to answer it.

    Raises ValueError without any, and for two forms of one task: their prompts are alike up to the
    reasoning, so nobody knows which one the model will take.
    """
    found: dict[str, str] = {}
    for name in _settings(run)["corpus"]["plan"]["tasks"]:
        task = get_task(name)
        if not task.route:
            continue
        if task.base in found:
            raise ValueError(
                f"{run} restates facts in two formats before it answers in {task.base} "
                f"({found[task.base]}, {name}), so the route is not known: name one of them in "
                "corpus.plan.tasks"
            )
        found[task.base] = name
    if not found:
        raise ValueError(
            f"{run} was trained on no chain of thought (no cot_<route>_<task> in "
            f"corpus.plan.tasks): python train.py experiment=chain_of_thought model.base={run}, "
            "then localize and study that run"
        )
    return found


def masks_of(run: Path, out: Path) -> Path:
    """Where the masks of a run are: its own, or those of all runs that are analysed together.
    Raises ValueError naming the command that trains them."""
    for directory in (run / MASKS, out / MASKS):
        if all((directory / f"{name}.parquet").is_file() for name in ("masks", "mask_units")):
            return directory
    raise ValueError(
        f"{run / MASKS / 'masks.parquet'}: missing; this study ablates masks of single formats, "
        f"which python analyze.py study=task_localization run={run} trains"
    )


def cues(run: Path) -> Cues:
    prompts = _settings(run)["prompts"]
    return Cues(prompts["cot_reason"], dict(prompts["answer_cues"]))


def _settings(run: Path) -> dict:
    path = run / "config.yaml"
    if not path.is_file():
        raise ValueError(f"{path}: missing; it tells which formats the run was trained on")
    content = read_yaml(path)
    try:
        if isinstance(content["corpus"]["plan"]["tasks"], list):
            return content
    except (KeyError, TypeError):
        pass
    raise ValueError(f"{path}: corpus.plan.tasks: missing; is it the configuration of a run?")
