"""The editors that are compared, each by its name and with settings to be tried (methods 2.10).

``rome``: rank-one; ``memit``: spread over layers; ``ft``, ``ft_l``: gradient descent on one layer,
without and with a bound; ``kn``: the neurons that the present answer is due to write the new one.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from coemerge.editing.contexts import BARE, sample_contexts
from coemerge.editing.fine_tuning import FT, FT_L, fine_tune
from coemerge.editing.keys import KeyMoment, key_moments
from coemerge.editing.memit import memit
from coemerge.editing.neurons import update_each
from coemerge.editing.outcome import Outcome
from coemerge.editing.rank_one import rank_one
from coemerge.editing.requests import Ids, Request, already_answered
from coemerge.editing.rows import top_tokens
from coemerge.editing.value_config import MEMIT, ValueConfig
from coemerge.interventions.architecture import ModuleMap
from coemerge.localization.attribution_config import AttributionConfig
from coemerge.localization.knowledge_neurons import attribute
from coemerge.localization.neuron_sets import coarse_sets
from coemerge.studies.shared.grids import Setting

log = logging.getLogger(__name__)
ANY_LAYER = -1  # of an editor whose neurons choose


class Edited(Protocol):
    """Settings of a study, as far as editors need them: ``contexts``, (tokens, how many) of the
    prefixes that a request is read behind; ``memit_layers``, how many MEMIT spreads over;
    ``steps``, points of the path of integrated gradients (kn)."""

    @property
    def contexts(self) -> Sequence[Sequence[int]]: ...

    @property
    def memit_layers(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Editors:
    """Edits of one model. ``moments``: C of every layer that may be edited, none for C = I;
    ``start``: the token that sampled prefixes go on from, ``separator`` what ends them;
    ``opened``: prompts open with a token of their own."""

    model: nn.Module
    config: Edited
    moments: dict[int, KeyMoment]
    start: int
    separator: Sequence[int] = ()
    opened: bool = False
    _attributions: dict[tuple, Tensor] = field(default_factory=dict)

    def outcomes(
        self, editor: str, requests: Sequence[Request], layer: int, setting: Setting
    ) -> list[Outcome]:
        """One per request, each an edit of the untouched model."""
        edit: Callable[[Sequence[Request], int, Setting], list[Outcome]] = getattr(self, editor)
        return edit(requests, layer, setting)

    @cached_property
    def contexts(self) -> list[tuple[int, ...]]:
        """Of a model whose prompts open with a token of their own the bare prompt alone: behind a
        prefix that token would stand inside a text."""
        if self.opened:
            return [BARE]
        lengths = [(n_tokens, n) for n_tokens, n in self.config.contexts]
        return sample_contexts(self.model, [self.start], lengths, self.config.seed, self.separator)

    def rome(self, requests: Sequence[Request], layer: int, setting: Setting) -> list[Outcome]:
        config = replace(ValueConfig(), **setting)
        moment = self.moments.get(layer)
        return rank_one(self.model, requests, layer, self.contexts, moment, config)

    def memit(self, requests: Sequence[Request], layer: int, setting: Setting) -> list[Outcome]:
        others = {key: value for key, value in setting.items() if key != "weight"}
        return memit(
            self.model,
            requests,
            memit_layers(layer, self.config.memit_layers),
            self.contexts,
            self.moments or None,
            setting.get("weight", 20_000.0),
            replace(MEMIT, **others),
        )

    def ft(self, requests: Sequence[Request], layer: int, setting: Setting) -> list[Outcome]:
        return fine_tune(self.model, requests, layer, replace(FT, **setting))

    def ft_l(self, requests: Sequence[Request], layer: int, setting: Setting) -> list[Outcome]:
        return fine_tune(self.model, requests, layer, replace(FT_L, **setting))

    def kn(self, requests: Sequence[Request], layer: int, setting: Setting) -> list[Outcome]:
        """``layer`` plays no part."""
        neurons = coarse_sets(self._credited(requests), setting.get("tau", 0.2))
        now = top_tokens(self.model, [request.goal.ids for request in requests]).tolist()
        new = [request.goal.target[0] for request in requests]
        lambdas = (setting.get("erased", 2.0), setting.get("written", 2.0))
        edits = update_each(self.model, neurons, now, new, lambdas)
        answered = already_answered(self.model, requests).tolist()
        return [
            Outcome(edit, loss=float("nan"), n_steps=0, diverged=False, already_answered=is_so)
            for edit, is_so in zip(edits, answered, strict=True)
        ]

    def _credited(self, requests: Sequence[Request]) -> Tensor:
        """[E,L,m]: how much of the present right answer each neuron carries; kept, of all requests
        together, so that batches do not depend on what was asked before."""
        asked = tuple((tuple(r.goal.ids), tuple(r.target_true)) for r in requests)
        place = {pair: k for k, pair in enumerate(dict.fromkeys(asked))}
        if asked not in self._attributions:
            self._attributions[asked] = attribute(
                self.model,
                [prompt for prompt, _ in place],
                [answer for _, answer in place],
                AttributionConfig("joint", self.config.steps),
            )[[place[pair] for pair in asked]]
        return self._attributions[asked]


class Model(Protocol):
    """A studied model, as far as editors need it; ``identity``: the hash of its weights."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def identity(self) -> str: ...

    @property
    def text(self) -> Sequence[Ids]: ...

    @property
    def opening(self) -> int | None: ...

    @property
    def separator(self) -> Sequence[int]: ...

    @property
    def start(self) -> int: ...


def make_editors(subject: Model, layers: Sequence[int], config: Edited, cache: Path) -> Editors:
    """For edits of ``layers``, with the second moments of keys that these need, kept in
    ``cache``."""
    edited = sorted({one for last in layers for one in memit_layers(last, config.memit_layers)})
    moments = {}
    if subject.text and edited:
        log.info("keys of %d documents, layers %s", len(subject.text), edited)
        moments = key_moments(subject.model, subject.text, edited, cache, subject.identity)
    opened = subject.opening is not None
    return Editors(subject.model, config, moments, subject.start, subject.separator, opened)


def check_edited_layers(model: nn.Module, layers: Sequence[int] | None) -> None:
    """Raises ValueError for layers of ``study.layers`` that cannot be edited."""
    n_layers = ModuleMap(model).n_layers
    wrong = [layer for layer in layers or () if layer >= n_layers - 1]
    if wrong:
        raise ValueError(
            f"study.layers: {wrong}: the model's layers are 0 to {n_layers - 1}, and the last is "
            "too late: nothing above it reads a subject inside its prompt"
        )


def memit_layers(last: int, n: int) -> list[int]:
    """``n`` layers up to ``last``, fewer at the bottom."""
    return list(range(max(0, last - n + 1), last + 1))
