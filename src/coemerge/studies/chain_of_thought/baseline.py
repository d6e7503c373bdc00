"""Which facts are studied: never restated in training, localized, and answered right untouched."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coemerge.localization.trained import TrainedMasks
from coemerge.prompts.tasks import get_task
from coemerge.studies.chain_of_thought.answers import Speaker
from coemerge.studies.chain_of_thought.questions import Questions

log = logging.getLogger(__name__)
Cells = Collection[tuple[str, str]]  # (fact, two-step form)
FORM = ["fact_id", "form"]


@dataclass(frozen=True)
class Studied:
    """``questions``: direct ones, then those with reasoning, of the facts that are studied;
    ``bases``: for each of the two, (fact, form) -> n, accuracy_base, restated_base."""

    questions: list[Questions]
    bases: list[pd.DataFrame]

    @property
    def facts(self) -> list[str]:
        return sorted(set(self.questions[0].fact))


def choose(
    speaker: Speaker,
    asked: Sequence[Questions],
    masks: TrainedMasks,
    restated: Collection[str],
    baseline: float,
) -> Studied:
    """``asked``: direct questions and those with reasoning; ``restated``: facts that training
    showed in a two-step form. A fact is studied in a form if it is not among them, has masks for
    the answered task and for the route, and is answered right at least as often as ``baseline``,
    both ways.

    Raises ValueError where no fact is, saying where they were lost.
    """
    localized = set(masks.cells)
    forms = list(dict.fromkeys(asked[1].form))
    candidates = {
        (fact, form)
        for fact in set(masks.fact_id) - set(restated)
        for form in forms
        if {(fact, get_task(form).base), (fact, get_task(form).route)} <= localized
    }
    questions = [of_cells(part, candidates) for part in asked]
    bases = [_base(speaker, part) for part in questions]
    known = [set(base.index[base["accuracy_base"] >= baseline]) for base in bases]
    passed = set.intersection(*known)
    lines = _told(masks, restated, candidates, bases, passed, baseline, forms)
    log.info("%s", "\n".join(lines))
    if not passed:
        raise ValueError(
            f"no fact to study: {'; '.join(lines)}. Localize facts that were not restated "
            "(study=task_localization study.facts=[...]), show more two-step documents "
            "(corpus.plan.documents.cot_...), or lower study.baseline"
        )
    return Studied([of_cells(part, passed) for part in questions], bases)


def of_cells(questions: Questions, cells: Cells) -> Questions:
    pairs = zip(questions.fact, questions.form, strict=True)
    return questions.select(np.flatnonzero([pair in cells for pair in pairs]))


def _base(speaker: Speaker, questions: Questions) -> pd.DataFrame:
    """Of the untouched model: (fact, form) -> n, accuracy_base, restated_base."""
    answered = speaker.untouched(questions)
    rows = pd.DataFrame(
        {
            "fact_id": questions.fact,
            "form": questions.form,
            "right": answered.right.astype(float),
            "restated": answered.restated.astype(float),
        }
    )
    return rows.groupby(FORM).agg(
        n=("right", "size"), accuracy_base=("right", "mean"), restated_base=("restated", "mean")
    )


def _told(
    masks: TrainedMasks,
    restated: Collection[str],
    candidates: Cells,
    bases: Sequence[pd.DataFrame],
    passed: Cells,
    baseline: float,
    forms: Sequence[str],
) -> list[str]:
    """How many facts were kept, and where the others were lost."""
    localized = set(masks.fact_id)
    n_held_out = len(localized - set(restated))
    lines = [f"{n_held_out} of {len(localized)} localized facts were never restated in training"]
    for form in forms:
        cells = [cell for cell in candidates if cell[1] == form]
        direct, cot = (base.reindex(cells)["accuracy_base"].mean() for base in bases)
        n = sum(cell in passed for cell in cells)
        lines.append(
            f"{form}: {n} of {len(cells)} of these reach {baseline:g} (mean accuracy direct "
            f"{direct:.2f}, with reasoning {cot:.2f})"
        )
    return lines
