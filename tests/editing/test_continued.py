"""Rows continued from a changed token equal whole passes with the change, on every architecture."""

import pytest
import torch

from coemerge.editing.continued import Continued
from coemerge.interventions.capture import capture
from coemerge.interventions.hooks import intervene
from coemerge.interventions.sites import Site
from tests.interventions.models import (
    D_MODEL,
    MODELS,
    N_LAYERS,
    SAME_LOGITS,
    noise,
    shared_model,
    tokens,
)

LENGTHS, STARTS = (9, 4, 6, 1), (6, 2, 0, 0)  # longer than a sliding window of 4
ROWS = [tokens(n, seed=n).tolist() for n in LENGTHS]


@pytest.mark.parametrize("layer", range(N_LAYERS))
@pytest.mark.parametrize("name", MODELS)
def test_a_continued_row_equals_the_whole_row(name: str, layer: int):
    model, site = shared_model(name), Site("resid_post", layer)
    change = noise(len(ROWS), D_MODEL)

    continued, there = Continued.of(model, layer, ROWS, STARTS)
    n_after = continued.tokens.shape[1]
    assert n_after == 6
    with torch.no_grad():
        found = continued.logits(continued.residual[:, 0] + change, torch.arange(n_after))

    for b, (row, start) in enumerate(zip(ROWS, STARTS, strict=True)):
        added = torch.zeros(1, len(row), D_MODEL).index_add(
            1, torch.tensor([start]), change[b][None, None]
        )
        sites = [Site("mlp_act", layer), Site("mlp_out", layer)]
        changed = intervene(model, {site: lambda x, added=added: x + added})
        with torch.no_grad(), capture(model, sites) as seen, changed:
            whole = model(input_ids=torch.tensor([row])).logits[0, start:]
        torch.testing.assert_close(
            found[b, : len(whole)], whole, rtol=SAME_LOGITS, atol=SAME_LOGITS
        )
        for at in sites:
            expected = seen[at][0, start]
            torch.testing.assert_close(
                there[at.name][b], expected, rtol=SAME_LOGITS, atol=SAME_LOGITS
            )


def test_some_of_the_rows():
    model = shared_model("olmo3")
    continued, _ = Continued.of(model, 0, ROWS, STARTS)
    first, places = continued.residual[:, 0], torch.tensor([0])

    some = torch.tensor([2, 0])
    with torch.no_grad():
        found = continued.keep(some).logits(first[some], places)
        expected = continued.logits(first, places)[some]

    torch.testing.assert_close(found, expected, rtol=SAME_LOGITS, atol=SAME_LOGITS)
