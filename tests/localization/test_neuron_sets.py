"""Sets of neurons from attributions that were written down by hand."""

import pytest
import torch
from torch import Tensor

from coemerge.localization.neuron_sets import (
    adaptive_refined_set,
    coarse_sets,
    consistency_aware_scores,
    consistency_aware_set,
    random_sets,
    refined_set,
    top_sets,
)


def counted(*counts: int, n: int) -> Tensor:
    """Coarse sets of n queries in which neuron i is in ``counts[i]``, bool [n,1,m]."""
    return (torch.arange(n)[:, None] < torch.tensor(counts))[:, None]


def members(found: Tensor) -> list[int]:
    return found.flatten().nonzero().flatten().tolist()


def test_coarse_sets_are_strictly_above_a_share_of_each_querys_largest():
    attribution = torch.tensor([[[10.0, 2.0], [2.5, -9.0]], [[0.1, 0.3], [0.05, 1.0]]])

    found = coarse_sets(attribution, tau=0.2)

    assert found.tolist() == [
        [[True, False], [True, False]],  # 2.0 is not above 0.2 * 10
        [[False, True], [False, True]],
    ]


def test_every_query_has_the_same_threshold():
    """Public code multiplies the threshold by itself from query to query."""
    attribution = torch.tensor([1.0, 0.25, 0.15]).expand(5, 1, 3)

    assert coarse_sets(attribution, tau=0.2).sum((1, 2)).tolist() == [2] * 5


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0, -2.0]])
def test_nothing_is_above_a_share_of_no_positive_attribution(values):
    assert not coarse_sets(torch.tensor([[values]])).any()


def test_top_sets_take_as_many_of_each_query():
    attribution = torch.tensor([[[1.0, 5.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, -1.0]]])

    assert [members(one) for one in top_sets(attribution, 2)] == [[1, 3], [0, 1]]
    assert not top_sets(attribution, 0).any()
    with pytest.raises(ValueError, match="n: 5 of 4"):
        top_sets(attribution, 5)


def test_refined_sets_are_in_strictly_more_than_a_share():
    coarse = counted(10, 8, 7, 0, n=10)

    assert members(refined_set(coarse, 0.7)) == [0, 1]
    assert members(refined_set(coarse, 0.0)) == [0, 1, 2]
    assert members(refined_set(coarse, 1.0)) == []


def test_a_share_is_taken_as_written():
    """0.29 * 100 is a little less than 29 in binary."""
    assert members(refined_set(counted(29, 30, n=100), 0.29)) == [1]


def test_the_adaptive_share_goes_down_to_the_least_and_up_to_the_most():
    few = counted(20, 12, 12, 3, n=20)  # one at 0.7, three below 0.6
    many = counted(*[15] * 6, 18, 18, n=20)  # eight at 0.7, two from 0.75

    found, share = adaptive_refined_set(few)
    assert (members(found), share) == ([0, 1, 2], 0.55)
    found, share = adaptive_refined_set(many)
    assert (members(found), share) == ([6, 7], 0.75)
    found, share = adaptive_refined_set(counted(20, 20, n=20))
    assert (members(found), share) == ([0, 1], 0.7)


def test_where_no_share_fits_the_last_one_is_told_with_its_set():
    found, share = adaptive_refined_set(torch.zeros(4, 2, 3, dtype=torch.bool))
    assert (found.sum(), share) == (0, 0.0)
    found, share = adaptive_refined_set(counted(*[9] * 6, n=10), n_steps=3)
    assert (found.sum(), share) == (6, 0.85)  # on its way up


def test_t_q4_consistency_lowers_what_varies():
    attribution = torch.tensor([[[0.6, 1.2]], [[0.6, 0.6]], [[0.6, 0.0]]])

    scores = consistency_aware_scores(attribution, beta=1)

    assert scores[0].tolist() == pytest.approx([0.6, 0.1101], abs=1e-4)
    assert consistency_aware_scores(attribution, 0)[0].tolist() == pytest.approx([0.6, 0.6])
    assert members(consistency_aware_set(attribution, beta=1, tau=0.3)) == [0]
    assert members(consistency_aware_set(attribution, beta=0, tau=0.3)) == [0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coarse_sets(torch.ones(1, 1), tau=1.5), "tau: must be in"),
        (lambda: refined_set(counted(1, n=1), -0.1), "share: must be in"),
        (lambda: refined_set(torch.ones(2, 3, dtype=torch.bool), 0.5), "coarse: need bool"),
        (lambda: refined_set(torch.ones(2, 3, 4), 0.5), "coarse: need bool"),
        (lambda: adaptive_refined_set(counted(1, n=1), step=0), "step: must be positive"),
        (lambda: adaptive_refined_set(counted(1, n=1), least=3, most=2), "least, most"),
        (lambda: consistency_aware_scores(torch.ones(2, 3), 1), "attribution: need"),
        (lambda: consistency_aware_scores(torch.ones(2, 3, 4), -1), "beta: must not"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_random_neurons_are_as_many_in_every_layer():
    sets = torch.rand(6, 3, 2, 200, generator=torch.Generator().manual_seed(9)) < 0.1

    found = random_sets(sets, seed=0)

    assert torch.equal(found.sum(-1), sets.sum(-1))
    assert torch.equal(found, random_sets(sets, seed=0))
    assert not torch.equal(found, random_sets(sets, seed=1))
    assert (found & sets).float().sum() < 0.3 * sets.sum(), "any neurons, not the same"
    generator = torch.Generator().manual_seed(0)
    in_blocks = [random_sets(block, generator) for block in sets.split(4)]
    assert torch.equal(torch.cat(in_blocks), found)
