"""Means of causal tracing over all seeds, with intervals over seeds and prompts (methods 2.11)."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from coemerge.localization.tracing_result import TracingResult
from coemerge.statistics.resampling import hierarchical_means
from coemerge.studies.shared.means import Draws, Rows

WINDOWED = ("mlp", "attn")


def mean_total_effect(
    tables: Sequence[np.ndarray],
    columns: Sequence[str],
    config: Draws,
    units: Sequence[np.ndarray] | None = None,
) -> dict[str, float]:
    """Of prompts [n_i, C] per seed: the mean of each of ``columns``, and sd, low and high of
    ``total_effect``, which is one of them; NaN without prompts. ``units`` [n_i] per seed: prompts
    of equal ones are resampled together; None where each stands for itself."""
    if not sum(map(len, tables)):
        return dict.fromkeys((*columns, "sd", "low", "high"), np.nan)
    found = hierarchical_means(tables, config.seed, config.bootstrap_draws, units=units)
    means = dict(zip(columns, found.mean.tolist(), strict=True))
    effect = list(columns).index("total_effect")
    return {
        **means,
        "sd": float(found.sd[effect]),
        "low": float(found.low[effect]),
        "high": float(found.high[effect]),
    }


def mean_effects(
    results: Sequence[TracingResult],
    kept: Sequence[np.ndarray],
    kind: str,
    config: Draws,
    units: Sequence[np.ndarray] | None = None,
) -> Rows:
    """Average indirect effects of restored states of a ``kind``, a row per layer and role that a
    prompt has; ``results`` per seed, ``kept`` bool [N] the prompts of each. ``units`` [N] of each:
    as in ``mean_total_effect``."""
    if not sum(mask.sum() for mask in kept):
        return []
    first = results[0]
    effects = [found.by_role(kind)[mask] for found, mask in zip(results, kept, strict=True)]
    n_layers, n_roles = effects[0].shape[1:]
    tables = [values.reshape(-1, n_layers * n_roles) for values in effects]
    if units is not None:
        units = [of[mask] for of, mask in zip(units, kept, strict=True)]
    found = hierarchical_means(tables, config.seed, config.bootstrap_draws, units=units)
    return [
        {
            "role": first.role_names[place],
            "layer": layer,
            "window": int(first.windows[layer]) if kind in WINDOWED else 1,
            "place": place,
            "aie": float(found.mean[cell]),
            "sd": float(found.sd[cell]),
            "low": float(found.low[cell]),
            "high": float(found.high[cell]),
            "n": int(found.n[cell]),
        }
        for cell, (layer, place) in enumerate(product(range(n_layers), range(n_roles)))
        if found.n[cell]
    ]
