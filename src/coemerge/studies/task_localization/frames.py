"""All masks and effects of all runs, one row each, and means over facts with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from coemerge.localization.trained import LOSS_TERMS, TrainedMasks
from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Localized

Rows = list[dict[str, Any]]
_MASK = ["fact_id", "mask_task"]


def all_effects(runs: Sequence[Localized]) -> pd.DataFrame:
    """``EffectsRecord``."""
    return pd.concat([run.effects for run in runs], ignore_index=True)


def all_masks(runs: Sequence[Localized]) -> pd.DataFrame:
    """``MasksRecord``."""
    frames = [
        _masks_of(run, variant, masks) for run in runs for variant, masks in run.masks.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _masks_of(run: Localized, variant: str, masks: TrainedMasks) -> pd.DataFrame:
    effects = run.effects
    patches = effects[(effects["variant"] == variant) & (effects["intervention"] == "patch")]
    valid = patches.drop_duplicates(_MASK).set_index(_MASK)["valid"]
    losses = {f"loss_{term}": masks.losses[:, k] for k, term in enumerate(LOSS_TERMS)}
    return pd.DataFrame(
        {
            "seed": run.seed,
            "fact_id": masks.fact_id,
            "relation": [run.relation_of[fact] for fact in masks.fact_id],
            "task": masks.task,
            "variant": variant,
            "order_index": masks.order_index,
            "n_heads": masks.n_heads,
            "n_neurons": masks.n_neurons,
            "valid": [bool(valid[cell]) for cell in masks.cells],
            **losses,
            "n_steps": masks.n_steps,
            "wall_s": masks.wall_s,
        }
    )


def all_units(runs: Sequence[Localized]) -> pd.DataFrame:
    """``MaskUnitsRecord``."""
    frames = []
    for run in runs:
        for variant, masks in run.masks.items():
            for kind, values in (("head", masks.heads), ("neuron", masks.neurons)):
                mask, layer, index = np.nonzero(values)
                frames.append(
                    pd.DataFrame(
                        {
                            "seed": run.seed,
                            "fact_id": masks.fact_id[mask],
                            "task": masks.task[mask],
                            "variant": variant,
                            "layer": layer,
                            "kind": kind,
                            "index": index,
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def means(
    frame: pd.DataFrame,
    keys: Sequence[str],
    value: str,
    config: TaskLocalizationConfig,
) -> Rows:
    """Of every group by ``keys``: the mean of ``value`` over facts (first within a fact), its SD
    across them, and an interval over seeds and facts (columns seed, fact_id). Undefined values are
    left out; groups without any are not there."""
    defined = frame.dropna(subset=[value])
    rows: Rows = []
    for key, group in defined.groupby(list(keys), sort=False):
        of_fact = group.groupby(["seed", "fact_id"])[value].mean()
        samples = [facts.to_numpy(float) for _, facts in of_fact.groupby("seed")]
        found = hierarchical_bootstrap(samples, seed=config.seed, draws=config.bootstrap_draws)
        named = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append(
            {
                **named,
                value: found.mean,
                "sd": found.sd,
                "low": found.low,
                "high": found.high,
                "n": found.n,
            }
        )
    return rows


def without_sd(rows: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != "sd"} for row in rows]
