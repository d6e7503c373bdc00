"""Which neurons each query's answer is due to, by every localiser; kept, so that nothing is
attributed twice."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Ids, Queries, Subject, behind_contexts

METHOD_VERSION = 1  # of what is kept: to be raised when attributions change


@dataclass(frozen=True)
class Attributions:
    """Localiser -> attributions [F,k,L,m], float16: of the queries, and of each fact's first query
    behind k statements about other facts."""

    queries: dict[str, Tensor]
    contexts: dict[str, Tensor]


def find_neurons(
    subject: Subject, queries: Queries, config: QueryLocalizationConfig, cache: Path
) -> Attributions:
    """By all localisers; what is in ``cache`` is read."""
    shape = (len(queries.facts), queries.k)
    first = [queries.answers[f * queries.k] for f in queries.fact_of]

    def by_all(prompts: Sequence[Ids], answers: Sequence[Ids]) -> dict[str, Tensor]:
        found = {}
        for method in config.localisers:
            kept = _kept(subject, prompts, answers, config.attribution(method), cache)
            found[method] = kept.unflatten(0, shape)
        return found

    behind = behind_contexts(queries, config.seed)
    return Attributions(by_all(queries.ids, queries.answers), by_all(behind, first))


def _kept(
    subject: Subject,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    config: AttributionConfig,
    cache: Path,
) -> Tensor:
    """float16 [N,L,m], from ``cache`` where it is there."""
    asked = [METHOD_VERSION, subject.identity, prompts, answers, asdict(config)]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    path = cache / f"{config.method}-{key}.safetensors"
    if not path.is_file():
        found = attribute(subject.model, prompts, answers, config, show_progress=True)
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        save_file({"attribution": found.to(torch.float16)}, temporary)
        os.replace(temporary, path)
    return load_file(path)["attribution"]
