"""Settings of the study of query localization; free of heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coemerge.localization.attribution_config import METHODS, AttributionConfig
from coemerge.prompts.tasks import get_task
from coemerge.studies.shared.settings import (
    check_lists,
    check_pairs,
    check_text,
    check_whole_numbers,
    is_number,
)

OTSU = "otsu"
EDITORS = ("rome", "memit")
Threshold = float | str
_LEAST = {
    "k": 2,
    "n_facts": 2,
    "context_draws": 1,
    "random_draws": 1,
    "edit_draws": 1,
    "min_facts": 2,
    "checkpoint": 0,
    "top": 1,
    "unrelated": 1,
    "layer": 0,
    "memit_layers": 1,
    "key_tokens": 1,
    "text_tokens": 0,
    "bins": 1,
    "bootstrap_draws": 1,
    "seed": 0,
}
_LISTS = ("localisers", "thresholds", "betas", "taus", "editors")
_SHARES = ("tau", "alpha", "dev_share", "least_probability")


@dataclass(frozen=True)
class QueryLocalizationConfig:
    """``task``: the format whose wordings are queries; ``k``: queries per fact, all answered right.

    ``arms``: whose facts, null for all that training showed; ``facts``: by name, null for all.
    ``n_facts``: at most so many, relations taking turns; ``min_facts``: fewer are refused;
    ``only_known`` false takes any k wordings, right or wrong, to try the study on a model that
    knows nothing. ``checkpoint``: an optimizer step, null: the last.
    ``localisers``: see ``AttributionConfig.method``; ``localiser``: whose neurons are intervened
    on. ``steps``, ``grid``: of ``joint``. ``tau``: share of a query's highest attribution that a
    neuron needs; ``top``: equally many of every query instead. ``thresholds``: of cs2, numbers or
    otsu, up to which a fact is inconsistent; ``threshold``: the one that makes classes.
    ``context_draws``: texts tried before a query, of which k are taken that leave it right.
    ``alpha``: share of the highest score that a synapse needs. ``random_draws``, ``edit_draws``:
    of random neurons. ``least_probability``: answers below it have no relative change.
    ``dev_share``: of facts on which the ``betas`` and ``taus`` of edited sets are chosen.
    ``lambdas``: of updates. ``editors``: of weights, some of ``EDITORS``, whose updates stand
    beside those of neurons. ``layer``: theirs, null for a third of the way up; ``memit_layers``:
    how many memit spreads over, up to that one; ``memit_weight``: its lambda. ``contexts``:
    (tokens, how many) of the texts behind which they read a query; ``key_tokens``: of the text that
    says which keys are common, the run's corpus or what follows in ``text``.
    ``unrelated``: queries, of other relations and of its own, that an edit should leave alone.
    ``text``: a file for perplexity, null for questions with option sets that training never showed
    (see ``text``); ``text_tokens`` of it, 0 for no perplexity. ``bins``: groups of neighbours in
    heat maps.
    """

    task: str = "completion"
    k: int = 5
    arms: Sequence[str] | None = None
    facts: Sequence[str] | None = None
    n_facts: int | None = 200
    min_facts: int = 4
    only_known: bool = True
    checkpoint: int | None = None
    localisers: Sequence[str] = METHODS
    localiser: str = "joint"
    steps: int = 20
    grid: str = "midpoint"
    tau: float = 0.2
    top: int = 20
    thresholds: Sequence[Threshold] = (0.1, 0.2, 0.3, OTSU)
    threshold: Threshold = 0.3
    alpha: float = 0.3
    context_draws: int = 40
    random_draws: int = 20
    edit_draws: int = 5
    least_probability: float = 0.02
    dev_share: float = 0.3
    betas: Sequence[float] = (0.0, 0.5, 1.0, 2.0)
    taus: Sequence[float] = (0.1, 0.2, 0.3)
    lambdas: Sequence[float] = (2.0, 2.0)
    editors: Sequence[str] = EDITORS
    layer: int | None = None
    memit_layers: int = 3
    memit_weight: float = 100.0
    contexts: Sequence[Sequence[int]] = ((5, 5),)
    key_tokens: int = 100_000
    unrelated: int = 20
    text: str | None = None
    text_tokens: int = 1024
    bins: int = 64
    bootstrap_draws: int = 10_000
    seed: int = 0

    @property
    def tasks(self) -> tuple[str]:
        return (self.task,)

    def attribution(self, method: str) -> AttributionConfig:
        """Only ``joint`` has a path, on whose points what is kept of it depends."""
        if method == "joint":
            return AttributionConfig(method, self.steps, self.grid)
        return AttributionConfig(method)

    def check(self) -> None:
        """Raises ValueError naming the key."""
        for name in _LISTS:
            if getattr(self, name) is None:
                raise ValueError(f"study.{name}: give a list, not null")
        check_lists(self, ("arms", "facts", *_LISTS))
        check_whole_numbers(self, _LEAST, optional=("n_facts", "checkpoint", "layer"))
        if self.n_facts is not None and self.n_facts < self.min_facts:
            raise ValueError(
                f"study.n_facts: {self.n_facts} are fewer than study.min_facts={self.min_facts}"
            )
        if self.context_draws < self.k:
            raise ValueError(
                f"study.context_draws: {self.context_draws} texts are fewer than "
                f"study.k={self.k}, which a query needs"
            )
        if not isinstance(self.only_known, bool):
            raise ValueError(f"study.only_known: must be true or false, got {self.only_known!r}")
        try:
            get_task(self.task)
        except ValueError as error:
            raise ValueError(f"study.task: {error}") from error
        self._check_numbers()
        self._check_editors()
        for method in self.localisers:
            AttributionConfig(method=method).check("study.localisers")
        self.attribution("joint").check("study")
        if self.localiser not in self.localisers:
            raise ValueError(
                f"study.localiser: {self.localiser!r} is not one of study.localisers, "
                f"{', '.join(self.localisers)}"
            )
        self._check_thresholds()
        check_text(self)

    def _check_numbers(self) -> None:
        for name in _SHARES:
            _check_share(f"study.{name}", getattr(self, name))
        for tau in self.taus:
            _check_share("study.taus", tau)
        if not self.betas or not self.taus:
            raise ValueError("study.betas and study.taus: name at least one value each")
        for beta in self.betas:
            if not is_number(beta) or beta < 0:
                raise ValueError(f"study.betas: must be numbers, not negative, got {beta!r}")
        pair = isinstance(self.lambdas, list | tuple) and len(self.lambdas) == 2
        if not pair or not all(map(is_number, self.lambdas)):
            raise ValueError(f"study.lambdas: takes two numbers, got {self.lambdas}")

    def _check_editors(self) -> None:
        for name in self.editors:
            if name not in EDITORS:
                raise ValueError(f"study.editors: {name!r} is not one of {', '.join(EDITORS)}")
        if not is_number(self.memit_weight) or self.memit_weight <= 0:
            raise ValueError(f"study.memit_weight: must be above 0, got {self.memit_weight!r}")
        check_pairs(self, "contexts")

    def _check_thresholds(self) -> None:
        for threshold in self.thresholds:
            if threshold != OTSU:
                _check_share("study.thresholds", threshold)
        if self.threshold not in self.thresholds:
            raise ValueError(
                f"study.threshold: {self.threshold!r} is not one of study.thresholds, "
                f"{', '.join(map(str, self.thresholds))}"
            )


def _check_share(key: str, value: Any) -> None:
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{key}: must be from 0 to below 1, got {value!r}")
