"""``study=query_localization``: opens models, finds the neurons of their queries, writes tables and
report."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from coemerge.app.analysis import Analysis
from coemerge.app.shards import of_each
from coemerge.app.sources import Source, members_at, open_questions
from coemerge.app.studies import publish
from coemerge.app.texts import file_tokens, own_wordings, separator, shown_documents
from coemerge.lm.build import load_model
from coemerge.lm.machine import detect_machine
from coemerge.lm.series import Member
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Subject
from coemerge.studies.query_localization.study import Studied, study_model
from coemerge.studies.query_localization.summary import summary_rows
from coemerge.studies.query_localization.tables import query_localization_tables
from coemerge.studies.shared.text import cut, held_out_rows
from coemerge.tracking.query_localization import query_localization_metrics
from coemerge.units import alone

log = logging.getLogger(__name__)
STUDY = "query_localization"


def query_localization(analysis: Analysis) -> None:
    """On a run, on several seeds, or on models from elsewhere; of each one checkpoint."""
    config = QueryLocalizationConfig(**analysis.settings)
    started = time.perf_counter()
    sources = [open_questions(s, config.k, config.tasks) for s in analysis.series]
    members = members_at(sources, config.facts, config.checkpoint)
    device = detect_machine(analysis.device).accelerator
    runs = of_each(lambda s, m: _studied(s, m, config, device), sources, members)
    alone("tables")
    studied = time.perf_counter()
    tables = query_localization_tables(runs, config)
    names = ", ".join(source.run_id for source in sources)
    summary = summary_rows(tables, config, [source.seed for source in sources], names)
    times = {"models": studied - started, "edits and tables": time.perf_counter() - studied}
    metrics = query_localization_metrics(tables, config.threshold)
    publish(analysis, STUDY, sources, tables, summary, metrics, times)


def _studied(
    source: Source, member: Member, config: QueryLocalizationConfig, device: str
) -> Studied:
    tokenizer = source.questions.tokenizer
    text, key_text = _texts(source, config)
    subject = Subject(
        model=load_model(member.directory, device),
        identity=member.identity,
        seed=source.seed,
        prompts=own_wordings(source),
        facts=source.facts[["fact_id", "relation", "arm", "detail"]],
        text=text,
        key_text=key_text,
        opening=tokenizer.bos_token_id,
        separator=separator(tokenizer),
    )
    try:
        return study_model(subject, config, source.series.cache.parent / "neurons")
    except ValueError as error:
        raise ValueError(f"{source.run_id}: {error}") from error


def _texts(
    source: Source, config: QueryLocalizationConfig
) -> tuple[Tensor | None, Sequence[Sequence[int]]]:
    """For perplexity, and for common keys: of the file that was named, or what training held out
    and what it showed; models from elsewhere were trained on who knows what, and have none without
    a file."""
    if config.text is not None:
        ids = file_tokens(source, Path(config.text), config.text_tokens + config.key_tokens)
        rows = cut(ids, config.text_tokens)
        if rows is None and config.text_tokens:
            raise ValueError(f"study.text: {config.text} is shorter than a row; name a longer one")
        rest = cut(ids[config.text_tokens :], config.key_tokens)
        return rows, () if rest is None else rest.tolist()
    if source.series.run is None:
        log.info("no perplexity, and edits of weights spare no keys: name a text (study.text)")
        return None, ()
    return (
        held_out_rows(source.questions.prompts, config.text_tokens, config.seed),
        shown_documents(source, config.key_tokens, config.seed),
    )
