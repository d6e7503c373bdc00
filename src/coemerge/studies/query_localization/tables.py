"""All tables of the study, from what was found in each model."""

from collections.abc import Sequence

import pandas as pd

from coemerge.studies.query_localization.classes import class_shares, classes
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.consistency import consistency_means
from coemerge.studies.query_localization.edits import (
    Settings,
    choice_rows,
    chosen_settings,
    neuron_edits,
)
from coemerge.studies.query_localization.maps import neuron_maps
from coemerge.studies.query_localization.study import Studied, set_rows
from coemerge.studies.query_localization.weights import weight_edits
from coemerge.studies.query_localization.wordings import wording_effects
from coemerge.studies.shared.means import Rows, means, measured

_EDIT_MEASURES = (
    "rel", "gen", "gen_new", "loc", "loc_near", "avg", "ppl_change", "n_neurons",
)  # fmt: skip
_BEFORE = {"rel": "rel_before", "gen": "gen_before", "gen_new": "gen_before"}


def query_localization_tables(
    runs: Sequence[Studied], config: QueryLocalizationConfig
) -> dict[str, Rows]:
    """Table name -> rows (``tables.query_localization_records``)."""
    consistency = pd.concat([run.consistency for run in runs], ignore_index=True)
    cls = classes(consistency, config)
    settings = chosen_settings(pd.concat([run.tried for run in runs]))
    edits = _of_class([_edits(run, settings) for run in runs], cls)
    mapped = _of_class([run.mapping.assign(seed=run.subject.seed) for run in runs], cls)
    changed = _of_class([run.synapses.assign(seed=run.subject.seed) for run in runs], cls)
    tables = {
        "exclusions": _exclusions(runs),
        "neuron_sets": pd.concat([set_rows(run, config) for run in runs]).to_dict("records"),
        "consistency": consistency.to_dict("records"),
        "consistency_means": consistency_means(consistency, config),
        "class_shares": class_shares(consistency, config),
        "mapping": mapped.to_dict("records"),
        "mapping_effects": _mapping_effects(mapped, config),
        "synapses": changed.to_dict("records"),
        "synapse_effects": _synapse_effects(changed, config),
        "neuron_edits": edits.to_dict("records"),
        "edit_scores": _edit_scores(edits, config),
        "consistent_choice": choice_rows([run.tried for run in runs], settings),
        "neuron_maps": _maps(runs[0], cls, config).to_dict("records"),
    }
    assigned = pd.concat([run.wordings for run in runs], ignore_index=True)
    if wordings := wording_effects(consistency, assigned, config):
        tables["wording_effects"] = wordings
    return tables


def _exclusions(runs: Sequence[Studied]) -> Rows:
    """``ExclusionsRecord``."""
    counts = [run.queries.counts.assign(seed=run.subject.seed) for run in runs]
    return pd.concat(counts).to_dict("records")


def _edits(run: Studied, settings: Settings) -> pd.DataFrame:
    """Of neurons, and of weights where there are any."""
    found = [
        neuron_edits(run.editor, run.test, settings),
        weight_edits(run.subject, run.editor, run.test),
    ]
    return pd.concat(found, ignore_index=True).assign(seed=run.subject.seed)


def _of_class(frames: Sequence[pd.DataFrame], cls: pd.Series) -> pd.DataFrame:
    """With a column cls; facts of no class are left out."""
    return pd.concat(frames).merge(cls.rename("cls").reset_index(), on=["seed", "fact_id"])


def _with_all(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.assign(cls="all")])


def _mapping_effects(mapped: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    keys = ["cls", "neurons", "sizes", "factor"]
    frame = _with_all(pd.concat([mapped, *_beyond(mapped)]))
    totals = frame.groupby(keys).agg(n_total=("fact_id", "size"), n_neurons=("n_neurons", "mean"))
    rows = means(frame, keys, "delta_prob", config)
    return [{**row, **totals.loc[tuple(row[key] for key in keys)].to_dict()} for row in rows]


def _beyond(mapped: pd.DataFrame) -> list[pd.DataFrame]:
    """What the query's own neurons do beyond others, paired by fact: own - union, ..."""
    unit = ["seed", "fact_id", "cls", "sizes", "factor", "neurons"]
    values = mapped.set_index(unit)["delta_prob"].unstack("neurons")
    return [
        (values["own"] - values[name])
        .rename("delta_prob")
        .reset_index()
        .assign(neurons=f"own - {name}", n_neurons=float("nan"))
        for name in ("union", "intersection", "mismatched")
    ]


def _synapse_effects(changed: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    keys = ["cls", "synapses", "factor", "rows"]
    return measured(_with_all(changed), keys, ("delta_kn", "delta_prob"), config)


def _edit_scores(edits: pd.DataFrame, config: QueryLocalizationConfig) -> Rows:
    keys = ["cls", "edit", "neurons"]
    frame = _with_all(edits)
    before = frame.groupby(keys)[sorted(set(_BEFORE.values()))].mean()
    rows = measured(frame, keys, _EDIT_MEASURES, config)
    for row in rows:
        group = before.loc[tuple(row[key] for key in keys)]
        row["before"] = _before(row["measure"], group)
    return rows


def _before(measure: str, group: pd.Series) -> float:
    """Of the untouched model: other queries answer as ever, and text is as probable."""
    if measure in _BEFORE:
        return float(group[_BEFORE[measure]])
    if measure == "avg":
        return float((group["rel_before"] + group["gen_before"] + 1) / 3)
    return 1.0 if measure in ("loc", "loc_near") else 0.0


def _maps(run: Studied, cls: pd.Series, config: QueryLocalizationConfig) -> pd.DataFrame:
    """Of the first model."""
    frame = run.consistency[
        (run.consistency["localiser"] == config.localiser)
        & (run.consistency["sets"] == "threshold")
        & (run.consistency["control"] == "none")
    ]
    labelled = frame.merge(cls.rename("cls").reset_index(), on=["seed", "fact_id"])
    return neuron_maps(run.subject.model, run.queries, labelled, run.own_synapses, config)
