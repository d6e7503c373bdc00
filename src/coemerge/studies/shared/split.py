"""Facts on which settings are chosen, and facts that results are told of."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Splits(Protocol):
    """Settings of a study, as far as a split needs them."""

    @property
    def seed(self) -> int: ...

    @property
    def dev_share(self) -> float: ...


def split(facts: Sequence[str], config: Splits) -> tuple[np.ndarray, np.ndarray]:
    """Places of (dev, test) facts, by their names alone: a fact that settings are chosen on in one
    model is reported in none. At least one of each where there are two, whatever their names."""
    names = [f"{config.seed}/{fact}".encode() for fact in facts]
    share = np.array([int(hashlib.sha256(name).hexdigest()[:8], 16) for name in names]) / 16**8
    order = np.argsort(share)
    n_dev = min(max(int((share < config.dev_share).sum()), 1), len(order) - 1)
    return np.sort(order[:n_dev]), np.sort(order[n_dev:])
