"""The objective of many masks at once, and its gradient with respect to their gates.

Two kinds of forward pass, whatever the number of masks: one over all rows whose masks ablate (the
target and both controls), one over all corrupted prompts that masks patch. Each batch row is under
the gates of its own mask, so nothing is shared between masks but the work.

Axes: J masks, R rows, B rows of a batch, L layers, H heads, m neurons, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from coemerge.interventions.gates import Gates, ablate, patch
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site
from coemerge.interventions.waiting import on_device
from coemerge.localization.activations import CleanRuns, clean_log_probs, run_activations
from coemerge.localization.batches import Batch, answer_logits, batches, with_tokens
from coemerge.localization.config import MaskConfig
from coemerge.localization.examples import Schedule
from coemerge.localization.losses import (
    NO_CANDIDATE,
    answer_nll,
    necessity_kl_to_uniform,
    necessity_nll_of_rest,
    specificity_kl,
)
from coemerge.localization.prompts import Prompts
from coemerge.localization.trained import LOSS_TERMS

NEC, SUF, FACTS, TASKS = range(len(LOSS_TERMS))
References = Mapping[Site, Tensor] | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one step: their mask [R], prompt [R], and kind [R] (NEC, SUF, FACTS, TASKS)."""

    mask: np.ndarray
    prompt: np.ndarray
    kind: np.ndarray

    def where(self, chosen: np.ndarray) -> "Rows":
        return Rows(self.mask[chosen], self.prompt[chosen], self.kind[chosen])


class Objective:
    """Of J masks with their schedules. Caches what never changes: clean activations of the prompts
    to be patched, clean outputs of the controls."""

    def __init__(
        self,
        model: nn.Module,
        prompts: Prompts,
        schedules: Sequence[Schedule],
        config: MaskConfig,
        references: References,
    ) -> None:
        self._model, self._prompts, self._config = model, prompts, config
        self._schedules, self._references = schedules, references
        self._device = next(model.parameters()).device
        self._weights = torch.tensor(
            [
                config.lambda_nec,
                config.lambda_suf,
                config.lambda_spec_facts,
                config.lambda_spec_tasks,
            ],
            device=self._device,
        )
        n_rows = [config.rows_nec, config.rows_suf, config.rows_facts, config.rows_tasks]
        self._shares = 1 / torch.tensor(n_rows, device=self._device)
        drawn = [np.unique(s.suf) for s in schedules]
        self._clean = CleanRuns(model, prompts, np.unique(np.concatenate(drawn)))
        self._outputs: dict[int, Tensor] = {}
        if config.specificity == "kl":
            controls = [np.unique((*s.facts.flat, *s.tasks.flat)) for s in schedules]
            self._outputs = clean_log_probs(model, prompts, np.unique(np.concatenate(controls)))

    def backward(self, gates: Gates, active: Sequence[int], step: int) -> Tensor:
        """Adds to the gradients of ``gates`` (leaves, [J,L,H] and [J,L,m]); returns the unweighted
        terms, [J,4] in the order of ``LOSS_TERMS``, 0 for masks that are not ``active``."""
        rows = self._rows(active, step)
        per_mask = torch.zeros(len(self._schedules), len(LOSS_TERMS), device=self._device)
        patched = rows.kind == SUF
        for part, are_patched in ((rows.where(~patched), False), (rows.where(patched), True)):
            source = self._prompts.corrupted if are_patched else self._prompts.ids
            ids = [source[i] for i in part.prompt]
            spans = [self._prompts.spans[i] for i in part.prompt]
            for batch in batches(ids, spans, self._device):
                per_mask += self._batch(gates, batch, part.where(batch.rows.numpy()))
        return per_mask

    def _rows(self, active: Sequence[int], step: int) -> Rows:
        masks, prompts, kinds = [], [], []
        for j in active:
            s = self._schedules[j]
            for kind, drawn in enumerate((s.nec, s.suf, s.facts, s.tasks)):
                prompts.append(drawn[step])
                masks.append(np.full(len(drawn[step]), j))
                kinds.append(np.full(len(drawn[step]), kind))
        return Rows(*(np.concatenate(x) for x in (masks, prompts, kinds)))

    def _batch(self, gates: Gates, batch: Batch, rows: Rows) -> Tensor:
        """One forward and backward pass; the terms [J,4] of these rows."""
        mask, kind = on_device(rows.mask, self._device), on_device(rows.kind, self._device)
        own, positions = gates.for_rows(mask), batch.positions(self._config.positions)  # type: ignore[arg-type]
        if rows.kind[0] == SUF:
            functions = patch(own, self._clean.of(batch, rows.prompt), positions)
        else:
            functions = ablate(own, self._reference(batch, rows), positions)
        with intervene(self._model, functions):
            logits = answer_logits(self._model, batch)
        losses = self._losses(logits, rows)
        share = self._shares[kind]
        (losses * share * self._weights[kind]).sum().backward()
        terms = torch.zeros(len(self._schedules), len(LOSS_TERMS), device=self._device)
        return terms.index_put((mask, kind), losses.detach() * share, accumulate=True)

    def _reference(self, batch: Batch, rows: Rows) -> References:
        """What ablated components become: 0, means, or their values in the corrupted run."""
        if self._config.reference != "corrupted":
            return self._references
        corrupted = with_tokens(batch, [self._prompts.corrupted[i] for i in rows.prompt])
        return run_activations(self._model, corrupted)

    def _losses(self, logits: Tensor, rows: Rows) -> Tensor:
        """The term of each row's kind, [B]."""
        answers = on_device([self._prompts.answers[i] for i in rows.prompt], self._device)
        losses = logits.new_zeros(len(rows.prompt))
        nec, spec = rows.kind == NEC, (rows.kind == FACTS) | (rows.kind == TASKS)
        rest = self._at((rows.kind == SUF) | (spec & (self._config.specificity == "nll")))
        losses = losses.index_put((rest,), answer_nll(logits[rest], answers[rest]))
        if nec.any():
            at, candidates = self._at(nec), self._candidates(rows.prompt[nec])
            if self._config.necessity == "kl_to_uniform":
                values = necessity_kl_to_uniform(logits[at], candidates)
            else:
                values = necessity_nll_of_rest(logits[at], answers[at], candidates)
            losses = losses.index_put((at,), values)
        if self._config.specificity == "kl" and spec.any():
            at = self._at(spec)
            clean = torch.stack([self._outputs[i] for i in rows.prompt[spec].tolist()])
            losses = losses.index_put((at,), specificity_kl(logits[at], clean))
        return losses

    def _candidates(self, prompt: np.ndarray) -> Tensor:
        """[B,C], padded with ``NO_CANDIDATE``."""
        ids = [self._prompts.candidates[i] for i in prompt]
        width = max(map(len, ids))
        padded = [[*row, *[NO_CANDIDATE] * (width - len(row))] for row in ids]
        return on_device(padded, self._device)

    def _at(self, chosen: np.ndarray) -> Tensor:
        return on_device(np.flatnonzero(chosen), self._device)
