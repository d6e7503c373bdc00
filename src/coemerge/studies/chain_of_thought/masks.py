"""The masks that the study of task localization has left, read back from its tables."""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from coemerge.interventions.architecture import ModuleMap
from coemerge.localization.trained import LOSS_TERMS, TrainedMasks
from coemerge.tables.store import read_metadata, read_table

VARIANT = "exclusive"
_CELL = ["fact_id", "task"]


def read_masks(directory: Path, seed: int, model: nn.Module) -> TrainedMasks:
    """The exclusive masks of the run with this seed, [J,L,H] and [J,L,m] of ``model``.

    Raises ValueError where there are none, or units that the model does not have.
    """
    rows, units = (_of_run(directory / f"{name}.parquet", seed) for name in ("masks", "mask_units"))
    if rows.empty:
        raise ValueError(
            f"{directory / 'masks.parquet'}: no {VARIANT} masks of seed {seed}; analyze.py "
            "study=task_localization trains them (study.variants)"
        )
    modules, n = ModuleMap(model), len(rows)
    heads = np.zeros((n, modules.n_layers, modules.n_heads), dtype=bool)
    neurons = np.zeros((n, modules.n_layers, modules.d_mlp), dtype=bool)
    place = pd.Series(np.arange(n), index=pd.MultiIndex.from_frame(rows[_CELL]))
    for kind, array in (("head", heads), ("neuron", neurons)):
        own = units[units["kind"] == kind]
        mask = place.loc[pd.MultiIndex.from_frame(own[_CELL])].to_numpy()
        at = own["layer"].to_numpy(), own["index"].to_numpy()
        if len(own) and (at[0].max() >= array.shape[1] or at[1].max() >= array.shape[2]):
            raise ValueError(
                f"{directory / 'mask_units.parquet'}: a {kind} of layer {at[0].max()} with index "
                f"{at[1].max()}, but the model has {array.shape[1]} layers of {array.shape[2]}: "
                "localize this run again (study=task_localization)"
            )
        array[mask, *at] = True
    losses = [rows[f"loss_{term}"] for term in LOSS_TERMS]
    return TrainedMasks(
        fact_id=rows["fact_id"].to_numpy(object),
        task=rows["task"].to_numpy(object),
        heads=heads,
        neurons=neurons,
        order_index=rows["order_index"].to_numpy(),
        losses=np.stack(losses, axis=1),
        n_steps=rows["n_steps"].to_numpy(),
        wall_s=rows["wall_s"].to_numpy(),
    )


def check_owner(directory: Path, run_id: str) -> None:
    """Raises ValueError where the masks were trained on other runs: facts, seed and sizes may all
    fit, as of the run that this one continues."""
    runs = read_metadata(read_table(directory / "masks.parquet")).get("runs")
    if runs is not None and run_id not in runs:
        raise ValueError(
            f"{directory}: masks of {', '.join(runs)}, not of {run_id}: localize it (python "
            "analyze.py study=task_localization run=...)"
        )


def trained_at(directory: Path) -> int | None:
    """The optimizer step whose model was localized, None for the last one."""
    settings = read_metadata(read_table(directory / "masks.parquet")).get("settings", {})
    step = settings.get("checkpoint")
    return None if step is None else int(step)


def _of_run(path: Path, seed: int) -> pd.DataFrame:
    frame = read_table(path).to_pandas()
    chosen = frame[(frame["variant"] == VARIANT) & (frame["seed"] == seed)]
    return chosen.reset_index(drop=True)
