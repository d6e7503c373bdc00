"""Facts that restate each other, and the edits that are tried on them (methods 6.6).

A fact is restated by its inverse (symmetry: the capital of s is t, t is the capital of s) or by
another relation of the same subject (synonymy: s works in t, s is a u). Either may be edited and
the other asked.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coemerge.studies.shared.wordings import Wording

SYMMETRY, SYNONYMY = "symmetry", "synonymy"
FAMILIES = (SYMMETRY, SYNONYMY)
_MOST = 0.5  # of a relation's facts, so that another counts as its inverse by content alone
_PAIR = ["family", "edited", "asked"]


@dataclass(frozen=True, slots=True)
class Planned:
    """``fact`` s -> t is edited into s -> t', where ``donor`` is (s', t'). ``restated`` and
    ``donor_restated``: facts of the relation ``asked`` that say the same as each. ``stated``,
    ``root``: as in ``ImplicationsRecord``."""

    family: str
    edited: str
    asked: str
    arm: str
    stated: str
    fact: str
    donor: str
    restated: str
    donor_restated: str
    root: str


def restatements(facts: pd.DataFrame) -> pd.DataFrame:
    """Columns family, edited, asked, fact, restated; both directions. By ``root_id``, and for
    symmetry by content too: where most facts (s, t) of one relation, of the smaller of the two,
    have their (t, s) in the other. Content does not tell synonyms. ``facts``: as in ``Subject``."""
    pairs = pd.concat([_by_root(facts), _by_content(facts)])
    return pairs.drop_duplicates([*_PAIR, "fact"]).reset_index(drop=True)


def _by_root(facts: pd.DataFrame) -> pd.DataFrame:
    """What says something else than these two of its root is left out."""
    derived = facts[facts["root_id"] != facts["fact_id"]]
    both = derived.merge(facts, left_on="root_id", right_on="fact_id", suffixes=("", "_of"))
    swapped = (both["subject"] == both["object_of"]) & (both["object"] == both["subject_of"])
    alike = (both["subject"] == both["subject_of"]) & (both["relation"] != both["relation_of"])
    both["family"] = np.select([swapped, alike], FAMILIES, "")
    both = both[both["family"] != ""]
    there = _pairs(both, "fact_id", "fact_id_of", "relation", "relation_of")
    return pd.concat([there, _pairs(both, "fact_id_of", "fact_id", "relation_of", "relation")])


def _by_content(facts: pd.DataFrame) -> pd.DataFrame:
    named = facts[["fact_id", "relation", "subject", "object"]]
    both = named.merge(
        named,
        left_on=["subject", "object"],
        right_on=["object", "subject"],
        suffixes=("", "_of"),
    )
    both = both[both["fact_id"] != both["fact_id_of"]].assign(family=SYMMETRY)
    sizes = facts["relation"].value_counts()
    relations = both.groupby(["relation", "relation_of"])
    smaller = np.minimum(both["relation"].map(sizes), both["relation_of"].map(sizes))
    found = np.minimum(*(relations[f].transform("nunique") for f in ("fact_id", "fact_id_of")))
    are_inverse = found > _MOST * smaller
    return _pairs(both[are_inverse], "fact_id", "fact_id_of", "relation", "relation_of")


def _pairs(both: pd.DataFrame, fact: str, restated: str, edited: str, asked: str) -> pd.DataFrame:
    names = {fact: "fact", restated: "restated", edited: "edited", asked: "asked"}
    return both[["family", *names]].rename(columns=names)


def planned(
    facts: pd.DataFrame, asked: Mapping[str, Wording], editable: Collection[str]
) -> list[Planned]:
    """Edits of the ``editable`` facts: t' is the object of the preceding one (cyclic) in the order
    of ``facts`` among those of the same relations, arm and exposure of what restates them, whether
    they are editable or not; further back where their answers, or those of what restates them,
    begin with the same token, or where t' is true of s too. Without such a one there is no edit.

    Facts that were never shown, or have no prompt in ``asked``, take no part.
    """
    pairs = _with_exposure(facts)
    taking_part = pairs["is_shown"] & pairs["fact"].isin(asked.keys())
    fits = _fitting(facts, asked)
    roots = facts.set_index("fact_id")["root_id"].to_dict()
    found: list[Planned] = []
    for keys, group in pairs[taking_part].groupby(
        [*_PAIR, "arm", "stated"], sort=False, dropna=False
    ):
        family, edited, other, arm, stated = map(str, keys)
        names = list(zip(group["fact"], group["restated"], strict=True))
        for place, of in enumerate(names):
            before = [*names[:place][::-1], *names[:place:-1]]
            donor = next((one for one in before if fits(*of, *one)), None)
            if of[0] in editable and donor is not None:
                named = (of[0], donor[0], of[1], donor[1], min(roots[fact] for fact in of))
                found.append(Planned(family, edited, other, arm, stated, *named))
    return found


def _with_exposure(facts: pd.DataFrame) -> pd.DataFrame:
    """``restatements`` in the order of facts, with the edited one's arm, ``is_shown``, and
    ``stated`` of the other."""
    own = facts[["fact_id", "arm", "documents"]]
    both = own.merge(restatements(facts), left_on="fact_id", right_on="fact")
    other = both["restated"].map(facts.set_index("fact_id")["documents"])
    stated = np.select([other.isna(), other > 0], ["unknown", "yes"], "no")
    return both.assign(is_shown=both["documents"] != 0, stated=stated)


def _fitting(
    facts: pd.DataFrame, asked: Mapping[str, Wording]
) -> Callable[[str, str, str, str], bool]:
    """Whether a fact, restated by a second, can take the object of a third, restated by a
    fourth."""
    named = {row["fact_id"]: row for row in facts.to_dict("records")}
    true = set(zip(facts["relation"], facts["subject"], facts["object"], strict=True))

    def differ(one: str, other: str) -> bool:
        there = one in asked and other in asked
        return not there or asked[one].answer[0] != asked[other].answer[0]

    def fits(fact: str, restated: str, donor: str, donor_restated: str) -> bool:
        own, new = named[fact], named[donor]["object"]
        is_new = (own["relation"], own["subject"], new) not in true and new != own["subject"]
        return is_new and differ(fact, donor) and differ(restated, donor_restated)

    return fits
