"""Edits of syntax and of facts by the same editors: to the form that does not agree, and to another
object (methods 6.5, 2.10)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from coemerge.editing.counterfact_scores import harmonic_mean, trial_scores
from coemerge.editing.outcome import Outcome, warn_of
from coemerge.editing.rows import top_tokens
from coemerge.interventions.edits import Edit
from coemerge.interventions.guard import unchanged
from coemerge.statistics.resampling import hierarchical_means, hierarchical_sums, sums_of_units
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.rewrite_plans import Plan, make_plan
from coemerge.studies.knowledge_neurons.rewrites import Rewrite, make_rewrites
from coemerge.studies.knowledge_neurons.subject import KINDS, Chosen, Pool, Subject
from coemerge.studies.knowledge_neurons.tracing import Traced
from coemerge.studies.shared.editors import (
    ANY_LAYER,
    Editors,
    check_edited_layers,
    make_editors,
)
from coemerge.studies.shared.grids import told
from coemerge.studies.shared.kept import Frames, Kept
from coemerge.studies.shared.means import Rows
from coemerge.tables.knowledge_edits_records import RewriteChoiceRecord

log = logging.getLogger(__name__)
SHARES = ("es", "ps", "ns")
MOMENTS = ("pre", "post")
ALL = "all"
MEASURES = (*SHARES, "top1")


@dataclass(frozen=True)
class Rewriting:
    """Of one model. ``edits``: a row per edit reported: seed, kind, topic, item, about, editor,
    layer, setting, token, and each of ``MEASURES`` as NAME_pre and NAME_post. ``tried``:
    ``RewriteChoiceRecord``. ``chosen``: by kind, then editor; empty for a kind that could not be
    edited. ``kept``: by kind, the words or subjects that all this was chosen on."""

    edits: pd.DataFrame
    tried: pd.DataFrame
    editors: Editors
    chosen: Mapping[str, Mapping[str, Chosen]]
    kept: Mapping[str, frozenset[str]]


def rewrite(
    subject: Subject,
    pools: Sequence[Pool],
    traced: Traced,
    config: KnowledgeNeuronsConfig,
    cache: Path,
) -> Rewriting:
    """Layer, token and settings of every editor are chosen, kind by kind, on words and subjects
    that nothing is reported of. Raises ValueError for layers that the model has not. The model is
    left as found; moments of keys are kept in ``cache``."""
    check_edited_layers(subject.model, config.layers)
    rewrites = make_rewrites(pools, config)
    plans = {}
    for kind in KINDS:
        of_kind = [one for one in rewrites if one.kind == kind]
        plan = make_plan(kind, of_kind, traced.kinds.get(kind), config)
        if plan is not None:
            plans[kind] = plan
    layers = sorted({layer for plan in plans.values() for layer in plan.layers})
    editors = make_editors(subject, layers, config, cache)
    kept = Kept.of_model(cache / "edits", "knowledge_neurons", subject, config)
    tried = {kind: _tried(kind, editors, plan, config, kept) for kind, plan in plans.items()}
    edits = [_edited(editors, plans[kind], chosen, kept) for kind, (_, chosen) in tried.items()]
    names = [column.name for column in fields(RewriteChoiceRecord)]
    found = [frame for frame, _ in tried.values()] or [pd.DataFrame(columns=names)]
    return Rewriting(
        edits=pd.concat(edits or [pd.DataFrame()], ignore_index=True).assign(seed=subject.seed),
        tried=pd.concat(found, ignore_index=True).assign(seed=subject.seed)[names],
        editors=editors,
        chosen={kind: tried[kind][1] if kind in tried else {} for kind in KINDS},
        kept={kind: frozenset(one.about for one in plan.dev) for kind, plan in plans.items()},
    )


def _tried(
    kind: str, editors: Editors, plan: Plan, config: KnowledgeNeuronsConfig, kept: Kept
) -> tuple[pd.DataFrame, dict[str, Chosen]]:
    """``RewriteChoiceRecord`` but for the seed, and the best of each editor by s; of equals by
    es, then the first."""
    runs = [
        Chosen(editor, layer, setting, plan.token)
        for editor in config.editors
        for layer in ([ANY_LAYER] if editor == "kn" else plan.layers)
        for setting in config.settings(editor)
    ]

    def scored(i: int) -> Frames:
        edits = [outcome.edit for outcome in _outcomes(editors, plan.dev, runs[i])]
        scores = trial_scores(editors.model, [one.trial for one in plan.dev], edits).means()
        means = {name: scores[name] for name in SHARES}
        row = {"kind": kind, **_how(runs[i]), **means, "s": _of_defined(means.values())}
        return (pd.DataFrame([{**row, "n": len(plan.dev)}]),)

    units = [("tried", run, plan.dev) for run in runs]
    found = kept.frames(1, units, scored, f"choosing edits of {kind}", "setting")
    tried = pd.concat([frame for (frame,) in found], ignore_index=True)
    ordered = tried.fillna({"s": -1}).sort_values(["s", "es"], ascending=False, kind="stable")
    best = ordered.drop_duplicates("editor").sort_index().index
    for i in best:
        log.info("%s, %s: layer %d, %s", kind, *tried.loc[i, ["editor", "layer", "setting"]])
    chosen = {runs[i].editor: runs[i] for i in best}
    return tried.assign(chosen=tried.index.isin(best)), chosen


def _how(by: Chosen) -> dict[str, Any]:
    """Columns that say what was edited with."""
    return {
        "editor": by.editor,
        "layer": by.layer,
        "setting": told(by.setting),
        "token": by.token,
    }


def _outcomes(editors: Editors, rewrites: Sequence[Rewrite], by: Chosen) -> list[Outcome]:
    requests = [one.request for one in rewrites]
    return editors.outcomes(by.editor, requests, by.layer, by.setting)


def _of_defined(shares: Iterable[float]) -> float:
    """Harmonic mean of those that are: bijective relations have no neighbours."""
    return float(harmonic_mean(*[share for share in shares if not np.isnan(share)]))


def _edited(editors: Editors, plan: Plan, chosen: Mapping[str, Chosen], kept: Kept) -> pd.DataFrame:
    """Rows of ``Rewriting.edits`` but for the seed, of all that is reported."""
    names = ("kind", "topic", "item", "about")
    named = pd.DataFrame({name: [getattr(one, name) for one in plan.test] for name in names})
    runs = list(chosen.values())

    @cache
    def before() -> pd.DataFrame:
        return _scores(editors.model, plan.test, None).add_suffix("_pre")

    def edited(i: int) -> Frames:
        outcomes = _outcomes(editors, plan.test, runs[i])
        warn_of(outcomes)
        after = _scores(editors.model, plan.test, [outcome.edit for outcome in outcomes])
        parts = [named.assign(**_how(runs[i])), before(), after.add_suffix("_post")]
        return (pd.concat(parts, axis=1),)

    units = [("edited", run, plan.test) for run in runs]
    found = kept.frames(1, units, edited, f"editing {named['kind'][0]}", "editor")
    return pd.concat([frame for (frame,) in found], ignore_index=True)


def _scores(
    model: nn.Module, rewrites: Sequence[Rewrite], edits: Sequence[Edit] | None
) -> pd.DataFrame:
    """Columns ``MEASURES``, a row per edit; None for the untouched model."""
    found = trial_scores(model, [one.trial for one in rewrites], edits)
    with unchanged(model):
        model.eval()
        said = top_tokens(
            model,
            [one.trial.rewrite for one in rewrites],
            edits=edits or (),
            edit_of_row=None if edits is None else np.arange(len(edits)),
        )
    new = np.array([one.trial.new[0] for one in rewrites])
    shares = {name: getattr(found, name) for name in SHARES}
    return pd.DataFrame({**shares, "top1": (said == new).astype(float)})


def rewrite_rows(frames: Sequence[pd.DataFrame], config: KnowledgeNeuronsConfig) -> Rows:
    """``RewritesRecord`` of ``Rewriting.edits`` of all models, by topic and pooled. Where models
    differ in what was chosen, ``setting`` and ``token`` name all; ``layer`` is the commonest."""
    frame = pd.concat([pd.DataFrame(), *frames], ignore_index=True)
    if frame.empty:
        return []
    rows: Rows = []
    pooled = pd.concat([frame.assign(topic=ALL), frame])
    for (kind, topic, editor), edits in pooled.groupby(["kind", "topic", "editor"], sort=False):
        how: dict[str, Any] = {"layer": int(edits["layer"].mode()[0])}
        how |= {name: " | ".join(dict.fromkeys(edits[name])) for name in ("setting", "token")}
        named = {"kind": kind, "topic": topic, "editor": editor}
        rows += [{**named, **row, **how} for row in _mean_rows(edits, config)]
    return rows


def _mean_rows(edits: pd.DataFrame, config: KnowledgeNeuronsConfig) -> Rows:
    """Of every measure and moment, over seeds and edits, all of one word or subject resampled
    together; s over edits of which all its parts are defined."""
    columns = [f"{measure}_{moment}" for moment in MOMENTS for measure in MEASURES]
    seeds = [of_seed for _, of_seed in edits.groupby("seed")]
    tables = [of_seed[columns].to_numpy(float) for of_seed in seeds]
    units = [of_seed["about"].to_numpy() for of_seed in seeds]
    found = hierarchical_means(tables, config.seed, config.bootstrap_draws, units=units)
    rows: Rows = []
    for i, (moment, measure) in enumerate(product(MOMENTS, MEASURES)):
        if found.n[i]:
            estimate = {"value": found.mean[i], "sd": found.sd[i]}
            estimate |= {"low": found.low[i], "high": found.high[i]}
            estimate = {name: float(value) for name, value in estimate.items()}
            rows.append({"measure": measure, "moment": moment, **estimate, "n": int(found.n[i])})
    for moment in MOMENTS:
        names = [f"{name}_{moment}" for name in SHARES]
        whole = [of.dropna(subset=names) for of in seeds]
        if n := sum(map(len, whole)):
            sums = [
                sums_of_units(of[names].assign(n=1).to_numpy(float), of["about"].to_numpy())
                for of in whole
            ]
            value, low, high, _ = hierarchical_sums(
                sums, _harmonic_of_means, config.seed, config.bootstrap_draws
            )
            estimate = {"value": value, "sd": np.nan, "low": low, "high": high}
            rows.append({"measure": "s", "moment": moment, **estimate, "n": n})
    return rows


def _harmonic_of_means(sums: np.ndarray) -> np.ndarray:
    """[B] from [B,C+1]: C sums, and of how many edits they are."""
    return harmonic_mean(*(sums[:, :-1] / sums[:, -1:]).T)
