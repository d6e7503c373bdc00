"""All masks and effects of all runs, one row each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from coemerge.localization.trained import LOSS_TERMS, TrainedMasks
from coemerge.studies.task_localization.localize import Localized

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
