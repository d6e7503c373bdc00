import numpy as np
import pytest

from coemerge.statistics import similarity
from coemerge.statistics.similarity import compare, n_sample_similarity, unit_rows

RNG_SEED = 0


def rng() -> np.random.Generator:
    return np.random.default_rng(RNG_SEED)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 2, 3]] * 4, 1.0),
        (np.eye(3), 0.0),
        ([[1, 0], [0.6, 0.8]], 0.6),
        ([[1, 0], [-0.6, 0.8]], 0.6),  # blind to signs
    ],
)
def test_t_y1_alike_orthogonal_and_between(rows, expected):
    assert n_sample_similarity(np.array(rows, float)) == pytest.approx(expected, abs=1e-12)


def test_t_y2_equal_cosines_are_the_similarity():
    assert n_sample_similarity(np.eye(3) + 1) == pytest.approx(5 / 6, abs=1e-12)


def test_any_sign_of_a_row_and_any_length_say_the_same():
    rows = rng().standard_normal((5, 20))
    turned = rows * np.array([1, -1, 3, -0.01, 1])[:, None]

    assert n_sample_similarity(turned) == pytest.approx(n_sample_similarity(rows), abs=1e-12)


def test_rows_of_zeros_are_left_out_and_counted():
    rows = np.array([[0, 0], [1, 0], [0.6, 0.8], [0, 0]])

    assert n_sample_similarity(rows) == pytest.approx(0.6)
    assert unit_rows(rows)[1] == 2
    assert compare(rows, 2, 3, rng()).n_zero == 2


def test_fewer_than_two_rows_have_no_similarity():
    for rows in (np.zeros((0, 3)), np.ones((1, 3)), np.array([[0, 0], [1, 0]])):
        assert np.isnan(n_sample_similarity(rows))
    found = compare(np.ones((1, 3)), 1, 4, rng())
    assert np.isnan(found.excess).all()
    assert len(found.excess) == 4


def test_tiny_values_are_no_zeros():
    rows = np.array([[1e-30, 0], [0.6e-30, 0.8e-30]], np.float32)

    assert n_sample_similarity(rows) == pytest.approx(0.6, abs=1e-6)


def test_the_baseline_is_what_rows_have_that_share_nothing():
    """Independent |N(0,1)| rows are at 2/pi already, with signs at 0 (methods 6.3)."""
    signed = rng().standard_normal((20, 4000))

    for rows, level in ((abs(signed), 2 / np.pi), (signed, 0)):
        found = compare(rows, 10, 5, rng())
        assert found.similarity.mean() == pytest.approx(level, abs=0.03)
        assert abs(found.excess).max() < 0.01


def test_what_rows_share_is_above_the_baseline():
    shared = rng().standard_normal((8, 500)) + 3 * rng().standard_normal(500)

    found = compare(shared, 8, 3, rng())

    assert found.similarity == pytest.approx(n_sample_similarity(shared))  # every draw takes all
    assert found.excess.min() > 0.7


def test_draws_are_without_replacement_and_each_is_the_similarity_of_its_rows():
    """Rows 0 and 1 alike, 2 orthogonal: two of them are 1 or 0, never anything else."""
    rows = np.array([[1.0, 0], [1, 0], [0, 1]])

    found = compare(rows, 2, 200, rng())

    assert set(found.similarity.round(6)) == {0.0, 1.0}
    assert found.similarity.mean() == pytest.approx(1 / 3, abs=0.1)
    with pytest.raises(ValueError, match="4 of 3 rows"):
        compare(rows, 4, 1, rng())


def test_each_row_is_permuted_on_its_own():
    """One neuron in every row: permuted together they would stay alike."""
    rows = np.zeros((6, 300))
    rows[:, 7] = 1

    found = compare(rows, 6, 4, rng())

    assert found.similarity == pytest.approx(np.ones(4))
    assert found.baseline.max() < 0.5


def test_chunks_change_nothing(monkeypatch):
    rows = rng().standard_normal((6, 50))
    whole = compare(rows, 4, 5, rng())
    monkeypatch.setattr(similarity, "_CHUNK", 4 * 50 * 2)

    assert compare(rows, 4, 5, rng()).baseline == pytest.approx(whole.baseline, abs=1e-12)
