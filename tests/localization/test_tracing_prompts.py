"""Spans and roles of traced prompts, and averages over them, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from coemerge.localization.tracing_prompts import (
    SPAN_ROLES,
    SUBJECT_ROLES,
    TracedPrompt,
    neutral_span,
    outside_subject,
    positions_of,
    role_masks,
    role_names,
)
from coemerge.localization.tracing_result import (
    TracingResult,
    average_by_role,
    with_total_effect,
)
from coemerge.statistics.intervals import bootstrap_mean

PROMPT = TracedPrompt(range(9), 0, (2, 5), [(1, 2), (5, 8)])


def roles_of(prompt: TracedPrompt, corrupt: str) -> list[list[int]]:
    """Per role, its positions."""
    return [np.flatnonzero(column).tolist() for column in role_masks(prompt, corrupt).T]


@pytest.mark.parametrize("corrupt", ["subject", "both"])
def test_roles_around_the_subject(corrupt):
    assert role_names(corrupt) == SUBJECT_ROLES
    assert roles_of(PROMPT, corrupt) == [[2], [3], [4], [5], [6, 7], [8]]


def test_roles_around_the_relation_and_a_neutral_span():
    assert role_names("relation") == role_names("neutral") == SPAN_ROLES
    assert roles_of(PROMPT, "relation") == [[1], [5, 6], [7], [2, 3, 4], [0], [8]]
    neutral = replace(PROMPT, relation=[(5, 6)], neutral=[(6, 8)])
    assert roles_of(neutral, "neutral") == [[6], [], [7], [2, 3, 4], [0, 1, 5], [8]]


def test_short_spans_play_several_roles():
    one_token = replace(PROMPT, subject=(7, 8))
    assert roles_of(one_token, "subject") == [[7], [], [7], [8], [], [8]]
    at_the_end = replace(PROMPT, subject=(7, 9))
    assert roles_of(at_the_end, "subject") == [[7], [], [8], [], [], [8]]


@pytest.mark.parametrize("subject", [(1, 3), (4, 6), (6, 8), (7, 9), (0, 2)])
@pytest.mark.parametrize("n_prefix", [0, 1])
def test_t_r3_subject_and_relation_cover_the_prompt_and_share_nothing(subject, n_prefix):
    relation = positions_of(outside_subject(9, subject, n_prefix))
    own = set(range(*subject))

    assert own.isdisjoint(relation)
    assert own | set(relation) | {8} | set(range(n_prefix)) == set(range(9))
    assert 8 not in relation


def test_a_neutral_span_is_the_first_that_fits():
    taken = [(3, 5), (7, 8)]
    assert neutral_span(11, taken, 2, n_prefix=1) == (1, 3)
    assert neutral_span(11, taken, 2, n_prefix=2) == (5, 7)
    with pytest.raises(ValueError, match="no 4 neighbours outside of the subject"):
        neutral_span(11, taken, 4)
    with pytest.raises(ValueError, match="no 3 neighbours"):
        neutral_span(11, [(0, 8)], 3)  # the last token is not neutral


def result_of(effects: list, p_corrupted: list[float], is_top1: list[bool]) -> TracingResult:
    """Of prompts of three tokens in one layer, the last one's role ``last``, others ``further``."""
    roles = np.zeros((len(effects), 3, 6), bool)
    roles[:, :2, 4] = roles[:, 2, 5] = True
    return TracingResult(
        p_clean=np.full(len(effects), 0.5),
        p_corrupted=np.array(p_corrupted),
        is_top1=np.array(is_top1),
        effects={"resid": np.array(effects)[:, None, :]},
        roles=roles,
        role_names=SUBJECT_ROLES,
        windows=np.ones(1),
        noise_std=1.0,
    )


RESULT = result_of(
    [[0.1, 0.3, 0.4], [0.3, np.nan, 0.2], [1.0, 1.0, 1.0], [2.0, 2.0, np.nan]],
    p_corrupted=[0.1, 0.2, 0.48, 0.0],
    is_top1=[True, True, True, False],
)


def test_tokens_of_a_role_are_averaged_and_those_without_effect_left_out():
    by_role = RESULT.by_role("resid")[:, 0]
    assert by_role[:, 4].tolist() == pytest.approx([0.2, 0.3, 1.0, 2.0])
    assert by_role[:3, 5].tolist() == pytest.approx([0.4, 0.2, 1.0])
    assert np.isnan(by_role[3, 5])
    assert np.isnan(by_role[:, :4]).all()


def test_prompts_that_lose_little_are_left_out_and_counted():
    kept = with_total_effect(RESULT, 0.05)
    assert kept.mask.tolist() == [True, True, False, False]
    assert (kept.n, kept.n_not_top1, kept.n_small_effect, kept.n_kept) == (4, 1, 1, 2)

    kept = with_total_effect(RESULT, 0.05, only_top1=False)
    assert kept.mask.tolist() == [True, True, False, True]
    assert (kept.n_not_top1, kept.n_small_effect) == (0, 1)
    assert with_total_effect(RESULT, 0.5).n_kept == 0


def test_averages_have_bands_and_counts():
    bands = average_by_role(RESULT, "resid", np.array([True, True, True, True]))
    expected = bootstrap_mean(RESULT.by_role("resid")[:3, 0, 5])

    found = [values[0, 5] for values in (bands.mean, bands.low, bands.high)]
    assert found == pytest.approx([expected.mean, expected.low, expected.high])
    assert bands.n.tolist() == [[0, 0, 0, 0, 4, 3]]
    assert np.isnan(bands.mean[0, :4]).all()

    nobody = average_by_role(RESULT, "resid", np.zeros(4, bool))
    assert np.isnan(nobody.mean).all()
