"""Which facts are studied, of those that cases can be made of; what became of the others."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd

from coemerge.studies.entity_relation.cases import STUDIED, Case, Cases
from coemerge.studies.entity_relation.config import EntityRelationConfig

log = logging.getLogger(__name__)
NEVER_SHOWN = "A5_never"
BEYOND = "beyond study.n_facts"


class Maker(Protocol):
    """Makes cases of facts, given by rows with fact_id, relation and arm."""

    def reasons(self, facts: pd.DataFrame) -> pd.Series:
        """Of each fact, under its index: ``STUDIED``, or why it cannot be."""

    def case(self, row: Mapping[str, Any]) -> Case:
        """Of a fact that can be studied."""


def choose(facts: pd.DataFrame, maker: Maker, config: EntityRelationConfig) -> Cases:
    """Facts of the arms asked for (else all that were shown) that can be studied, relations taking
    turns, ``config.n_facts`` of each arm at most. What is left out is counted.

    Raises ValueError where fewer than ``config.min_facts`` are left, with the remedy.
    """
    asked = _asked(facts, config)
    reasons = maker.reasons(asked)
    taken = _in_turns(asked[reasons == STUDIED], config.n_facts)
    reasons[(reasons == STUDIED) & ~asked.index.isin(taken.index)] = BEYOND
    counted = asked.assign(reason=reasons).groupby(["relation", "arm", "reason"])
    counts = counted.size().rename("n").reset_index()
    told = ", ".join(f"{n} {why}" for why, n in counts.groupby("reason")["n"].sum().items())
    log.info("facts: %s", told)
    if len(taken) < config.min_facts:
        raise ValueError(
            f"facts: {told}; the study takes {config.min_facts}: train longer, name other facts "
            "(study.arms, study.facts), or edit what is not known (study.only_known=false)"
        )
    return Cases([maker.case(row) for row in taken.to_dict("records")], counts)


def _asked(facts: pd.DataFrame, config: EntityRelationConfig) -> pd.DataFrame:
    chosen = facts["arm"] != NEVER_SHOWN  # what was never shown is at best guessed
    if config.arms is not None:
        chosen = facts["arm"].isin(config.arms)
    if config.facts is not None:
        chosen &= facts["fact_id"].isin(config.facts)
    if not chosen.any():
        raise ValueError(
            "study.arms, study.facts: no fact is of both; there are facts of "
            f"{', '.join(sorted(set(facts['arm'])))}"
        )
    return facts[chosen]


def _in_turns(facts: pd.DataFrame, n: int | None) -> pd.DataFrame:
    turn = facts.groupby(["arm", "relation"]).cumcount()
    ordered = facts.iloc[turn.argsort(kind="stable")]
    return ordered if n is None else ordered.groupby("arm").head(n)
