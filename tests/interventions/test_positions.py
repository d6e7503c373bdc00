"""Position masks."""

import pytest
import torch

from coemerge.interventions.positions import position_mask


def test_all_and_last():
    assert position_mask("all", 2, 3).tolist() == [[True] * 3] * 2
    assert position_mask("last", 2, 3).tolist() == [[False, False, True]] * 2


def test_every_row_has_its_own_subject():
    mask = position_mask("subject", 3, 4, torch.tensor([[0, 2], [3, 4], [1, 1]]))

    assert mask.long().tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("span", [[-1, 2], [2, 5], [3, 1]])
def test_spans_outside_the_row_are_refused(span: list[int]):
    with pytest.raises(ValueError, match="spans leave the 4 positions or are reversed"):
        position_mask("subject", 1, 4, torch.tensor([span]))


def test_missing_spans_and_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match=r"needs spans of shape \[2, 2\], not None"):
        position_mask("subject", 2, 4)
    with pytest.raises(ValueError, match=r"needs spans of shape \[2, 2\], not \[1, 2\]"):
        position_mask("subject", 2, 4, torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="positions='first': must be all, subject or last"):
        position_mask("first", 2, 4)  # type: ignore[arg-type]
