"""Relative drop, recovery, validity (methods T-M8)."""

import numpy as np
import pytest

from coemerge.localization.metrics import density_per_layer, is_valid, recovery, relative_drop


def test_drop_and_recovery_on_numbers_done_by_hand():
    """T-M8."""
    assert relative_drop(0.9, 0.3) == pytest.approx(2 / 3)
    assert recovery(0.9, 0.1, 0.7) == pytest.approx(0.75)


def test_what_has_no_base_is_undefined():
    assert np.isnan(relative_drop(0.0, 0.0))
    assert np.isnan(recovery([0.5, 0.4], [0.5, 0.6], [0.5, 0.5])).all()


def test_a_mask_may_raise_accuracy_and_recover_more_than_was_lost():
    assert relative_drop(0.5, 0.75) == pytest.approx(-0.5)
    assert recovery(0.8, 0.4, 1.0) == pytest.approx(1.5)


def test_validity_needs_all_three():
    assert is_valid(0.2, [0.1, -0.3, np.nan], 0.5)
    assert not is_valid(0.19, [0.0], 0.9)
    assert not is_valid(0.9, [0.0, 0.11], 0.9)
    assert not is_valid(0.9, [0.0], 0.49)
    assert not is_valid(float("nan"), [0.0], 0.9)
    assert not is_valid(0.9, [0.0], float("nan"))


def test_density_is_counted_per_layer():
    mask = np.array([[True, False, False, False], [True, True, True, True]])

    assert density_per_layer(mask).tolist() == [0.25, 1.0]
