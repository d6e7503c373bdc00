"""Both readings of entanglement (methods T-N1, T-N2)."""

import numpy as np
import pytest

from coemerge.statistics.entanglement import (
    drop_entanglement,
    jaccard_matrix,
    overlap_entanglement,
)


def matrix(target: float, others: list[float]) -> np.ndarray:
    """[K,K] whose first row is given; other masks do their own damage alone."""
    drops = np.eye(len(others) + 1)
    drops[0] = [target, *others]
    return drops


def test_drop_entanglement_on_numbers_done_by_hand():
    """T-N1."""
    found = drop_entanglement(matrix(0.5, [0.1, 0, 0.05, 0.05, 0.05])[None])

    assert found[0] == pytest.approx(0.1)
    assert found[1:].tolist() == [0, 0, 0, 0, 0]


def test_gains_of_other_tasks_do_not_make_up_for_damage():
    assert drop_entanglement(matrix(0.5, [0.2, -0.4])[None])[0] == pytest.approx(0.2)


def test_facts_are_averaged_and_those_without_intended_damage_left_out():
    drops = np.stack([matrix(0.5, [0.1, 0.1]), matrix(1.0, [0.5, 0.3]), matrix(0.0, [0.9, 0.9])])

    assert drop_entanglement(drops)[0] == pytest.approx((0.2 + 0.4) / 2)
    assert np.isnan(drop_entanglement(drops[2:])[0])


def test_undefined_drops_of_other_tasks_are_left_out():
    assert drop_entanglement(matrix(0.5, [0.1, np.nan])[None])[0] == pytest.approx(0.2)


def test_identical_masks_overlap_wholly_and_disjoint_ones_not():
    """T-N2."""
    one = np.array([True, True, False, False])

    assert overlap_entanglement(np.stack([one, one, one])[None]).tolist() == [1, 1, 1]
    assert overlap_entanglement(np.stack([one, ~one])[None]).tolist() == [0, 0]


def test_overlaps_are_averaged_over_other_tasks_and_facts():
    a, b, c = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)

    found = overlap_entanglement(np.stack([[a, b, c], [a, a, a]]))

    assert found == pytest.approx([(1 / 6 + 1) / 2, (1 / 6 + 1) / 2, 1 / 2])


def test_two_empty_masks_have_no_overlap_to_speak_of():
    masks = np.array([[False, False], [False, False], [True, False]])

    assert np.isnan(jaccard_matrix(masks)[0, 1])
    assert jaccard_matrix(masks)[0, 2] == 0


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 3, 4\]"):
        drop_entanglement(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"\[2, 1, 4\]"):
        overlap_entanglement(np.zeros((2, 1, 4)))
