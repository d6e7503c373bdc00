"""``study=entity_relation``: opens models, edits and traces their facts, writes tables and
report."""

import logging
import time

import pandas as pd
from transformers import PreTrainedTokenizerFast

from coemerge.app.analysis import Analysis
from coemerge.app.shards import of_each
from coemerge.app.sources import Source, members_at, open_questions
from coemerge.app.studies import publish
from coemerge.app.texts import key_texts, own_wordings, separator
from coemerge.lm.build import load_model
from coemerge.lm.machine import detect_machine
from coemerge.lm.series import Member
from coemerge.prompts.encoding import Encoder
from coemerge.prompts.pairs import Pairing
from coemerge.prompts.tasks import TASKS
from coemerge.studies.entity_relation.cases import Cases
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.from_prompts import cases_from_prompts
from coemerge.studies.entity_relation.from_records import cases_from_records
from coemerge.studies.entity_relation.study import Studied, Subject, study_model
from coemerge.studies.entity_relation.summary import summary_rows
from coemerge.studies.entity_relation.tables import entity_relation_tables
from coemerge.tracking.entity_relation import entity_relation_metrics
from coemerge.units import alone

log = logging.getLogger(__name__)
STUDY = "entity_relation"


def entity_relation(analysis: Analysis) -> None:
    """On a run, on several seeds, or on models from elsewhere; of each one checkpoint."""
    config = EntityRelationConfig(**analysis.settings)
    started = time.perf_counter()
    sources = [open_questions(s, 1, config.tasks) for s in analysis.series]
    members = members_at(sources, config.facts, config.checkpoint)
    device = detect_machine(analysis.device).accelerator
    runs = of_each(lambda s, m: _studied(s, m, config, device), sources, members)
    alone("tables")
    studied = time.perf_counter()
    tables = entity_relation_tables(runs, config)
    names = ", ".join(source.run_id for source in sources)
    summary = summary_rows(tables, config, [source.seed for source in sources], names)
    times = {"models": studied - started, "tables": time.perf_counter() - studied}
    metrics = entity_relation_metrics(tables)
    publish(analysis, STUDY, sources, tables, summary, metrics, times)


def _studied(source: Source, member: Member, config: EntityRelationConfig, device: str) -> Studied:
    tokenizer = source.questions.tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    encoder = Encoder(tokenizer, source.series.chat)
    prompts = own_wordings(source)
    asked = set(prompts["fact_id"].to_pylist())
    facts = with_documents(source, member.step)
    subject = Subject(
        model=load_model(member.directory, device),
        identity=member.identity,
        seed=source.seed,
        prompts=prompts,
        facts=facts[facts["fact_id"].isin(asked)].reset_index(drop=True),
        pairing=Pairing(encoder),
        text=key_texts(source, config.text, config.key_tokens, config.seed),
        opening=tokenizer.bos_token_id,
        separator=separator(tokenizer),
        start=encoder.eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id,
    )
    try:
        cases = _cases(source, subject, config)
        return study_model(subject, cases, config, source.series.cache.parent / "keys")
    except ValueError as error:
        raise ValueError(f"{source.run_id}: {error}") from error


def _cases(source: Source, subject: Subject, config: EntityRelationConfig) -> Cases:
    """Of the data set's own requests, if it has any, else of its facts."""
    if source.edits is not None:
        if source.edits.prompts:
            return cases_from_records(subject.model, source.edits, subject.facts, config)
        log.warning("no request of the data set can be asked: %s", "; ".join(source.edits.lines()))
    return cases_from_prompts(
        subject.model, subject.prompts, subject.pairing, subject.facts, config
    )


def with_documents(source: Source, step: int) -> pd.DataFrame:
    """Facts with how many documents showed each on its ``entity`` and its ``relation_side`` up to
    a step; NaN for models from elsewhere."""
    facts, shown = source.facts.copy(), source.exposure
    if shown is None:
        return facts.assign(entity=float("nan"), relation_side=float("nan"))
    seen = shown[shown["step"] <= step]
    last = seen[seen["step"] == seen["step"].max()]
    asks = last["task"].map(lambda task: TASKS[task].asks)
    for column, part in (("entity", "object"), ("relation_side", "relation")):
        documents = last[asks == part].groupby("fact_id")["n_documents"].sum()
        facts[column] = facts["fact_id"].map(documents).fillna(0.0)
    return facts
