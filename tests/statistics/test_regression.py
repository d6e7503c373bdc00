"""Least squares over sums of clusters, against numpy on the cells themselves."""

import numpy as np
import pytest

from coemerge.statistics.regression import Cells, least_squares
from tests.tolerances import BOOTSTRAP_RELATIVE

LSTSQ = 1e-9  # another route, on values of order 1


def made_up(n: int, n_groups: int, n_clusters: int, seed: int, noise: float = 0.3) -> Cells:
    """y = 2 x - z + 10 group + noise, with x that depends on the group."""
    rng = np.random.default_rng(seed)
    group = rng.integers(n_groups, size=n)
    x, z = rng.normal(size=n) + 3 * group, rng.integers(2, size=n).astype(float)
    y = 2 * x - z + 10 * group + noise * rng.normal(size=n)
    return Cells(y, np.column_stack([x, z]), group, rng.integers(n_clusters, size=n))


def only(cells: Cells, *terms: int) -> Cells:
    return Cells(cells.y, cells.terms[:, list(terms)], cells.group, cells.cluster)


def by_lstsq(seeds: list[Cells], n_groups: int) -> tuple[np.ndarray, float]:
    """Coefficients, and R^2 against the model of intercepts alone."""
    y = np.concatenate([cells.y for cells in seeds])
    dummies = np.eye(n_groups)[np.concatenate([cells.group for cells in seeds])]
    design = np.hstack([np.concatenate([cells.terms for cells in seeds]), dummies])
    found = np.linalg.lstsq(design, y, rcond=None)[0]
    rest = y - dummies @ np.linalg.lstsq(dummies, y, rcond=None)[0]
    n_terms = seeds[0].terms.shape[1]
    return found[:n_terms], 1 - ((y - design @ found) ** 2).sum() / (rest**2).sum()


@pytest.mark.parametrize("terms", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("n_groups", [1, 3])
def test_coefficients_are_those_of_numpy(terms: tuple[int, ...], n_groups: int):
    seeds = [only(made_up(60, n_groups, 7, seed), *terms) for seed in range(2)]

    found = least_squares(seeds, n_groups, draws=50)

    expected, r_squared = by_lstsq(seeds, n_groups)
    assert found.coefficient == pytest.approx(expected, rel=LSTSQ, abs=LSTSQ)
    assert found.r_squared == pytest.approx(r_squared, abs=LSTSQ)
    assert found.n == 120
    assert (found.low < found.coefficient).all()
    assert (found.coefficient < found.high).all()


def test_a_line_by_hand():
    """Through (0,1), (1,3), (2,5) in one group and (0,0), (1,2) in another: slope 2, nothing
    left."""
    x = np.array([0.0, 1, 2, 0, 1])
    y = np.array([1.0, 3, 5, 0, 2])

    found = least_squares([Cells(y, x[:, None], np.array([0, 0, 0, 1, 1]), np.arange(5))], 2)

    assert found.coefficient == pytest.approx([2.0])
    assert found.r_squared == pytest.approx(1.0)


def test_groups_may_lie_anywhere():
    """Without intercepts of their own, groups further right that lie lower would turn the slope."""
    group = np.repeat([0, 1], 20)
    x = np.tile(np.linspace(0, 1, 20), 2) + 5 * group
    cells = Cells(x - 20 * group, x[:, None], group, np.arange(40))

    assert least_squares([cells], 2, draws=10).coefficient == pytest.approx([1.0])
    pooled = Cells(cells.y, cells.terms, np.zeros(40, int), cells.cluster)
    assert least_squares([pooled], 1, draws=10).coefficient < 0


def test_clusters_that_differ_widen_the_interval():
    """Six clusters with slopes of their own: cells of one are no independent evidence."""
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(6), 50)
    x = rng.normal(size=300)
    y = rng.normal(1, 1, size=6)[cluster] * x
    whole = least_squares([Cells(y, x[:, None], np.zeros(300, int), cluster)], 1)
    single = least_squares([Cells(y, x[:, None], np.zeros(300, int), np.arange(300))], 1)

    assert (whole.high - whole.low)[0] > 3 * (single.high - single.low)[0]


def test_single_cells_as_clusters_are_the_ordinary_bootstrap():
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    y = x + rng.normal(size=200)
    found = least_squares([Cells(y, x[:, None], np.zeros(200, int), np.arange(200))], 1)

    drawn = np.random.default_rng(2).integers(200, size=(4000, 200))
    slopes = [np.polyfit(x[rows], y[rows], 1)[0] for rows in drawn]
    width = np.diff(np.quantile(slopes, (0.025, 0.975)))[0]
    assert abs((found.high - found.low)[0] / width - 1) < BOOTSTRAP_RELATIVE


def test_terms_that_say_nothing_have_no_coefficient():
    cells = made_up(40, 2, 5, 0)
    flat = Cells(cells.y, np.ones((40, 1)), cells.group, cells.cluster)
    twice = Cells(cells.y, cells.terms[:, [0, 0]], cells.group, cells.cluster)

    for cells in (flat, twice):
        found = least_squares([cells], 2, draws=20)
        assert np.isnan(found.coefficient).all()
        assert np.isnan(found.low).all()
        assert np.isnan(found.r_squared)


def test_the_same_seed_gives_the_same_interval():
    cells = [made_up(40, 2, 5, 0)]
    one, two, other = (least_squares(cells, 2, seed, draws=100) for seed in (1, 1, 2))
    assert one.low.tolist() == two.low.tolist() != other.low.tolist()


def test_what_cannot_be_fitted():
    cells = made_up(10, 1, 3, 0)
    with pytest.raises(ValueError, match="no cells"):
        least_squares([], 1)
    with pytest.raises(ValueError, match="not finite"):
        least_squares([Cells(cells.y + np.inf, cells.terms, cells.group, cells.cluster)], 1)
    with pytest.raises(ValueError, match="one or two terms, got 3"):
        least_squares([Cells(cells.y, np.ones((10, 3)), cells.group, cells.cluster)], 1)
