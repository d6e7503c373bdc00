"""One model studied: which neurons answers are due to, what they do, and what edits imply."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.effects import SetEffects, set_effects
from coemerge.studies.knowledge_neurons.groups import make_groups
from coemerge.studies.knowledge_neurons.implications import Implied, implied
from coemerge.studies.knowledge_neurons.neurons import find_sets
from coemerge.studies.knowledge_neurons.pools import make_pools, skills, studied
from coemerge.studies.knowledge_neurons.rewriting import Rewriting, rewrite
from coemerge.studies.knowledge_neurons.shifts import token_shifts, word_shifts
from coemerge.studies.knowledge_neurons.subject import FACTS, Found, Subject
from coemerge.studies.knowledge_neurons.tracing import Traced, trace_kinds
from coemerge.units import alone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Studied:
    """Of one model; frames are rows of the records of the same name, with the seed."""

    seed: int
    skills: pd.DataFrame
    found: Found
    effects: SetEffects
    token_shifts: pd.DataFrame
    word_shifts: pd.DataFrame
    traced: Traced
    rewriting: Rewriting
    implied: Implied


def study_model(subject: Subject, config: KnowledgeNeuronsConfig, cache: Path) -> Studied:
    """Raises ValueError where the model has learned nothing that could be studied. The model is
    left as found. Attributions and moments of keys are kept in ``cache``."""
    pools = make_pools(subject, config)
    learned = skills(pools, config)
    pools = studied(pools, config)
    found = find_sets(subject, make_groups(pools, subject, config), config, cache)
    traced = trace_kinds(subject, pools, config)
    rewriting = rewrite(subject, pools, traced, config, cache)
    alone("what neurons do, and what edits imply")
    effects = set_effects(subject, found, config)
    return Studied(
        seed=subject.seed,
        skills=learned.assign(seed=subject.seed),
        found=found,
        effects=effects,
        token_shifts=token_shifts(subject, effects, config),
        word_shifts=word_shifts(subject, effects, config),
        traced=traced,
        rewriting=rewriting,
        implied=implied(
            subject,
            rewriting.editors,
            rewriting.chosen[FACTS],
            config,
            rewriting.kept.get(FACTS, ()),
        ),
    )
