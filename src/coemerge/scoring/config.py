"""How a score is made of a probability; free of heavy imports."""

from dataclasses import dataclass, replace

BASES = ("full", "first", "cand")
CHANCES = ("auto", "uniform", "answer_prior")


@dataclass
class ScoreConfig:
    """Settings of the chance-normalised score (methods 2.5).

    ``base``: full (probability of the whole answer), first (of its first token: the same where
    answers are single tokens), or cand (the first token's share among the candidates).
    ``chance``: uniform over the answer set, or answer_prior, the score of a guesser who knows how
    often each answer is right in training. auto is uniform in synthetic worlds, whose answers are
    balanced, and answer_prior in others, where that guesser beats a uniform one.
    """

    base: str = "full"
    chance: str = "auto"


def check_score_config(config: ScoreConfig) -> None:
    """Raises ValueError naming the key."""
    for key, allowed in (("base", BASES), ("chance", CHANCES)):
        if getattr(config, key) not in allowed:
            raise ValueError(f"score.{key}: {getattr(config, key)!r} is not one of {allowed}")


def settle_chance(config: ScoreConfig, balanced: bool) -> ScoreConfig:
    """With ``auto`` replaced; ``balanced``: whether a world's answers are equally frequent."""
    if config.chance != "auto":
        return config
    return replace(config, chance="uniform" if balanced else "answer_prior")
