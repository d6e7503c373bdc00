"""Which prompts are answered right, with nothing done, under ablation, and patched; many masks at
once, each row under its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from coemerge.interventions.gates import Gates, ablate, patch
from coemerge.interventions.hooks import intervene
from coemerge.localization.activations import CleanRuns, run_activations
from coemerge.localization.batches import Batch, answer_logits, batches, with_tokens
from coemerge.localization.objective import References
from coemerge.localization.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows to be answered: under which mask [R], and which prompt [R]."""

    mask: np.ndarray
    prompt: np.ndarray


class Answerer:
    """Strict top-1 accuracy: the most probable next token is the answer's first.

    ``references``: what ablated components become, None for 0, "corrupted" for their values in the
    corrupted run of the same prompt. ``positions``: where gates act.
    """

    def __init__(
        self,
        model: nn.Module,
        prompts: Prompts,
        references: References | str = None,
        positions: str = "all",
    ) -> None:
        self._model, self._prompts = model, prompts
        self._references, self._positions = references, positions
        self._device = next(model.parameters()).device

    @torch.no_grad()
    def untouched(
        self, prompt: np.ndarray, corrupted: bool = False, show_progress: bool = False
    ) -> np.ndarray:
        """bool [R]."""
        right = np.zeros(len(prompt), bool)
        with tqdm(
            total=len(prompt), desc="asking", unit="prompt", disable=not show_progress
        ) as bar:
            for batch, rows in self._batches(prompt, corrupted):
                right[rows] = self._is_right(batch, prompt[rows])
                bar.update(len(rows))
        return right

    @torch.no_grad()
    def ablated(self, gates: Gates, asked: Asked) -> np.ndarray:
        """Clean prompts, gated components replaced by the reference; bool [R]."""
        right = np.zeros(len(asked.prompt), bool)
        for batch, rows in self._batches(asked.prompt):
            prompt = asked.prompt[rows]
            functions = ablate(
                gates.for_rows(torch.as_tensor(asked.mask[rows], device=self._device)),
                self._reference(batch, prompt),
                batch.positions(self._positions),  # type: ignore[arg-type]
            )
            with intervene(self._model, functions):
                right[rows] = self._is_right(batch, prompt)
        return right

    @torch.no_grad()
    def patched(self, gates: Gates, asked: Asked, clean: CleanRuns) -> np.ndarray:
        """Corrupted prompts, gated components at their clean values; bool [R]."""
        right = np.zeros(len(asked.prompt), bool)
        for batch, rows in self._batches(asked.prompt, corrupted=True):
            prompt = asked.prompt[rows]
            functions = patch(
                gates.for_rows(torch.as_tensor(asked.mask[rows], device=self._device)),
                clean.of(batch, prompt),
                batch.positions(self._positions),  # type: ignore[arg-type]
            )
            with intervene(self._model, functions):
                right[rows] = self._is_right(batch, prompt)
        return right

    def _batches(
        self, prompt: np.ndarray, corrupted: bool = False
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        source = self._prompts.corrupted if corrupted else self._prompts.ids
        ids, spans = [source[i] for i in prompt], [self._prompts.spans[i] for i in prompt]
        for batch in batches(ids, spans, self._device):
            yield batch, batch.rows.numpy()

    def _reference(self, batch: Batch, prompt: np.ndarray) -> References:
        if not isinstance(self._references, str):
            return self._references
        corrupted = with_tokens(batch, [self._prompts.corrupted[i] for i in prompt])
        return run_activations(self._model, corrupted)

    def _is_right(self, batch: Batch, prompt: np.ndarray) -> np.ndarray:
        answers = np.array([self._prompts.answers[i] for i in prompt])
        return answer_logits(self._model, batch).argmax(1).cpu().numpy() == answers
