"""What the study edits and asks: one counterfactual per fact, put from both sides (methods 4.2).

The fact (s, r, o) becomes (s, r, o*). From the entity side a prompt asks for the object; from the
relation side a prompt names s and an object and asks for the relation, *none* where there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from coemerge.editing.counterfact_scores import CounterfactTrial
from coemerge.editing.requests import Ids, Request, edited_at

ENTITY, RELATION, REMOVAL = "entity", "relation", "removal"
ENTITY_THIRD, RELATION_THIRD = "entity_third", "relation_third"  # controls
THIRD = {ENTITY: ENTITY_THIRD, RELATION: RELATION_THIRD}
SAME_SUBJECT = "same_subject"
SIDES = (ENTITY, RELATION)
PROBES = (ENTITY, RELATION, REMOVAL, ENTITY_THIRD, RELATION_THIRD)
STUDIED = "studied"


@dataclass(frozen=True, slots=True)
class Case:
    """One fact with its counterfactual.

    ``requests``: by side, what an editor is asked for. Entity: the prompt about s to be answered by
    o*. Relation: (s, o*) to be answered by the relation's name, and in ``Request.also`` (s, o) to
    be answered by *none*. ``trials``: by probe, what is asked before and after. Entity: new is o*,
    true is o; neighbours are other subjects whose object is o. Relation: new is the relation's
    name, true is *none*; the rewrite is (s, o*), neighbours are other subjects with o*, to which
    *none* is right. Removal: new is *none*, true the name; the rewrite is (s, o), neighbours are
    other subjects with o, whose object it is. The controls ask the same of a third object: whether
    it beats o, which damage to o alone would bring about, and whether (s, third) is answered by the
    name. What cannot be asked is missing. ``same_subject``: prompts of the subject's other facts
    with the first token of their answers, which an edit should leave alone.
    """

    fact_id: str
    relation: str
    arm: str
    requests: Mapping[str, Request]
    trials: Mapping[str, CounterfactTrial]
    same_subject: Sequence[tuple[Ids, int]] = ()

    def edited_at(self, token: str) -> "Case":
        """With the key and the value of edits at the subject's ``first`` or ``last`` token."""
        if token == "last":
            return self
        placed = {side: edited_at(request, token) for side, request in self.requests.items()}
        return replace(self, requests=placed)


@dataclass(frozen=True)
class Cases:
    """``studied``: the cases, in order. ``counts``: facts by what became of them (columns of
    ``SideExclusionsRecord`` without the seed)."""

    studied: list[Case]
    counts: pd.DataFrame

    def __len__(self) -> int:
        return len(self.studied)
