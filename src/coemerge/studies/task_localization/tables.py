"""All tables of the study, from what was measured on each run."""

from collections.abc import Sequence

from coemerge.studies.shared.means import Rows
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.drops import drop_matrix, mask_measures
from coemerge.studies.task_localization.frames import all_effects, all_masks, all_units
from coemerge.studies.task_localization.localize import Localized
from coemerge.studies.task_localization.order import order_rows
from coemerge.studies.task_localization.sharing import entanglement_rows, layer_rows, overlap_rows


def task_localization_tables(
    runs: Sequence[Localized], config: TaskLocalizationConfig
) -> dict[str, Rows]:
    """Table -> rows, as ``tables.localization_records`` has their columns."""
    effects, masks = all_effects(runs), all_masks(runs)
    return {
        "masks": masks.to_dict("records"),
        "mask_units": all_units(runs).to_dict("records"),
        "effects": effects.to_dict("records"),
        "drop_matrix": drop_matrix(effects, config),
        "mask_measures": mask_measures(effects, masks, config),
        "mask_layers": layer_rows(runs, config),
        "mask_overlap": overlap_rows(runs, config),
        "entanglement": entanglement_rows(runs, effects, config),
        "order_effect": order_rows(effects, masks, config),
    }
