"""What every mask of a fact, and random ones of its size, do to direct answers and to reasoning."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor, nn
from tqdm import tqdm

from coemerge.interventions.sites import Site
from coemerge.localization.activations import mean_references
from coemerge.localization.controls import random_masks
from coemerge.localization.prompts import TRAIN, read_prompts
from coemerge.localization.trained import TrainedMasks, concatenate
from coemerge.prompts.tasks import get_task
from coemerge.studies.chain_of_thought.answers import Speaker
from coemerge.studies.chain_of_thought.baseline import FORM, Studied, choose
from coemerge.studies.chain_of_thought.config import ChainOfThoughtConfig
from coemerge.studies.chain_of_thought.questions import COT, Asker, Questions
from coemerge.tables.store import table_schema

_DRAWS_AT_ONCE = 7  # of each mask: what bounds the gates that are held


@dataclass(frozen=True)
class Subject:
    """One run. ``prompts`` (``tables.records.PromptRecord``): all there are, of which ``asked`` are
    held-out ones with fresh option sets; ``forms``: its two-step forms; ``restated``: facts that
    training showed in one of them."""

    model: nn.Module
    seed: int
    prompts: pa.Table
    asked: pa.Table
    asker: Asker
    forms: Sequence[str]
    restated: Collection[str]


@dataclass(frozen=True)
class Drawn:
    """Masks of one kind: the trained ones (``control`` none), or a random draw of each."""

    masks: TrainedMasks
    control: str
    draw: int


def cot_effects(
    subject: Subject, masks: TrainedMasks, config: ChainOfThoughtConfig
) -> pd.DataFrame:
    """``CotEffectsRecord`` of one run, facts as ``baseline.choose`` has them; raises as it does."""
    references = None if config.reference == "zero" else _means(subject, masks)
    speaker = Speaker(subject.model, references, config.max_tokens, config.tokens_per_batch)
    asked = [
        subject.asker.direct(subject.asked, subject.forms),
        subject.asker.with_reasoning(subject.asked, subject.forms),
    ]
    studied = choose(speaker, asked, masks, subject.restated, config.baseline)
    frame = under_all_masks(speaker, studied, masks, config).assign(seed=subject.seed)
    return frame[table_schema("cot_effects").names]


def under_all_masks(
    speaker: Speaker, studied: Studied, masks: TrainedMasks, config: ChainOfThoughtConfig
) -> pd.DataFrame:
    """Columns of ``CotEffectsRecord`` without the seed: each fact under each of its masks and
    under every random draw of these, several draws in one batch."""
    own = masks.select(np.flatnonzero(np.isin(masks.fact_id, studied.facts)))
    every = [Drawn(own, "none", 0)]
    for draw in range(config.random_draws):
        every.append(Drawn(random_masks(own, draw, config.seed), "random", draw))
    chunks = [every[k : k + _DRAWS_AT_ONCE] for k in range(0, len(every), _DRAWS_AT_ONCE)]
    frames = [
        _with_base(_under(speaker, questions, chunk), base, questions.prompting)
        for questions, base in zip(studied.questions, studied.bases, strict=True)
        for chunk in tqdm(chunks, desc=f"ablating, {questions.prompting}", unit="chunk")
    ]
    return pd.concat(frames, ignore_index=True)


def _means(subject: Subject, masks: TrainedMasks) -> Mapping[Site, Tensor]:
    """Over the prompts of training wordings, of the localized facts and tasks."""
    table = subject.prompts
    chosen = np.isin(table["fact_id"].to_pylist(), sorted(set(masks.fact_id)))
    chosen &= np.isin(table["task"].to_pylist(), sorted(set(masks.task)))
    chosen &= np.array(table["split"].to_pylist()) == TRAIN
    prompts = read_prompts(table.filter(pa.array(chosen)), "placeholder", placeholder=0)
    return mean_references(subject.model, prompts, np.arange(len(prompts)))


def _under(speaker: Speaker, questions: Questions, drawn: Sequence[Drawn]) -> pd.DataFrame:
    """Each question under each mask of its fact; one row per (fact, form, mask)."""
    masks = concatenate([part.masks for part in drawn])
    sizes = [len(part.masks) for part in drawn]
    control = np.repeat([part.control for part in drawn], sizes)
    draw = np.repeat([part.draw for part in drawn], sizes)
    at = [np.flatnonzero(questions.fact == fact) for fact in masks.fact_id]
    asked, mask = np.concatenate(at), np.repeat(np.arange(len(masks)), [len(i) for i in at])
    answered = speaker.ablated(questions, asked, masks, mask)
    rows = pd.DataFrame(
        {
            "fact_id": questions.fact[asked],
            "form": questions.form[asked],
            "mask_task": masks.task[mask],
            "control": control[mask],
            "draw": draw[mask],
            "accuracy_after": answered.right.astype(float),
            "restated_after": answered.restated.astype(float),
        }
    )
    return rows.groupby([*FORM, "mask_task", "control", "draw"]).mean().reset_index()


def _with_base(frame: pd.DataFrame, base: pd.DataFrame, prompting: str) -> pd.DataFrame:
    frame = frame.join(base, on=FORM)
    if prompting != COT:
        frame = frame.assign(restated_base=np.nan, restated_after=np.nan)
    tasks = [get_task(form) for form in frame["form"]]
    return frame.assign(
        task=[task.base for task in tasks],
        route=[task.route for task in tasks],
        prompting=prompting,
        drop=frame["accuracy_base"] - frame["accuracy_after"],
    )
