"""Settings of value optimisation; free of heavy imports."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ValueConfig:
    """How the value is found that a subject should have (methods 2.10).

    lr, steps: of Adam; a step is a loss, and a change of the value after each but the last.
    kl_weight: of KL(before || after) of what follows the subject in the neutral text.
    weight_decay: of ||delta|| / ||v0||^2.
    max_norm: ||delta|| is at most so many times ||v0||.
    stop_loss: a request is done when its loss is below.
    also_contexts: behind how many contexts a second goal is asked.

    The defaults are those published for rank-one edits of GPT-2 XL. Small models: ``SMALL``.
    """

    lr: float = 0.5
    steps: int = 20
    kl_weight: float = 0.0625
    weight_decay: float = 0.5
    max_norm: float = 4.0
    stop_loss: float = 0.05
    also_contexts: int = 5

    def check(self, where: str = "value") -> None:
        """Raises ValueError naming the key."""
        for key in ("lr", "max_norm"):
            _check_number(f"{where}.{key}", getattr(self, key), above=0)
        for key in ("kl_weight", "weight_decay", "stop_loss"):
            _check_number(f"{where}.{key}", getattr(self, key))
        for key in ("steps", "also_contexts"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{where}.{key}: must be a whole number of 1 or more: {value!r}")


def _check_number(name: str, value: float, above: float = -math.inf) -> None:
    if not math.isfinite(value) or value < 0 or value <= above:
        least = "above 0" if above == 0 else "of 0 or more"
        raise ValueError(f"{name}: must be a finite number {least}, got {value!r}")


MEMIT = ValueConfig(max_norm=0.75)
# Chosen on a GPT-2 shape of 4 layers and width 128, layer 1, six contexts, by the harmonic mean of
# ES, PS and NS. Its MLPs write little, so that the published bound leaves most requests unmet; how
# bold the steps are trades PS against NS.
SMALL = ValueConfig(lr=2.0, steps=40, max_norm=20.0)
