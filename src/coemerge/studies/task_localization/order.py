"""What coming first is worth: earlier masks have more units to choose from (methods 3.8)."""

import pandas as pd
from scipy.stats import spearmanr

from coemerge.studies.shared.means import Rows, means, without_sd
from coemerge.studies.task_localization.config import TaskLocalizationConfig

_KEYS = ["seed", "fact_id", "task"]


def order_rows(effects: pd.DataFrame, masks: pd.DataFrame, config: TaskLocalizationConfig) -> Rows:
    """``OrderEffectRecord``, of exclusive masks. Rank correlations are taken within a fact, where
    masks compete for units, and averaged over facts; facts without any variation are left out."""
    frame = _exclusive(effects, masks, config)
    rows: Rows = []
    for measure in ("target_drop", "recovery", "n_heads", "n_neurons"):
        values = frame.assign(value=frame[measure].astype(float)).dropna(subset=["value"])
        correlations = pd.DataFrame(
            [
                {"seed": seed, "fact_id": fact, "rho": _spearman(masks_of_fact)}
                for (seed, fact), masks_of_fact in values.groupby(["seed", "fact_id"])
            ],
            columns=["seed", "fact_id", "rho"],
        )
        last = values.groupby(["seed", "fact_id"])["order_index"].transform("max")
        ends = {
            "first": values.loc[values["order_index"] == 0, "value"].mean(),
            "last": values.loc[values["order_index"] == last, "value"].mean(),
        }
        found = means(correlations.assign(measure=measure), ["measure"], "rho", config)
        rows += [{**row, **ends} for row in without_sd(found)]
    return rows


def _exclusive(
    effects: pd.DataFrame, masks: pd.DataFrame, config: TaskLocalizationConfig
) -> pd.DataFrame:
    """Exclusive masks with what they do to their own prompts."""
    own = effects[
        (effects["variant"] == "exclusive")
        & (effects["control"] == "none")
        & (effects["eval_facts"] == "own")
        & (effects["eval_task"] == effects["mask_task"])
    ].rename(columns={"mask_task": "task", "relative_drop": "target_drop"})
    reference = config.mask_config.reference
    ablated = own[(own["intervention"] == "ablate") & (own["reference"] == reference)]
    patched = own[own["intervention"] == "patch"]
    exclusive = masks[masks["variant"] == "exclusive"]
    with_drops = exclusive.merge(ablated[[*_KEYS, "target_drop"]], on=_KEYS)
    return with_drops.merge(patched[[*_KEYS, "recovery"]], on=_KEYS)


def _spearman(masks: pd.DataFrame) -> float:
    """NaN where all values are equal."""
    if masks["value"].nunique() < 2:
        return float("nan")
    return float(spearmanr(masks["order_index"], masks["value"])[0])
