"""Settings of the study of knowledge neurons and syntax; free of heavy imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EDITORS = ("rome", "memit", "ft", "kn")


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
    ``editors``, ``grids``, ``layers``, ``edited_token``, ``memit_layers``, ``dev_share``,
    ``contexts``, ``key_tokens``, ``text``: as in ``EntityRelationConfig``. ``edits``: words or
    facts edited of each topic; ``paraphrases``, ``neighbours``: prompts of each, at most.
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
    grids: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
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
