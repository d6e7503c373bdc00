"""Which layer and settings an editor gets: those that serve best on facts kept for it."""

import logging
from collections.abc import Sequence

import pandas as pd

from coemerge.studies.entity_relation.cases import SIDES
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.judging import Judge
from coemerge.studies.shared.editors import ANY_LAYER
from coemerge.studies.shared.grids import Setting, told
from coemerge.studies.shared.kept import Frames

log = logging.getLogger(__name__)
Chosen = dict[tuple[str, str], tuple[int, Setting]]  # of (editor, side)


def tried_settings(
    judge: Judge, layers: Sequence[int], config: EntityRelationConfig
) -> tuple[pd.DataFrame, Chosen]:
    """(``EditChoiceRecord`` but for seed and traced, what is chosen): for every editor and side the
    layer and settings with the highest s (``Judge.scores``) on that side; the first of equals."""
    runs = [
        (editor, side, layer, setting)
        for editor in config.editors
        for side in SIDES
        if judge.of_side(side)
        for layer in ([ANY_LAYER] if editor == "kn" else layers)
        for setting in config.settings(editor)
    ]

    def scores(i: int) -> Frames:
        editor, side, layer, setting = runs[i]
        found = judge.scores(side, judge.edit(editor, side, layer, setting))
        how = {"editor": editor, "edit_side": side, "layer": layer, "setting": told(setting)}
        return (pd.DataFrame([{**how, **found, "n": len(judge.of_side(side))}]),)

    units = [(*run[:3], sorted(run[3].items())) for run in runs]
    found = judge.frames(1, units, scores, "choosing edits", "setting")
    tried = pd.concat([frame for (frame,) in found], ignore_index=True)
    best = tried["s"].fillna(-1).groupby([tried["editor"], tried["edit_side"]], sort=False).idxmax()
    chosen = {(runs[i][0], runs[i][1]): (runs[i][2], runs[i][3]) for i in best}
    for (editor, side), (layer, setting) in chosen.items():
        log.info("%s, %s side: layer %d, %s", editor, side, layer, told(setting))
    return tried.assign(chosen=tried.index.isin(best)), chosen
