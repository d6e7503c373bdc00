"""What is asked about an edit, and what a consistent one would bring (methods 6.6)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from coemerge.studies.knowledge_neurons.agreement import Asked
from coemerge.studies.knowledge_neurons.families import SYMMETRY, SYNONYMY, Planned
from coemerge.studies.shared.wordings import Wording

HOLDS, FALLS, OPEN = "holds", "falls", "open"


@dataclass(frozen=True, slots=True)
class Check:
    """``prompt_of``, ``answer_of``: facts of ``Planned``; the answer is that to the prompt of its
    fact, as the untouched world has it."""

    expected: str
    prompt_of: str
    answer_of: str


# Of s -> t' alone it follows that t' belongs to s, and no longer t, and no longer t' to s'. What
# becomes of t and of s' it leaves open: t -> s' only if all subjects and objects stay in pairs.
_OF_THE_EDIT = {
    "source_old": Check(FALLS, "fact", "fact"),
    "rewrite": Check(HOLDS, "fact", "donor"),
}
CHECKS = {
    SYMMETRY: {
        **_OF_THE_EDIT,
        "inverse_new": Check(HOLDS, "donor_restated", "restated"),
        "inverse_old": Check(FALLS, "restated", "restated"),
        "inverse_swapped": Check(OPEN, "restated", "donor_restated"),
        "inverse_displaced": Check(FALLS, "donor_restated", "donor_restated"),
    },
    SYNONYMY: {
        **_OF_THE_EDIT,
        "synonym_old": Check(FALLS, "restated", "restated"),
        "synonym_new": Check(HOLDS, "restated", "donor_restated"),
    },
}


@dataclass(frozen=True)
class Questions:
    """``rows``: ``ImplicationsRecord`` but for seed, editor, pre and post; ``plan``: places of
    their edits; ``asked``: prompts and answers; [R] each."""

    rows: pd.DataFrame
    plan: Sequence[int]
    asked: Sequence[Asked]


def questions(
    plans: Sequence[Planned], prompts: Mapping[str, Wording], right: Collection[str]
) -> Questions:
    """All checks of all edits but those that there is no prompt for. ``prompts``: by fact;
    ``right``: facts that the untouched model answers right."""
    rows, numbers, asked = [], [], []
    for number, one in enumerate(plans):
        named = {
            "family": one.family,
            "edited": one.edited,
            "asked": one.asked,
            "fact_id": one.fact,
            "arm": one.arm,
            "stated": one.stated,
            "known": one.restated in right and one.donor_restated in right,
        }
        for name, check in CHECKS[one.family].items():
            prompt = prompts.get(getattr(one, check.prompt_of))
            answered = prompts.get(getattr(one, check.answer_of))
            if prompt is not None and answered is not None:
                rows.append({**named, "check": name, "expected": check.expected})
                numbers.append(number)
                asked.append((prompt.ids, answered.answer))
    return Questions(pd.DataFrame(rows), numbers, asked)
