"""Settings of the study of knowledge neurons and syntax; free of heavy imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.tracing_config import TracingConfig
from coemerge.studies.shared.grids import (
    Grid,
    check_edited_token,
    check_editors,
    check_tracing_keys,
    combinations,
)
from coemerge.studies.shared.settings import (
    check_asks_object,
    check_between_0_and_1,
    check_given,
    check_lists,
    check_not_empty,
    check_pairs,
    check_text,
    check_whole_numbers,
    is_number,
)

EDITORS = ("rome", "memit", "ft", "kn")
# Where an answer is read at its prompt's end already in the first layers, nothing that is written
# at the subject reaches it: a shallow model is edited at the end, if tracing points there.
EDITED_TOKENS = {
    "traced": ("last", "first", "end"),
    "last": ("last",),
    "first": ("first",),
    "end": ("end",),
}
# A verb or a noun is one of many that agree: the likeliest of twenty has little to lose, and
# effects are differences, so that none explodes.
_TRACING = {"severed": (), "min_total_effect": 0.02}
_NAMED = ("arms", "facts", "phenomena")
_LEAST = {
    "checkpoint": 0,
    "min_prompts": 2,
    "n_prompts": 2,
    "n_items": 0,
    "item_prompts": 1,
    "steps": 1,
    "share_steps": 0,
    "least": 1,
    "most": 1,
    "similarity_draws": 1,
    "random_draws": 1,
    "traced": 0,
    "memit_layers": 1,
    "key_tokens": 1,
    "edits": 2,
    "paraphrases": 1,
    "neighbours": 1,
    "examples": 0,
    "bootstrap_draws": 1,
    "seed": 0,
}


@dataclass(frozen=True)
class KnowledgeNeuronsConfig:
    """``task``: the format in which facts are asked. ``arms``, ``facts``: whose facts, null for all
    that training showed; ``phenomena``: of syntax, null for all; ``pairs``: a BLiMP file or folder
    for models that are asked about facts of another data set. ``checkpoint``: an optimizer step,
    null: the last. ``least_accuracy``: groups answered right less often are not studied;
    ``min_prompts``: nor those with fewer prompts on each side.

    ``n_prompts``: that a class's neurons are looked for in, and again as many that they are tried
    on, at most; ``n_items``: of each topic, ``item_prompts``: of each. ``method``, ``steps``: of
    attribution; ``tau``: of coarse sets; ``share``, ``share_step``, ``share_steps``, ``least``,
    ``most``: of the search for a refined set of ``least`` to ``most`` neurons.
    ``similarity_draws``: draws of prompts and of permutations; ``random_draws``: random sets.

    ``traced``: prompts of each topic, 0 for no tracing; ``tracing``: changes to ``TracingConfig``.
    ``editors``, ``grids``, ``layers``, ``memit_layers``, ``dev_share``, ``contexts``,
    ``key_tokens``, ``text``: as in ``EntityRelationConfig``. ``edited_token``: what holds the key
    and the value of an edit: the ``last`` token of the word that decides (the subject) as
    published, its ``first``, the ``end`` of the prompt, or the one that causal tracing points at.
    ``edits``: words or facts edited of each topic; ``paraphrases``, ``neighbours``: prompts of
    each, at most.
    ``examples``: edits of each family and editor of which continuations are shown.
    """

    task: str = "completion"
    arms: Sequence[str] | None = None
    facts: Sequence[str] | None = None
    phenomena: Sequence[str] | None = None
    pairs: str | None = None
    checkpoint: int | None = None
    least_accuracy: float = 0.75
    min_prompts: int = 5
    n_prompts: int = 100
    n_items: int = 12
    item_prompts: int = 6
    method: str = "joint"
    steps: int = 20
    tau: float = 0.2
    share: float = 0.7
    share_step: float = 0.05
    share_steps: int = 20
    least: int = 2
    most: int = 5
    similarity_draws: int = 20
    random_draws: int = 20
    traced: int = 40
    tracing: Mapping[str, Any] = field(default_factory=dict)
    editors: Sequence[str] = EDITORS
    grids: Mapping[str, Sequence[Grid]] = field(default_factory=dict)
    layers: Sequence[int] | None = None
    edited_token: str = "traced"
    memit_layers: int = 3
    dev_share: float = 0.2
    contexts: Sequence[Sequence[int]] = ((2, 2),)
    key_tokens: int = 100_000
    text: str | None = None
    edits: int = 40
    paraphrases: int = 5
    neighbours: int = 5
    examples: int = 2
    bootstrap_draws: int = 10_000
    seed: int = 0

    @property
    def tasks(self) -> tuple[str]:
        return (self.task,)

    @property
    def attribution(self) -> AttributionConfig:
        """Only ``joint`` has a path, on whose points what is kept of it depends."""
        steps = self.steps if self.method == "joint" else AttributionConfig.steps
        return AttributionConfig(self.method, steps)

    @property
    def traced_config(self) -> TracingConfig:
        """Noise is on the word that decides, or on a fact's subject."""
        changes = {key: value for key, value in self.tracing.items() if value is not None}
        return TracingConfig(**{**_TRACING, "seed": self.seed, **changes, "corrupt": "subject"})

    def settings(self, editor: str) -> list[dict[str, Any]]:
        """Those to be tried of an editor."""
        return combinations(self.grids, editor)

    def check(self) -> None:
        """Raises ValueError naming the key."""
        check_given(self, lists=("editors",), mappings=("grids", "tracing"))
        check_lists(self, (*_NAMED, "editors", "layers"))
        check_pairs(self, "contexts")
        check_not_empty(self, _NAMED)
        check_whole_numbers(self, _LEAST, optional=("checkpoint",))
        check_between_0_and_1(self, ("share_step", "dev_share"))
        self._check_sets()
        check_asks_object(self)
        check_editors(self, EDITORS)
        self._check_tracing()
        check_text(self)
        if self.pairs is not None and not Path(str(self.pairs)).exists():
            raise ValueError(f"study.pairs: there is no BLiMP file or folder {self.pairs}")

    def _check_sets(self) -> None:
        """What sets of neurons are made of, and how large."""
        for name in ("least_accuracy", "tau", "share"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"study.{name}: must be from 0 to 1, got {value!r}")
        AttributionConfig(self.method, self.steps).check("study")
        for fewer, more in (("least", "most"), ("min_prompts", "n_prompts")):
            if getattr(self, fewer) > getattr(self, more):
                raise ValueError(
                    f"study.{more}: {getattr(self, more)} is less than "
                    f"study.{fewer}={getattr(self, fewer)}"
                )

    def _check_tracing(self) -> None:
        check_tracing_keys(self.tracing)
        self.traced_config.check("study.tracing")
        points = bool(self.traced) and "mlp" in self.traced_config.kinds
        check_edited_token(self, EDITED_TOKENS, points, "study.traced=0 or study.tracing.kinds")
