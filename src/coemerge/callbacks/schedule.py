"""At which optimizer steps something happens."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class StepSchedule:
    """Step 0 (untrained), ``log_spaced`` steps growing geometrically up to ``every``, then each
    multiple of ``every``, the last step, and ``steps`` named outright.

    ``count`` spaces that many steps evenly over training instead of ``every``.
    """

    every: int | None = None
    count: int | None = None
    log_spaced: int = 0
    first: bool = True
    last: bool = True
    steps: Sequence[int] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        for name in ("every", "count"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"schedule.{name}: must be at least 1, got {value}")
        if self.every is not None and self.count is not None:
            raise ValueError("schedule: give every or count, not both")
        if self.log_spaced < 0 or any(s < 0 for s in self.steps):
            raise ValueError("schedule: log_spaced and steps must not be negative")

    def resolve(self, max_steps: int) -> list[int]:
        """The steps, sorted, each once, none beyond ``max_steps``."""
        chosen = set(self.steps)
        interval = self.every
        if self.count is not None:
            spaced = [round(i * max_steps / self.count) for i in range(1, self.count + 1)]
            chosen |= set(spaced)
            interval = max(1, spaced[0])
        elif interval is not None:
            chosen |= set(range(interval, max_steps + 1, interval))
        if self.log_spaced:
            top = interval or max_steps
            chosen |= {round(s) for s in np.geomspace(1, top, self.log_spaced, endpoint=False)}
        if self.first:
            chosen.add(0)
        if self.last:
            chosen.add(max_steps)
        return sorted(step for step in chosen if step <= max_steps)
