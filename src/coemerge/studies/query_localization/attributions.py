"""Which neurons each query's answer is due to, by every localiser; kept, so that nothing is
attributed twice."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.queries import Ids, Subject
from coemerge.studies.shared.attributions import kept_attributions


def find_neurons(
    subject: Subject,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    k: int,
    config: QueryLocalizationConfig,
    cache: Path,
) -> dict[str, Tensor]:
    """Localiser -> attributions of F*k prompts, float32 [F,k,L,m]; what is in ``cache`` is read."""
    shape = (len(prompts) // k, k)
    return {
        method: kept_attributions(
            subject.model, subject.identity, prompts, answers, config.attribution(method), cache
        ).unflatten(0, shape)
        for method in config.localisers
    }
