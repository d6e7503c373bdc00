"""Settings of the studies; free of heavy imports, so that they can be checked at once."""

from dataclasses import dataclass, field


@dataclass
class CoEmergenceConfig:
    """``thetas``: emergence thresholds, the first for figures; ``windows``: checkpoints that a
    target may take to follow (-1: to the end); ``paraphrases`` asked per fact and task."""

    thetas: list[float] = field(default_factory=lambda: [0.6, 0.4, 0.8])
    windows: list[int] = field(default_factory=lambda: [-1, 0, 1, 2, 4, 8, 16])
    paraphrases: int = 3
    null_draws: int = 200
    bootstrap_draws: int = 10_000
    seed: int = 0

    def check(self) -> None:
        """Raises ValueError naming the key."""
        for theta in self.thetas:
            if not 0 < theta < 1:
                raise ValueError(f"study.thetas: {theta} is not between 0 and 1")
        if not self.thetas or not self.windows or min(self.windows) < -1:
            raise ValueError("study.thetas and study.windows: name some; windows are -1, 0, 1, ...")
        for name in ("paraphrases", "null_draws", "bootstrap_draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"study.{name}: must be positive, got {getattr(self, name)}")
