"""Where masks lie, and what the masks of a fact's tasks share (methods 3.5, 3.6, 3.8)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from coemerge.localization.controls import random_masks
from coemerge.localization.metrics import density_per_layer
from coemerge.localization.trained import TrainedMasks
from coemerge.prompts.tasks import get_task
from coemerge.statistics.entanglement import (
    drop_entanglement,
    jaccard_matrix,
    overlap_entanglement,
)
from coemerge.studies.shared.means import Rows, means, without_sd
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Localized


def layer_rows(runs: Sequence[Localized], config: TaskLocalizationConfig) -> Rows:
    """``MaskLayersRecord``."""
    frames = []
    for run in runs:
        for variant, masks in run.masks.items():
            for kind, values in (("head", masks.heads), ("neuron", masks.neurons)):
                for layer, density in enumerate(density_per_layer(values).T):
                    frames.append(
                        pd.DataFrame(
                            {
                                "seed": run.seed,
                                "fact_id": masks.fact_id,
                                "task": masks.task,
                                "variant": variant,
                                "layer": layer,
                                "kind": kind,
                                "density": density,
                            }
                        )
                    )
    keys = ["variant", "task", "layer", "kind"]
    return without_sd(means(pd.concat(frames), keys, "density", config))


def overlap_rows(runs: Sequence[Localized], config: TaskLocalizationConfig) -> Rows:
    """``MaskOverlapRecord``: of free masks; nothing where none were trained."""
    frames = [_overlaps(run, run.masks["free"], config) for run in runs if "free" in run.masks]
    if not frames:
        return []
    frame, keys = pd.concat(frames), ["between", "task", "other_task"]
    expected = {
        tuple(row[k] for k in keys): row["expected"]
        for row in means(frame, keys, "expected", config)
    }
    return [
        {**row, "expected": expected[at]}
        for row in without_sd(means(frame, keys, "jaccard", config))
        if (at := tuple(row[k] for k in keys)) in expected
    ]


def _overlaps(run: Localized, masks: TrainedMasks, config: TaskLocalizationConfig) -> pd.DataFrame:
    """Jaccard of a fact's masks in two tasks, and of two facts' masks in one task (of a relation);
    the same of random masks of their sizes."""
    found = jaccard_matrix(masks.units)
    expected = jaccard_matrix(random_masks(masks, 0, config.seed).units)
    relation = np.array([run.relation_of[fact] for fact in masks.fact_id])
    i, j = np.nonzero(~np.eye(len(masks), dtype=bool))
    of_fact = masks.fact_id[i] == masks.fact_id[j]
    of_task = (masks.task[i] == masks.task[j]) & (relation[i] == relation[j])
    kept = of_fact | of_task
    i, j, of_fact = i[kept], j[kept], of_fact[kept]
    return pd.DataFrame(
        {
            "seed": run.seed,
            "fact_id": masks.fact_id[i],
            "between": np.where(of_fact, "tasks", "facts"),
            "task": masks.task[i],
            "other_task": masks.task[j],
            "jaccard": found[i, j],
            "expected": expected[i, j],
        }
    )


def entanglement_rows(
    runs: Sequence[Localized], effects: pd.DataFrame, config: TaskLocalizationConfig
) -> Rows:
    """``EntanglementRecord``: by drops of the first variant, and by overlap of free masks; per
    task, and over the tasks of a kind."""
    values = []
    for run in runs:
        own = effects[(effects["seed"] == run.seed) & (effects["variant"] == run.main)]
        values.append(_by_drop(own, config).assign(seed=run.seed))
        if "free" in run.masks:
            values.append(_by_overlap(run.masks["free"]).assign(seed=run.seed))
    frame = pd.concat(values)
    kinds = frame.assign(task=[get_task(task).kind for task in frame["task"]])
    return without_sd(means(pd.concat([frame, kinds]), ["reading", "task"], "value", config))


def _by_drop(effects: pd.DataFrame, config: TaskLocalizationConfig) -> pd.DataFrame:
    ablated = effects[
        (effects["intervention"] == "ablate")
        & (effects["control"] == "none")
        & (effects["eval_facts"] == "own")
        & (effects["reference"] == config.mask_config.reference)
    ]
    rows = []
    for fact, group in ablated.groupby("fact_id"):
        drops = group.pivot(index="mask_task", columns="eval_task", values="relative_drop")
        drops = drops.reindex(columns=drops.index)
        shares = drop_entanglement(drops.to_numpy()[None])
        rows += [
            {"reading": "drop", "fact_id": fact, "task": task, "value": share}
            for task, share in zip(drops.index, shares, strict=True)
        ]
    return pd.DataFrame(rows)


def _by_overlap(masks: TrainedMasks) -> pd.DataFrame:
    units, rows = masks.units, []
    for fact in dict.fromkeys(masks.fact_id):
        mine = masks.fact_id == fact
        shares = overlap_entanglement(units[mine][None])
        rows += [
            {"reading": "overlap", "fact_id": fact, "task": task, "value": share}
            for task, share in zip(masks.task[mine], shares, strict=True)
        ]
    return pd.DataFrame(rows)
