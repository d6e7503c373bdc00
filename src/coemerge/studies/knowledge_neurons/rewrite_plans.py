"""On which words and subjects an editor's layer and settings are chosen, and where edits are
made."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coemerge.studies.knowledge_neurons.config import EDITED_TOKENS, KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.rewrites import Rewrite
from coemerge.studies.knowledge_neurons.tracing import TracedKind
from coemerge.studies.shared.sites import best_site
from coemerge.studies.shared.split import split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Edits of one kind: ``dev`` to choose by, ``test`` to report; where they are made."""

    dev: list[Rewrite]
    test: list[Rewrite]
    token: str
    layers: list[int]


def make_plan(
    kind: str,
    rewrites: Sequence[Rewrite],
    traced: TracedKind | None,
    config: KnowledgeNeuronsConfig,
) -> Plan | None:
    """None, with a warning, for a kind that there is not enough of, or of which tracing says
    nothing."""
    names = list(dict.fromkeys(one.about for one in rewrites))
    if len(names) < 2:
        log.warning(
            "%s: %d words or subjects can be edited; settings are chosen on others than those "
            "reported, so that two are needed: not edited", kind, len(names),
        )  # fmt: skip
        return None
    places, _ = split(names, config)
    dev = {names[i] for i in places}
    try:
        token, pointed = _site(traced, dev, config)
    except ValueError as error:
        log.warning("%s: not edited: %s", kind, error)
        return None
    return Plan(
        dev=[one.edited_at(token) for one in rewrites if one.about in dev],
        test=[one.edited_at(token) for one in rewrites if one.about not in dev],
        token=token,
        layers=pointed if config.layers is None else list(config.layers),
    )


def _site(
    traced: TracedKind | None, dev: set[str], config: KnowledgeNeuronsConfig
) -> tuple[str, list[int]]:
    """(which token is edited, the layer that tracing points at): by prompts about
    ``dev`` alone, as others are reported. Raises ValueError where tracing is needed and these tell
    nothing."""
    tokens = EDITED_TOKENS[config.edited_token]
    if config.layers is not None and len(tokens) == 1:
        return tokens[0], []
    if traced is None:
        raise ValueError("no prompt could be traced; name study.layers and study.edited_token")
    of_dev = traced.kept & np.array([prompt.about in dev for prompt in traced.prompts], bool)
    if traced.kept.any() and not of_dev.any():
        raise ValueError(
            f"of the {traced.kept.sum()} prompts traced that tell where an edit belongs none is "
            f"about the {len(dev)} words or subjects kept for the choice: raise study.traced or "
            "study.dev_share, or name study.layers and study.edited_token"
        )
    site = best_site(traced.result, of_dev, tokens)
    log.info('causal tracing points at the token "%s", layer %d, where MLPs give back %.2f', *site)
    return site.token, [site.layer]
