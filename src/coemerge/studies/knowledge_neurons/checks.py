"""What is asked about an edit, and what a consistent one would bring (methods 6.6)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coemerge.studies.knowledge_neurons.agreement import Asked
from coemerge.studies.knowledge_neurons.families import SYMMETRY, SYNONYMY, Planned
from coemerge.studies.shared.wordings import Wording

HOLDS, FALLS, OPEN = "holds", "falls", "open"


@dataclass(frozen=True, slots=True)
class Check:
    """``prompt_of``, ``answer_of``: facts of ``Planned``, or ``Other``; the answer is that to the
    prompt of its fact, as the untouched world has it."""

    expected: str
    prompt_of: str
    answer_of: str


@dataclass(frozen=True, slots=True)
class Other:
    """``other``: another fact of s, which an edit of s -> t says nothing about; ``donor_other``:
    that of s' in the same relation, None where it has none."""

    other: str
    donor_other: str | None


# Of s -> t' alone it follows that t' belongs to s, and no longer t, and no longer t' to s'. What
# becomes of t and of s' it leaves open: t -> s' only if all subjects and objects stay in pairs.
_OF_THE_EDIT = {
    "source_old": Check(FALLS, "fact", "fact"),
    "rewrite": Check(HOLDS, "fact", "donor"),
}
# An edit that makes s into s' brings what restates s' too, and changes all else that s is: only
# where the other facts of s are kept is it the edit that has been understood.
_OF_OTHERS = {
    "unrelated_kept": Check(HOLDS, "other", "other"),
    "unrelated_donor": Check(OPEN, "other", "donor_other"),
}
CHECKS = {
    SYMMETRY: {
        **_OF_THE_EDIT,
        "inverse_new": Check(HOLDS, "donor_restated", "restated"),
        "inverse_old": Check(FALLS, "restated", "restated"),
        "inverse_swapped": Check(OPEN, "restated", "donor_restated"),
        "inverse_displaced": Check(FALLS, "donor_restated", "donor_restated"),
        **_OF_OTHERS,
    },
    SYNONYMY: {
        **_OF_THE_EDIT,
        "synonym_old": Check(FALLS, "restated", "restated"),
        "synonym_new": Check(HOLDS, "restated", "donor_restated"),
        **_OF_OTHERS,
    },
}


@dataclass(frozen=True)
class Questions:
    """``rows`` [R]: ``ImplicationsRecord`` but for seed, editor, pre and post; ``asked`` [A]:
    prompts and answers; ``plan`` and ``row`` [A]: places of the edit and of the row of each. Only
    checks of other facts have several questions in a row."""

    rows: pd.DataFrame
    plan: Sequence[int]
    asked: Sequence[Asked]
    row: Sequence[int]

    def by_row(self, share: np.ndarray) -> np.ndarray:
        """Means [R] of ``share`` [A]."""
        n_rows = len(self.rows)
        of = np.array(self.row, int)
        return np.bincount(of, share, n_rows) / np.bincount(of, minlength=n_rows)


def others(plans: Sequence[Planned], facts: pd.DataFrame) -> list[list[Other]]:
    """Of each edit what else is said of its subject: facts of another root and of neither of the
    two relations. ``facts``: as in ``Subject``."""
    named = facts.drop_duplicates(["subject", "relation"])
    of_subject = {s: rows.to_dict("records") for s, rows in named.groupby("subject")}
    subjects = facts.set_index("fact_id")["subject"].to_dict()
    roots = facts.set_index("fact_id")["root_id"].to_dict()
    found = []
    for one in plans:
        related = {roots[one.fact], roots[one.restated]}
        of_donor = {row["relation"]: row["fact_id"] for row in of_subject[subjects[one.donor]]}
        found.append(
            [
                Other(row["fact_id"], of_donor.get(row["relation"]))
                for row in of_subject[subjects[one.fact]]
                if row["relation"] not in (one.edited, one.asked) and row["root_id"] not in related
            ]
        )
    return found


def questions(
    plans: Sequence[Planned],
    prompts: Mapping[str, Wording],
    right: Collection[str],
    beside: Sequence[Sequence[Other]] = (),
) -> Questions:
    """All checks of all edits but those that there is no prompt for. ``prompts``: by fact;
    ``right``: facts that the untouched model answers right; ``beside``: ``others`` of each edit,
    of which those answered right are asked."""
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    places: list[int] = []
    asked: list[Asked] = []
    for number, one in enumerate(plans):
        named = {
            "family": one.family,
            "edited": one.edited,
            "asked": one.asked,
            "fact_id": one.fact,
            "root": one.root,
            "arm": one.arm,
            "stated": one.stated,
            "known": one.restated in right and one.donor_restated in right,
        }
        known = [other for other in (beside[number] if beside else ()) if other.other in right]
        for name, check in CHECKS[one.family].items():
            of_row = _asked(check, known if check.prompt_of == "other" else [one], prompts)
            numbers += [number] * len(of_row)
            places += [len(rows)] * len(of_row)
            asked += of_row
            if of_row:
                rows.append({**named, "check": name, "expected": check.expected})
    return Questions(pd.DataFrame(rows), numbers, asked, places)


def _asked(
    check: Check, about: Sequence[Planned | Other], prompts: Mapping[str, Wording]
) -> list[Asked]:
    """Those that have prompts; of other facts none that s and s' share."""
    found: list[Asked] = []
    for one in about:
        prompt = prompts.get(getattr(one, check.prompt_of))
        answered = prompts.get(getattr(one, check.answer_of))
        if prompt is None or answered is None:
            continue
        if check.answer_of != "donor_other" or prompt.answer != answered.answer:
            found.append((prompt.ids, answered.answer))
    return found
