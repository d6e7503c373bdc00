"""``analyze.py study=chain_of_thought``: on a run, or on several seeds."""

import time

import pandas as pd
from transformers import PreTrainedTokenizerFast

from coemerge.app.analysis import Analysis
from coemerge.app.sources import Source, open_source
from coemerge.app.studies import publish
from coemerge.lm.build import load_model
from coemerge.lm.machine import detect_machine
from coemerge.lm.series import Member
from coemerge.prompts.tasks import get_task
from coemerge.studies.chain_of_thought.config import ChainOfThoughtConfig, cues, masks_of, routes
from coemerge.studies.chain_of_thought.drops import cot_drops
from coemerge.studies.chain_of_thought.effects import Subject, cot_effects
from coemerge.studies.chain_of_thought.masks import check_owner, read_masks, trained_at
from coemerge.studies.chain_of_thought.questions import Asker
from coemerge.studies.chain_of_thought.summary import summary_rows
from coemerge.tracking.chain_of_thought import chain_of_thought_metrics
from coemerge.units import alone

STUDY = "chain_of_thought"


def chain_of_thought(analysis: Analysis) -> None:
    """Results under ``analysis.out``/results/chain_of_thought. Raises ValueError where a run has
    no masks, was trained on no reasoning, or has no fact to study."""
    alone("the whole study")
    config = ChainOfThoughtConfig(**analysis.settings)
    started = time.perf_counter()
    sources = [open_source(series, config.paraphrases, None) for series in analysis.series]
    device = detect_machine(analysis.device).accelerator
    effects = pd.concat([_effects(analysis, source, config, device) for source in sources])
    asked = time.perf_counter()
    tables = {"cot_effects": effects.to_dict("records"), "cot_drops": cot_drops(effects, config)}
    names = ", ".join(source.run_id for source in sources)
    summary = summary_rows(tables, [source.seed for source in sources], names)
    times = {"answers": asked - started, "study": time.perf_counter() - asked}
    metrics = chain_of_thought_metrics(tables)
    publish(analysis, STUDY, sources, tables, summary, metrics, times)


def _effects(
    analysis: Analysis, source: Source, config: ChainOfThoughtConfig, device: str
) -> pd.DataFrame:
    run, tokenizer = source.series.run, source.questions.tokenizer
    assert run is not None
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    directory = masks_of(run, analysis.out)
    check_owner(directory, source.run_id)
    model = load_model(_localized(source, trained_at(directory)).directory, device)
    objects = source.facts.set_index("fact_id")["object"].to_dict()
    subject = Subject(
        model=model,
        seed=source.seed,
        prompts=source.questions.prompts,
        asked=source.questions.fresh,
        asker=Asker(tokenizer, cues(run), objects),
        forms=list(routes(run).values()),
        restated=restated_facts(source),
    )
    return cot_effects(subject, read_masks(directory, source.seed, model), config)


def restated_facts(source: Source) -> set[str]:
    """Facts that training has shown in a two-step form, by the ledger that it kept."""
    assert source.exposure is not None
    shown = source.exposure[source.exposure["n_documents"] > 0]
    two_step = [get_task(task).route is not None for task in shown["task"]]
    return set(shown["fact_id"][two_step])


def _localized(source: Source, step: int | None) -> Member:
    """The checkpoint whose masks were trained."""
    members = source.series.members
    if step is None:
        return members[-1]
    found = [member for member in members if member.step == step]
    if not found:
        raise ValueError(
            f"{source.run_id}: its masks are of step {step}, which has no checkpoint any more: "
            "localize another one (study=task_localization study.checkpoint=null)"
        )
    return found[0]
