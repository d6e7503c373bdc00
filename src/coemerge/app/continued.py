"""Formats that are added to a run's need that run's facts, in that run's arms."""

from collections.abc import Mapping
from typing import Any

from coemerge.app.schema import TrainConfig
from coemerge.inputs import read_yaml
from coemerge.lm.base import Base

_SAME = ("seed", "world.seed", "corpus.plan.arms.shares")


def check_continued(config: TrainConfig, base: Base | None) -> None:
    """Where formats are added (``corpus.plan.added``) to a run of ours, its settings decide which
    facts there are and which arm each is in. Raises ValueError naming a key that differs."""
    added = ", ".join(config.corpus.plan.added)
    if not added:
        return
    if base is None or base.run is None:
        raise ValueError(
            f"corpus.plan.added: {added}: added to what? name the run that is continued, such as "
            "model.base=artifacts/runs/fact_injection-seed0"
        )
    path = base.run / "config.yaml"
    before = read_yaml(path)
    shares = config.corpus.plan.arms.shares
    now = (config.seed, getattr(config.world, "seed", None), shares)
    for key, value in zip(_SAME, now, strict=True):
        then = _at(before, key)
        if then != value:
            raise ValueError(
                f"{key}: {value}, but {then} in {path}: with other facts or arms, those that know "
                f"no reasoning ({added}) could not be told; set it as there"
            )


def _at(settings: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where it is not there."""
    value: Any = settings  # a mapping, or whatever else a file may hold
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
