"""Which neurons are changed while a group's test prompts run, and what the model then predicts
(methods 6.4).

Axes: N prompts of a group, D draws of random sets, L layers, m neurons of a layer.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from coemerge.localization.changed_neurons import Predictions, predict_changed
from coemerge.localization.neuron_sets import random_sets
from coemerge.localization.prompts import stable_seed
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.subject import Found, Group, Prompt, Subject

CHANGES = {"suppressed": 0.0, "enhanced": 2.0}
CONTROLS = NONE, MISMATCHED, RANDOM = ("none", "mismatched", "random")


def mismatched(groups: Sequence[Group]) -> list[int | None]:
    """For each group the place of another one, whose neurons should do less: the next, in turn, of
    the same topic and level, so of a class the phenomenon's other class; of one alone in its topic,
    as relations are, the next of the kind and level. None where there is no other."""
    found: list[int | None] = [None] * len(groups)
    for near in (("kind", "level"), ("kind", "level", "topic")):
        alike: dict[tuple[str, ...], list[int]] = {}
        for g, group in enumerate(groups):
            alike.setdefault(tuple(group.keys[name] for name in near), []).append(g)
        for places in alike.values():
            for g, following in zip(places, [*places[1:], places[0]], strict=True):
                found[g] = following if following != g else found[g]
    return found


def changed_sets(
    found: Found, g: int, partner: int | None, config: KnowledgeNeuronsConfig
) -> Tensor:
    """Own, mismatched (none without a partner) and random neurons, bool [2+D,L,m]; random ones are
    a group's own, whichever others there are."""
    own = found.sets[g]
    other = torch.zeros_like(own) if partner is None else found.sets[partner]
    names = stable_seed(config.seed, "random neurons", *found.groups[g].keys.values())
    generator = torch.Generator().manual_seed(int(np.random.default_rng(names).integers(2**62)))
    drawn = own.new_zeros(config.random_draws, *own.shape)
    used = own.any(-1)
    drawn[:, used] = random_sets(own[used].expand(config.random_draws, -1, -1), generator)
    return torch.cat((own[None], other[None], drawn))


def predict(subject: Subject, groups: Sequence[Group], changed: Tensor) -> Iterator[Predictions]:
    """Of each group's test prompts, [N,1+2(2+D),..]: answer, foil (or again the answer), words."""
    asked = [_tokens(prompt, group) for group in groups for prompt in group.test]
    width = max(map(len, asked), default=1)
    padded = [[*tokens, *tokens[:1] * (width - len(tokens))] for tokens in asked]
    sizes = [len(group.test) for group in groups]
    predicted = predict_changed(
        subject.model,
        [prompt.ids for group in groups for prompt in group.test],
        torch.tensor(padded, dtype=torch.long).view(len(padded), width),
        changed.repeat(1, len(CHANGES), 1, 1),
        torch.arange(len(groups)).repeat_interleave(torch.tensor(sizes)),
        np.repeat(list(CHANGES.values()), changed.shape[1]).tolist(),
    )
    parts = (predicted.log_probs.split(sizes), predicted.likeliest.split(sizes))
    return (Predictions(*part) for part in zip(*parts, strict=True))


def _tokens(prompt: Prompt, group: Group) -> list[int]:
    answer = prompt.answer[0]
    foil = answer if prompt.foil is None else prompt.foil
    return [answer, foil, *(word.token for word in group.words)]


def of_change(values: np.ndarray, number: int) -> np.ndarray:
    """Of values [N,1+2(2+D),...] those under change ``number`` of ``CHANGES``, [N,2+D,...]: by the
    neurons changed, own, mismatched, and of each random draw."""
    n = (values.shape[1] - 1) // len(CHANGES)
    return values[:, 1 + number * n : 1 + (number + 1) * n]
