"""``study=knowledge_neurons``: opens models, finds and changes neurons of syntax and of facts,
edits facts that others restate, writes tables and report."""

import time

import pandas as pd
from transformers import PreTrainedTokenizerFast

from coemerge.app.analysis import Analysis
from coemerge.app.pairs import asked_pairs, grammar_words
from coemerge.app.shards import of_each
from coemerge.app.sources import Source, members_at, open_pairs_and_facts
from coemerge.app.studies import publish
from coemerge.app.texts import key_texts, own_wordings, separator
from coemerge.lm.build import load_model
from coemerge.lm.machine import detect_machine
from coemerge.lm.series import Member
from coemerge.prompts.minimal_pairs import PairPrompt
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.study import Studied, study_model
from coemerge.studies.knowledge_neurons.subject import Subject
from coemerge.studies.knowledge_neurons.summary import summary_rows
from coemerge.studies.knowledge_neurons.tables import knowledge_neurons_tables
from coemerge.tracking.knowledge_neurons import knowledge_neurons_metrics
from coemerge.units import alone

STUDY = "knowledge_neurons"


def knowledge_neurons(analysis: Analysis) -> None:
    """On a run, on several seeds, or on models from elsewhere; of each one checkpoint."""
    config = KnowledgeNeuronsConfig(**analysis.settings)
    started = time.perf_counter()
    sources = [open_pairs_and_facts(s, 1, config.tasks) for s in analysis.series]
    members = members_at(sources, config.facts, config.checkpoint)
    pairs = [asked_pairs(source, config.pairs, config.phenomena)[0] for source in sources]
    device = detect_machine(analysis.device).accelerator
    runs = of_each(lambda s, m, of: _studied(s, m, of, config, device), sources, members, pairs)
    alone("tables")
    studied = time.perf_counter()
    tables = knowledge_neurons_tables(runs, config)
    names = ", ".join(source.run_id for source in sources)
    summary = summary_rows(tables, config, [source.seed for source in sources], names)
    times = {"models": studied - started, "tables": time.perf_counter() - studied}
    metrics = knowledge_neurons_metrics(tables)
    publish(analysis, STUDY, sources, tables, summary, metrics, times)


def _studied(
    source: Source,
    member: Member,
    pairs: list[PairPrompt],
    config: KnowledgeNeuronsConfig,
    device: str,
) -> Studied:
    tokenizer = source.questions.tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    words, token_ids = grammar_words(source)
    opening, closing = tokenizer.bos_token_id, tokenizer.eos_token_id
    subject = Subject(
        model=load_model(member.directory, device),
        identity=member.identity,
        seed=source.seed,
        pairs=pairs,
        words=words,
        token_ids=token_ids,
        cooccurrence=source.cooccurrence,
        prompts=own_wordings(source),
        facts=_with_documents(source, member.step),
        text=key_texts(source, config.text, config.key_tokens, config.seed),
        decode=lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True)),
        opening=opening,
        separator=separator(tokenizer),
        start=closing if opening is None else opening,
    )
    try:
        return study_model(subject, config, source.series.cache.parent)
    except ValueError as error:
        raise ValueError(f"{source.run_id}: {error}") from error


def _with_documents(source: Source, step: int) -> pd.DataFrame:
    """Facts with how many ``documents`` showed each up to a step, in any format; NaN for models
    from elsewhere."""
    if source.exposure is None:
        return source.facts.assign(documents=float("nan"))
    shown = source.exposure[source.exposure["step"] <= step]
    last = shown[shown["step"] == shown["step"].max()]
    documents = last.groupby("fact_id")["n_documents"].sum()
    return source.facts.assign(documents=source.facts["fact_id"].map(documents).fillna(0.0))
