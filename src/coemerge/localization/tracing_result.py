"""What tracing found: effects of many prompts, by position and by role, and their averages.

Axes: N prompts, L layers, T tokens of the longest prompt. NaN where a prompt has no such token.
"""

from dataclasses import dataclass

import numpy as np

from coemerge.statistics.intervals import bootstrap_mean


@dataclass(frozen=True, eq=False)
class TracingResult:
    """``p_clean``, ``p_corrupted`` float32 [N]; ``is_top1`` bool [N]: whether the answer is what
    the model finds likeliest.

    ``effects``: per kind the indirect effects ``P_restored - P_corrupted``, float32 [N,L,T]:
    ``resid``, ``mlp``, ``attn``, and ``resid_mlp_severed``, ``resid_attn_severed``, NaN at
    positions where nothing was severed. ``roles``: bool [N,T,6], columns ``role_names``.
    ``windows`` [L]: how many layers were restored around each, for ``mlp`` and ``attn``; compare
    layers with windows of the same size. ``noise_std``: of the noise.
    """

    p_clean: np.ndarray
    p_corrupted: np.ndarray
    is_top1: np.ndarray
    effects: dict[str, np.ndarray]
    roles: np.ndarray
    role_names: tuple[str, ...]
    windows: np.ndarray
    noise_std: float

    @property
    def total_effect(self) -> np.ndarray:
        """``P_clean - P_corrupted`` [N]."""
        return self.p_clean - self.p_corrupted

    def by_role(self, kind: str) -> np.ndarray:
        """[N,L,6]: mean over the tokens of each role, so that long spans weigh no more."""
        effects = self.effects[kind]
        traced = ~np.isnan(effects)
        members = self.roles.astype(effects.dtype)
        total = np.where(traced, effects, 0) @ members
        count = traced.astype(effects.dtype) @ members
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


@dataclass(frozen=True, eq=False)
class Kept:
    """``mask`` bool [N]: prompts that averages are made of. Of ``n`` prompts, ``n_not_top1`` are
    left out as the model does not answer them, ``n_small_effect`` of the others as corruption
    takes too little from them."""

    mask: np.ndarray
    n: int
    n_not_top1: int
    n_small_effect: int

    @property
    def n_kept(self) -> int:
        return int(self.mask.sum())


def with_total_effect(
    result: TracingResult, min_total_effect: float, only_top1: bool = True
) -> Kept:
    """Prompts with a total effect above ``min_total_effect`` (effects divided by a total near 0
    explode), and, as in methods 2.8, with the right answer on top."""
    answered = result.is_top1 | (not only_top1)
    has_effect = result.total_effect > min_total_effect
    return Kept(
        mask=answered & has_effect,
        n=len(answered),
        n_not_top1=int((~answered).sum()),
        n_small_effect=int((answered & ~has_effect).sum()),
    )


@dataclass(frozen=True, eq=False)
class Bands:
    """Mean over prompts with its 95 % interval and the number of prompts, each [L,6]; NaN where no
    prompt has the role, and for the interval of a single one."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray


def average_by_role(result: TracingResult, kind: str, kept: np.ndarray, seed: int = 0) -> Bands:
    """AIE of the prompts ``kept`` (bool [N]) per layer and role, with bands by bootstrap."""
    effects = result.by_role(kind)[kept]
    shape = effects.shape[1:]
    mean, low, high = (np.full(shape, np.nan) for _ in range(3))
    n = np.zeros(shape, int)
    for cell in np.ndindex(shape):
        values = effects[:, *cell]
        values = values[~np.isnan(values)]
        if len(values):
            found = bootstrap_mean(values, seed)
            mean[cell], low[cell], high[cell], n[cell] = found.mean, found.low, found.high, found.n
    return Bands(mean, low, high, n)
