"""Rows of unequal length in one batch give what each gives alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coemerge.interventions.capture import capture
from coemerge.interventions.gates import component_sites
from coemerge.localization.activations import CleanRuns
from coemerge.localization.batches import answer_logits, batches
from coemerge.localization.prompts import read_prompts
from tests.interventions.models import SAME_LOGITS, logits_of, shared_model, tokens
from tests.localization.models import planted_prompts

IDS = [tokens(n, seed=n).tolist() for n in (5, 7, 6, 7)]
SPANS = [(1, 3)] * len(IDS)
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt_neox"])
def test_padding_changes_no_answer(name: str):
    model = shared_model(name)
    (batch,) = batches(IDS, SPANS, CPU)

    found = answer_logits(model, batch)

    for row, logits in zip(batch.rows.tolist(), found, strict=True):
        alone = logits_of(model, torch.tensor([IDS[row]]))[0, -1]
        torch.testing.assert_close(logits, alone, rtol=0, atol=SAME_LOGITS)


def test_positions_count_from_each_rows_own_end():
    (batch,) = batches(IDS, SPANS, CPU)

    assert batch.positions("last").nonzero()[:, 1].tolist() == [4, 5, 6, 6]
    assert batch.positions("subject").sum(1).tolist() == [2, 2, 2, 2]


def test_stored_activations_are_those_of_each_prompt_alone():
    model = shared_model("gpt2")
    prompts = replace(read_prompts(planted_prompts()), ids=IDS, spans=SPANS)
    clean = CleanRuns(model, prompts, np.array([0, 1, 3]))
    (batch,) = batches([IDS[3], IDS[0]], SPANS[:2], CPU)

    values = clean.of(batch, np.array([3, 0])[batch.rows.numpy()])

    for row, prompt in enumerate([0, 3]):
        with capture(model, component_sites(model)) as alone:
            logits_of(model, torch.tensor([IDS[prompt]]))
        for site, value in alone.items():
            found = values[site][row, : len(IDS[prompt])]
            torch.testing.assert_close(found, value[0], rtol=0, atol=SAME_LOGITS)
