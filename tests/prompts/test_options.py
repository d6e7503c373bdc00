"""Which answers stand together: what training may show, and what it may never show."""

import itertools
from collections import Counter

import numpy as np
import pytest

from coemerge.prompts.options import MIN_CANDIDATES, OptionSets
from coemerge.prompts.tasks import get_task
from coemerge.worlds.facts import Fact, Relation, World, fact_id
from tests.tolerances import STANDARD_ERRORS

MCQA, NEGMCQA, VERIFICATION = get_task("mcqa"), get_task("negmcqa"), get_task("verification")
LETTERED = [pytest.param(NEGMCQA, id="negmcqa"), pytest.param(MCQA, id="mcqa")]
SIZES = range(8, 25)


def world_of(n_objects: int) -> World:
    """One relation, one fact per object."""
    objects = tuple(f"o{i:02d}" for i in range(n_objects))
    facts = [Fact(fact_id("r", f"s{i}", o), "r", f"s{i}", o) for i, o in enumerate(objects)]
    relation = Relation("r", "s", "o")
    return World("w", {"r": relation}, facts, {"r": range(n_objects)}, {"r": objects})


def option_sets(n_objects: int = 16, fixed: bool = False) -> OptionSets:
    return OptionSets(world_of(n_objects), fixed, seed=0)


FACTS = world_of(16).facts


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("size", SIZES)
def test_every_object_has_reserved_and_unreserved_sets(size, n):
    sets, objects = option_sets(size), world_of(size).candidates["r"]
    for own in objects:
        others = [o for o in objects if o != own]
        kinds = {
            sets.is_reserved("r", (own, *distractors))
            for distractors in itertools.islice(itertools.combinations(others, n - 1), 200)
        }
        assert kinds == {True, False}, own


@pytest.mark.parametrize("task", LETTERED)
@pytest.mark.parametrize("size", [8, 11, 24])
def test_training_never_draws_a_reserved_set(size, task, rng):
    sets = option_sets(size)
    for fact in world_of(size).facts:
        drawn = [sets.for_training(fact, task, rng) for _ in range(50)]
        assert not any(sets.is_reserved("r", (fact.object, *others)) for others in drawn)


@pytest.mark.parametrize("task", LETTERED)
@pytest.mark.parametrize("size", SIZES)
def test_fresh_sets_are_always_reserved(size, task):
    sets = option_sets(size)
    for fact in world_of(size).facts:
        drawn = sets.fresh(fact, task, 10)
        assert all(sets.is_reserved("r", (fact.object, *others)) for others in drawn)


@pytest.mark.parametrize("n", [2, 4])
def test_a_set_is_reserved_in_whatever_order_it_is_shown(n):
    sets, objects = option_sets(), world_of(16).candidates["r"]
    for options in itertools.islice(itertools.combinations(objects, n), 100):
        kinds = {sets.is_reserved("r", order) for order in itertools.permutations(options)}
        assert len(kinds) == 1


@pytest.mark.parametrize("task", LETTERED)
def test_distractors_are_distinct_and_never_the_answer(task, rng):
    sets = option_sets()
    for fact in FACTS:
        options = [fact.object, *sets.for_training(fact, task, rng)]
        assert len(set(options)) == len(options) == task.n_options


def test_seen_sets_are_those_that_training_drew(rng):
    sets = option_sets()
    drawn = [sets.for_training(FACTS[3], MCQA, rng) for _ in range(5)]
    assert all(seen in drawn for seen in sets.seen(FACTS[3], MCQA, 10))


def test_sets_shown_in_another_format_do_not_count_as_seen(rng):
    sets = option_sets()
    sets.for_training(FACTS[3], MCQA, rng)
    assert sets.seen(FACTS[3], NEGMCQA, 10) == []


def test_an_answer_that_training_never_showed_has_no_seen_sets(rng):
    sets = option_sets()
    sets.for_training(FACTS[0], MCQA, rng)
    assert sets.seen(FACTS[1], MCQA, 10) == []


def test_as_many_seen_sets_are_given_as_asked_for(rng):
    sets = option_sets()
    sets.for_training(FACTS[3], MCQA, rng)
    assert len(sets.seen(FACTS[3], MCQA, 10)) == 10


def test_documents_drawn_one_after_another_show_different_sets(rng):
    sets = option_sets()
    drawn = {frozenset(sets.for_training(FACTS[3], MCQA, rng)) for _ in range(20)}
    assert len(drawn) > 10


def test_fixed_mode_shows_a_fact_with_one_set_for_ever(rng):
    sets = option_sets(fixed=True)
    drawn = {frozenset(sets.for_training(FACTS[3], MCQA, rng)) for _ in range(20)}
    assert len(drawn) == 1


def test_in_fixed_mode_the_seen_set_is_the_one_shown(rng):
    sets = option_sets(fixed=True)
    shown = sets.for_training(FACTS[3], MCQA, rng)
    assert sets.seen(FACTS[3], MCQA, 3) == [shown] * 3


def test_in_fixed_mode_training_shows_no_reserved_set_either(rng):
    sets = option_sets(fixed=True)
    shown = [(f.object, *sets.for_training(f, MCQA, rng)) for f in FACTS]
    assert not any(sets.is_reserved("r", options) for options in shown)


def test_in_fixed_mode_facts_have_sets_of_their_own(rng):
    sets = option_sets(fixed=True)
    assert len({frozenset(sets.for_training(f, MCQA, rng)) for f in FACTS}) > 8


def test_sets_to_score_do_not_depend_on_what_was_asked_before():
    first, second = option_sets(), option_sets()
    second.fresh(FACTS[5], MCQA, 7)
    assert first.fresh(FACTS[3], MCQA, 5) == second.fresh(FACTS[3], MCQA, 5)


def test_another_seed_scores_other_sets():
    other = OptionSets(world_of(16), fixed=False, seed=1)
    assert other.fresh(FACTS[3], MCQA, 5) != option_sets().fresh(FACTS[3], MCQA, 5)


def test_a_false_claim_is_never_true(rng):
    sets = option_sets()
    claims = [(f, sets.false_claim(f, VERIFICATION, rng)) for f in FACTS for _ in range(50)]
    assert all(claim != fact.object for fact, claim in claims)


def test_every_other_object_is_claimed_now_and_then(rng):
    sets = option_sets()
    claimed = {sets.false_claim(FACTS[3], VERIFICATION, rng) for _ in range(1000)}
    assert claimed == set(world_of(16).candidates["r"]) - {FACTS[3].object}


@pytest.fixture
def uneven() -> OptionSets:
    """Objects 0-7 are never a right answer, objects 8-11 ten times, objects 12-15 thirty times."""
    counts = np.array([0] * 8 + [10] * 4 + [30] * 4)
    return OptionSets(
        world_of(16), fixed=False, seed=0, answer_counts={("r", "verification"): counts}
    )


def test_an_object_that_is_never_right_is_never_claimed_wrongly(uneven, rng):
    claimed = {uneven.false_claim(FACTS[8], VERIFICATION, rng) for _ in range(500)}
    assert claimed == {f.object for f in FACTS[9:]}


def test_false_claims_follow_how_often_an_object_is_right(uneven, rng):
    """The claims' base rate must not tell true from false."""
    n_draws = 4000
    claims = Counter(uneven.false_claim(FACTS[0], VERIFICATION, rng) for _ in range(n_draws))
    n_frequent = sum(claims[f.object] for f in FACTS[12:])
    standard_error = (n_draws * 0.75 * 0.25) ** 0.5
    assert abs(n_frequent - 0.75 * n_draws) < STANDARD_ERRORS * standard_error


@pytest.mark.parametrize("task", LETTERED)
def test_where_counts_leave_too_few_objects_sets_are_still_found(task, rng):
    counts = np.array([1] + [0] * 15)
    keys = {("r", "mcqa"): counts, ("r", "negmcqa"): counts}
    sets = OptionSets(world_of(16), fixed=False, seed=0, answer_counts=keys)
    options = (FACTS[3].object, *sets.for_training(FACTS[3], task, rng))
    assert not sets.is_reserved("r", options)


@pytest.mark.parametrize(("size", "supported"), [(MIN_CANDIDATES - 1, False), (8, True)])
def test_a_small_answer_set_cannot_have_sets_set_aside(size, supported):
    assert option_sets(size).supports("r") is supported


def test_an_answer_set_without_reserved_sets_is_refused_by_its_relation():
    with pytest.raises(ValueError, match="'r' has too few objects"):
        option_sets(3).fresh(world_of(3).facts[0], NEGMCQA, 1)
