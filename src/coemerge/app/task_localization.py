"""``study=task_localization``: opens models, localizes their facts, writes tables and report."""

import time

import numpy as np

from coemerge.app.analysis import Analysis
from coemerge.app.sources import Source, members_at, open_source
from coemerge.app.studies import publish
from coemerge.lm.build import load_model
from coemerge.lm.machine import detect_machine
from coemerge.lm.series import Member
from coemerge.localization.corruption import placeholder_token
from coemerge.localization.prompts import Cell
from coemerge.report.published import UNKNOWN_ARM
from coemerge.studies.task_localization.config import TaskLocalizationConfig
from coemerge.studies.task_localization.localize import Localized, Subject, localize
from coemerge.studies.task_localization.summary import summary_rows
from coemerge.studies.task_localization.tables import task_localization_tables
from coemerge.tracking.task_localization import localization_metrics
from coemerge.units import alone

STUDY = "task_localization"


def task_localization(analysis: Analysis) -> None:
    """On a run, on several seeds, or on models from elsewhere; of each one checkpoint."""
    config = TaskLocalizationConfig(**analysis.settings)
    started = time.perf_counter()
    sources = [open_source(s, 2, config.tasks) for s in analysis.series]
    members = members_at(sources, config.facts, config.checkpoint)
    for source in sources:
        _candidates(source, config)
    device = detect_machine(analysis.device).accelerator
    runs = [_localized(s, m, config, device) for s, m in zip(sources, members, strict=True)]
    alone("tables")
    trained = time.perf_counter()
    tables = task_localization_tables(runs, config)
    names = ", ".join(source.run_id for source in sources)
    summary = summary_rows(tables, [source.seed for source in sources], names)
    times = {"masks": trained - started, "tables": time.perf_counter() - trained}
    cost = np.array([row["wall_s"] for row in tables["masks"]])
    note = f"; {len(cost)} masks, {cost.mean():.1f} s of training each"
    metrics = localization_metrics(tables, config.mask_config.reference)
    publish(analysis, STUDY, sources, tables, summary, metrics, times, note)


def _localized(
    source: Source, member: Member, config: TaskLocalizationConfig, device: str
) -> Localized:
    try:
        subject = open_subject(source, member, config, device)
        return localize(subject, config, source.series.cache.parent / "masks")
    except ValueError as error:
        raise ValueError(f"{source.run_id}: {error}") from error


def open_subject(
    source: Source, member: Member, config: TaskLocalizationConfig, device: str
) -> Subject:
    """The model of a checkpoint with what it may be asked."""
    return Subject(
        model=load_model(member.directory, device),
        seed=source.seed,
        prompts=source.questions.prompts,
        candidates=_candidates(source, config),
        shown=_shown(source, member.step),
        placeholder=placeholder_token(source.questions.tokenizer, config.placeholder),
    )


def _candidates(source: Source, config: TaskLocalizationConfig) -> list[str]:
    """Facts of the arms named, and those named themselves; of models from elsewhere, whose arms
    nobody knows, all."""
    arms = source.facts["arm"]
    named = source.facts["fact_id"].isin(config.facts or ())
    chosen = source.facts[arms.isin([*config.arms, UNKNOWN_ARM]) | named]
    if chosen.empty:
        raise ValueError(
            f"study.arms: {source.run_id} has no facts of {', '.join(config.arms)}, but of "
            f"{', '.join(sorted(set(arms)))}"
        )
    return [str(fact) for fact in chosen["fact_id"]]


def _shown(source: Source, step: int) -> set[Cell] | None:
    """What training had shown by ``step``; None where that is not known."""
    ledger = source.exposure
    if ledger is None:
        return None
    then = ledger[(ledger["step"] <= step) & (ledger["n_documents"] > 0)]
    return set(zip(then["fact_id"], then["task"], strict=True))
