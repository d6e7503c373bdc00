"""Settings of the study of the two sides of a fact; free of heavy imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coemerge.localization.tracing_config import TracingConfig
from coemerge.studies.shared.grids import (
    KEYS,
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
)

EDITORS = tuple(KEYS)
EDITED_TOKENS = {"traced": ("last", "first"), "last": ("last",), "first": ("first",)}
# Outputs are held wherever a residual is restored: what matters need not be the last token.
_TRACING = {"severed_positions": "all"}
_LEAST = {
    "n_facts": 1,
    "min_facts": 2,
    "checkpoint": 0,
    "paraphrases": 1,
    "neighbours": 1,
    "memit_layers": 1,
    "key_tokens": 1,
    "steps": 1,
    "traced_facts": 0,
    "wordings": 1,
    "prefix_draws": 1,
    "bootstrap_draws": 1,
    "seed": 0,
}


@dataclass(frozen=True)
class EntityRelationConfig:
    """``task``: the format that asks for the object (the entity side).

    ``arms``: whose facts, null for all that training showed; ``facts``: by name, null for all.
    ``n_facts``: at most so many of each arm, relations taking turns, null for all; ``min_facts``:
    fewer are refused. ``only_known``: facts are edited whose edited prompts the model answers right
    on every side that their arm was shown in (of models from elsewhere, on the entity's).
    ``checkpoint``: an optimizer step, null: the last.
    ``paraphrases``, ``neighbours``: prompts per probe, at most. ``editors``: some of ``EDITORS``.
    ``grids``: by editor, sets of values to be tried, the published ones being an empty set; facts
    held out for it (``dev_share``) decide. ``layers``: likewise the layers to be tried,
    null for where causal tracing points. ``edited_token``: which token of the subject holds the key
    and the value of an edit: its ``last`` as published, its ``first``, or the one of them that
    causal tracing points at.
    ``memit_layers``: how many layers MEMIT spreads over, up to that one. ``contexts``: (tokens, how
    many) of the prefixes that a request is read behind. ``key_tokens``: of text for the second
    moment of keys; ``text``: a file of it, null for the run's corpus. ``steps``: points of the path
    of integrated gradients (kn).
    ``traced_facts``: at most so many; ``wordings``: that take turns over them; ``corruptions``:
    whose tokens get noise; ``tracing``: changes to ``TracingConfig`` (here
    outputs are held at all positions). ``prefix_draws``: texts tried
    before a prompt, for the neutral control.
    """

    task: str = "completion"
    arms: Sequence[str] | None = None
    facts: Sequence[str] | None = None
    n_facts: int | None = None
    min_facts: int = 4
    only_known: bool = True
    checkpoint: int | None = None
    paraphrases: int = 5
    neighbours: int = 5
    editors: Sequence[str] = EDITORS
    grids: Mapping[str, Sequence[Grid]] = field(default_factory=dict)
    layers: Sequence[int] | None = None
    edited_token: str = "traced"
    memit_layers: int = 3
    dev_share: float = 0.2
    contexts: Sequence[Sequence[int]] = ((2, 2),)
    key_tokens: int = 100_000
    text: str | None = None
    steps: int = 20
    traced_facts: int = 70
    wordings: int = 4
    corruptions: Sequence[str] = ("subject", "relation", "both")
    tracing: Mapping[str, Any] = field(default_factory=dict)
    prefix_draws: int = 20
    bootstrap_draws: int = 10_000
    seed: int = 0

    @property
    def tasks(self) -> tuple[str]:
        return (self.task,)

    def traced(self, corrupt: str) -> TracingConfig:
        changes = {key: value for key, value in self.tracing.items() if value is not None}
        return TracingConfig(**{**_TRACING, "seed": self.seed, **changes, "corrupt": corrupt})

    def settings(self, editor: str) -> list[dict[str, Any]]:
        """Those to be tried of an editor."""
        return combinations(self.grids, editor)

    def check(self) -> None:
        """Raises ValueError naming the key."""
        check_given(self, lists=("editors", "corruptions"), mappings=("grids", "tracing"))
        check_lists(self, ("arms", "facts", "editors", "layers", "corruptions"))
        check_pairs(self, "contexts")
        check_not_empty(self, ("arms", "facts"))
        check_whole_numbers(self, _LEAST, optional=("n_facts", "checkpoint"))
        if not isinstance(self.only_known, bool):
            raise ValueError(f"study.only_known: must be true or false, got {self.only_known!r}")
        check_between_0_and_1(self, ("dev_share",))
        check_asks_object(self)
        check_editors(self, EDITORS)
        self._check_tracing()
        check_text(self)

    def _check_tracing(self) -> None:
        check_tracing_keys(self.tracing)
        for corrupt in self.corruptions:
            self.traced(corrupt).check("study.tracing")
        if "neutral" in self.corruptions:
            raise ValueError("study.corruptions: neutral is the control, which is always there")
        restores_mlps = "mlp" in self.traced("subject").kinds
        points = "subject" in self.corruptions and bool(self.traced_facts) and restores_mlps
        why_not = "study.traced_facts=0, study.corruptions or study.tracing.kinds"
        check_edited_token(self, EDITED_TOKENS, points, why_not)
