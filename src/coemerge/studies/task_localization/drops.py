"""What masks do to answers: the necessity matrix, and masks beside their controls (methods 3.5)."""

import pandas as pd

from coemerge.studies.shared.means import Rows, means
from coemerge.studies.task_localization.config import TaskLocalizationConfig


def drop_matrix(effects: pd.DataFrame, config: TaskLocalizationConfig) -> Rows:
    """``DropMatrixRecord``: mask task x evaluated task, and other facts in the mask's own task."""
    ablated = _of_masks(effects[effects["intervention"] == "ablate"])
    keys = ["variant", "masks", "reference", "mask_task", "eval_task", "eval_facts"]
    return means(ablated.rename(columns={"relative_drop": "drop"}), keys, "drop", config)


def mask_measures(
    effects: pd.DataFrame, masks: pd.DataFrame, config: TaskLocalizationConfig
) -> Rows:
    """``MaskMeasuresRecord``, of every task and of all together."""
    keys = ["variant", "masks", "reference", "control", "task"]
    rows: Rows = []
    for measure, frame in _measured(effects, masks, config).items():
        every = pd.concat([frame, frame.assign(task="all")])
        found = means(every[[*keys, "seed", "fact_id", "value"]], keys, "value", config)
        rows += [{**row, "measure": measure} for row in found]
    return rows


def _measured(
    effects: pd.DataFrame, masks: pd.DataFrame, config: TaskLocalizationConfig
) -> dict[str, pd.DataFrame]:
    """Measure -> one value per row, with the keys of ``mask_measures``."""
    frame = effects.assign(task=effects["mask_task"])
    ablated = frame[frame["intervention"] == "ablate"].assign(
        value=lambda rows: rows["relative_drop"]
    )
    on_target = (ablated["eval_facts"] == "own") & (ablated["eval_task"] == ablated["mask_task"])
    on_others = ablated["eval_facts"] == "other"
    target = _with_masks(ablated[on_target])
    own = target[target["control"] == "none"]
    sizes = _sizes(own, masks)
    return {
        "target_drop": target,
        "tasks_drop": _with_masks(ablated[~on_target & ~on_others]),
        "facts_drop": _with_masks(ablated[on_others]),
        "recovery": _recoveries(frame, config),
        "valid": own[own["masks"] == "all"].assign(value=lambda rows: rows["valid"].astype(float)),
        "n_heads": sizes.assign(value=sizes["n_heads"].astype(float)),
        "n_neurons": sizes.assign(value=sizes["n_neurons"].astype(float)),
    }


def _recoveries(frame: pd.DataFrame, config: TaskLocalizationConfig) -> pd.DataFrame:
    """Patching knows no reference: the same values stand beside each, with the verdict of that
    reference on the mask."""
    keys = ["seed", "fact_id", "mask_task", "variant", "reference"]
    verdicts = frame[frame["intervention"] == "ablate"].drop_duplicates(keys)[[*keys, "valid"]]
    patched = frame[frame["intervention"] == "patch"]
    patched = patched.assign(value=patched["recovery"]).drop(columns="valid")
    beside = [patched.assign(reference=reference) for reference in config.all_references]
    return _with_masks(pd.concat(beside).merge(verdicts, on=keys))


def _sizes(own: pd.DataFrame, masks: pd.DataFrame) -> pd.DataFrame:
    """Of each mask in each of its rows."""
    keys = ["seed", "fact_id", "task", "variant"]
    return own.merge(masks[[*keys, "n_heads", "n_neurons"]], on=keys)


def _of_masks(frame: pd.DataFrame) -> pd.DataFrame:
    """Without controls; all masks, then the valid ones once more."""
    return _with_masks(frame[frame["control"] == "none"])


def _with_masks(frame: pd.DataFrame) -> pd.DataFrame:
    """All rows, and once more those of valid masks."""
    return pd.concat([frame.assign(masks="all"), frame[frame["valid"]].assign(masks="valid")])
