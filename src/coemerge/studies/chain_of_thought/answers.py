"""What a model says under masks, each row of a batch under its own, and whether it is right."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from coemerge.interventions.gates import Gates, ablate
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site
from coemerge.localization.trained import TrainedMasks
from coemerge.scoring.generation import Within, generate
from coemerge.studies.chain_of_thought.questions import COT, Questions

# Of prompts in a batch. Most passes take one token of each row: many rows are needed to keep a
# device busy, and more than suit its cache when whole prompts are scored.
_TOKENS = {"cpu": 8192, "cuda": 65_536}


@dataclass(frozen=True)
class Answered:
    """Per row. ``right``: the first token of the answer is the right one; with reasoning, of what
    follows the answer cue, and wrong where that never comes. ``restated``: the reasoning names the
    fact's object; False where there is none. ``said``: the generated tokens, [R, n]."""

    right: np.ndarray
    restated: np.ndarray
    said: Tensor


class Speaker:
    """Generates answers, greedily and with cached keys and values (methods 3.7).

    ``references``: what ablated components become, None for 0. ``max_tokens``: of reasoning and
    answer. The model is left as found.
    """

    def __init__(
        self,
        model: nn.Module,
        references: Mapping[Site, Tensor] | None = None,
        max_tokens: int = 32,
        tokens_per_batch: int | None = None,
    ) -> None:
        self._model, self._references = model, references
        self._max_tokens = max_tokens
        self._device = next(model.parameters()).device
        self._per_batch = tokens_per_batch or _TOKENS.get(self._device.type, _TOKENS["cuda"])

    def untouched(self, questions: Questions) -> Answered:
        """One row per question."""
        said = self._generate(questions, np.arange(len(questions)))
        return judge(questions, np.arange(len(questions)), said)

    def ablated(
        self, questions: Questions, asked: np.ndarray, masks: TrainedMasks, mask: np.ndarray
    ) -> Answered:
        """Row r asks question ``asked[r]`` with the components of mask ``mask[r]`` ablated at every
        token of the prompt and at every generated one."""
        heads, neurons = (
            torch.as_tensor(x, device=self._device) for x in (masks.heads, masks.neurons)
        )
        gates = Gates(heads, neurons)

        def within(rows: Sequence[int]) -> AbstractContextManager[object]:
            chosen = torch.as_tensor(mask[list(rows)], device=self._device)
            functions = ablate(gates.for_rows(chosen), self._references)
            return intervene(self._model, functions)

        return judge(questions, asked, self._generate(questions, asked, within))

    def _generate(
        self, questions: Questions, asked: np.ndarray, within: Within | None = None
    ) -> Tensor:
        n_tokens = self._max_tokens if questions.prompting == COT else 1
        prompts = [questions.ids[i] for i in asked]
        self._check_context(max(map(len, prompts), default=0), n_tokens)
        return generate(self._model, prompts, n_tokens, self._per_batch, within, questions.stop)

    def _check_context(self, longest: int, n_tokens: int) -> None:
        """Raises ValueError where what is written may not fit behind the longest prompt."""
        context = getattr(self._model.config, "max_position_embeddings", None)
        if context is not None and longest + n_tokens > context:
            raise ValueError(
                f"study.max_tokens: {n_tokens} tokens do not fit behind a prompt of {longest}, the "
                f"model's context is {context}: at most {context - longest}"
            )


def judge(questions: Questions, asked: np.ndarray, said: Tensor) -> Answered:
    """``said`` [R, n]: what was generated after question ``asked[r]``."""
    right, restated = np.zeros(len(asked), bool), np.zeros(len(asked), bool)
    for row, (i, tokens) in enumerate(zip(asked, said.tolist(), strict=True)):
        cue = questions.cues[i]
        end = find(tokens, cue) if cue else 0
        reasoning = tokens if end is None else tokens[:end]
        restated[row] = find(reasoning, questions.objects[i]) is not None
        if end is not None and end + len(cue) < len(tokens):
            right[row] = tokens[end + len(cue)] == questions.answers[i]
    return Answered(right, restated, said)


def find(tokens: Sequence[int], part: Sequence[int]) -> int | None:
    """Where ``part`` first stands in ``tokens``, None where it does not."""
    n = len(part)
    places = (k for k in range(len(tokens) - n + 1) if list(tokens[k : k + n]) == list(part))
    return next(places, None)
