"""Transfer between a fact's sides: by hand from planted scores, and really, from edits of planted
facts (T-R1, T-R2, T-R5 of methods 4.7)."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coemerge.editing.outcome import Outcome
from coemerge.interventions.edits import Edit
from coemerge.statistics.resampling import hierarchical_sums
from coemerge.studies.entity_relation.cases import ENTITY, RELATION, REMOVAL, SIDES, Case
from coemerge.studies.entity_relation.config import EntityRelationConfig
from coemerge.studies.entity_relation.transfer import (
    ALL,
    LEAST_GAIN,
    cross_side,
    side_means,
    side_transfer,
    transfer_index,
    with_all,
)
from coemerge.tables.store import make_table
from tests.studies.planted_queries import cell
from tests.studies.planted_sides import BOLD, LAYER, judge, side_edits, some_cases

CONFIG = EntityRelationConfig(bootstrap_draws=400)
CLOSE = 1e-12
Rows = list[dict[str, Any]]
Scores = Mapping[str, tuple[float, float, float]]  # by probe: before, entity edit, relation edit


def edits(
    *facts: Scores,
    arms: tuple[str, ...] = ("both_sides",),
    measure: str = "efficacy",
    seed: int = 0,
) -> pd.DataFrame:
    """Rows of ``SideEditsRecord``; arms take turns over the facts."""
    rows = [
        {
            "seed": seed, "fact_id": f"fact-{f}", "relation": "r", "arm": arms[f % len(arms)],
            "editor": "rome", "edit_side": side, "probe": probe, "measure": measure,
            "control": "none", "pre": pre,
            "post": {ENTITY: by_entity, RELATION: by_relation}[side], "magnitude_pre": 0.0,
            "magnitude_post": 0.0,
        }
        for f, scores in enumerate(facts)
        for side in SIDES
        for probe, (pre, by_entity, by_relation) in scores.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def documents(frame: pd.DataFrame, **shown: float) -> pd.DataFrame:
    facts = frame[["seed", "fact_id"]].drop_duplicates()
    return facts.assign(**{"entity": 10.0, "relation_side": 30.0, **shown})


def transfer(frame: pd.DataFrame, config: EntityRelationConfig = CONFIG) -> Rows:
    return side_transfer(frame, documents(frame), config)


# --- really, on planted facts ---


def alike(cases: list[Case]) -> list[Case]:
    """Asked for and looked at from both sides by the same prompts."""
    return [
        replace(
            case,
            requests=dict.fromkeys(SIDES, case.requests[ENTITY]),
            trials=dict.fromkeys(SIDES, case.trials[ENTITY]),
        )
        for case in cases
    ]


@pytest.mark.parametrize("editor", ["rome", "memit", "ft", "kn"])
def test_t_r1_transfer_is_complete_where_both_requests_are_the_same(editor: str):
    rows = transfer(side_edits(alike(some_cases()), editor))
    assert {(row["edit_side"], row["probe"]) for row in rows} == {SIDES, SIDES[::-1]}
    for row in rows:
        if row["measure"] == "efficacy":
            assert row["own_gain"] == row["gain"] == 1
            assert (row["index"], row["low"], row["high"]) == (1, 1, 1)
        if row["own_gain"] >= LEAST_GAIN:
            assert row["index"] == pytest.approx(1, abs=CLOSE)


def test_t_r1_needs_the_same_requests():
    """The other way round: of different requests it is not 1."""
    (row,) = [
        row for row in transfer(side_edits(some_cases(), "ft"))
        if (row["measure"], row["probe"]) == ("efficacy", ENTITY)
    ]  # fmt: skip
    assert row["own_gain"] == 1
    assert row["index"] < 1


def test_t_r2_of_edits_that_do_nothing_nothing_is_gained_and_nothing_transferred():
    """After them all is as before; of their own side's edits TI is not defined, of real ones 0."""
    cases = some_cases()
    of = judge(cases)
    nothing = [Outcome(Edit(), math.nan, 0, diverged=False, already_answered=False)] * len(cases)
    real = {side: of.edit("ft", side, LAYER, BOLD["ft"]) for side in SIDES}

    def edited(**outcomes: list[Outcome]) -> pd.DataFrame:
        frames = [of.side_edits(side, found) for side, found in outcomes.items()]
        return pd.concat(frames).assign(seed=0, editor="ft")

    unedited = edited(entity=nothing, relation=nothing)
    assert unedited["pre"].tolist() == unedited["post"].tolist()
    for row in transfer(unedited):
        assert (row["gain"], row["own_gain"], row["undefined"]) == (0, 0, 1)
        assert np.isnan([row["index"], row["low"], row["high"]]).all()
    for row in cross_side(unedited, CONFIG):
        if row["moment"] == "difference":
            assert (row["value"], row["low"], row["high"]) == (0, 0, 0)
    for unmade, made in (SIDES, SIDES[::-1]):
        mixed = edited(**{unmade: nothing, made: real[made]})
        found = {"edit_side": unmade, "probe": made, "measure": "efficacy"}
        row = next(r for r in transfer(mixed) if found.items() <= r.items())
        assert row["own_gain"] == 1
        assert (row["gain"], row["index"]) == (0, 0)


# --- by hand ---


def sums(cross: float, before: float, own: float, n: float = 10) -> np.ndarray:
    return np.array([[cross * n, before * n, own * n, n]])


@pytest.mark.parametrize(
    ("cross", "before", "own", "expected"),
    [
        (0.2792, 0.222, 0.9993, 0.0736),  # relation edits by ROME (methods 4.3)
        (0.2392, 0.222, 0.9928, 0.0223),  # by FT
        (1.0, 0.5, 1.0, 1.0),
        (0.5, 0.5, 1.0, 0.0),
        (0.25, 0.5, 1.0, -0.5),
        (1.0, 0.5, 0.75, 2.0),
    ],
)
def test_the_index_is_a_ratio_of_gains(cross, before, own, expected):
    assert transfer_index(sums(cross, before, own))[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("own", [0.5, 0.51, 0.5 + 0.99 * LEAST_GAIN, 0.49, 0.0])
def test_without_a_gain_of_its_own_side_the_index_is_not_defined(own):
    """A negative one would turn its sign around."""
    assert np.isnan(transfer_index(sums(1.0, 0.5, own))[0])
    assert transfer_index(sums(1.0, 0.5, 0.5 + 1.01 * LEAST_GAIN))[0] > 1


def test_the_index_is_of_means_over_facts_not_a_mean_of_indices():
    rows = transfer(edits({ENTITY: (0.0, 1.0, 1.0)}, {ENTITY: (0.5, 1.0, 0.5)},
                          {ENTITY: (0.8, 0.8, 0.8)}))  # fmt: skip
    (row,) = rows
    assert (row["edit_side"], row["probe"], row["arm"]) == (RELATION, ENTITY, ALL)
    assert row["gain"] == pytest.approx(1 / 3)
    assert row["own_gain"] == pytest.approx(0.5)
    assert row["index"] == pytest.approx((2.3 / 3 - 1.3 / 3) / (2.8 / 3 - 1.3 / 3))
    assert (row["n"], row["n_documents"]) == (3, 10)


def test_each_probe_is_compared_with_edits_of_its_own_side():
    frame = edits(
        {ENTITY: (0.2, 1.0, 0.4), RELATION: (0.1, 0.3, 0.9), REMOVAL: (0.5, 0.6, 0.7)},
        {ENTITY: (0.2, 1.0, 0.4), RELATION: (0.1, 0.3, 0.9), REMOVAL: (0.5, 0.6, 0.7)},
    )
    rows = transfer(frame)
    assert {row["probe"] for row in rows} == set(SIDES)
    assert cell(rows, "index", probe=ENTITY, edit_side=RELATION) == pytest.approx(0.2 / 0.8)
    assert cell(rows, "index", probe=RELATION, edit_side=ENTITY) == pytest.approx(0.2 / 0.8)
    assert cell(rows, "own_gain", probe=RELATION) == pytest.approx(0.8)
    assert cell(rows, "n_documents", probe=RELATION) == 30
    assert cell(rows, "low", probe=ENTITY) == pytest.approx(0.25)
    make_table("side_transfer", pd.DataFrame(rows).to_dict("list"))


def test_undefined_indices_have_no_interval_and_say_so():
    facts = [{ENTITY: (0.5, 0.51, 0.6)}] * 5
    (row,) = transfer(edits(*facts))
    assert np.isnan([row["index"], row["low"], row["high"]]).all()
    assert row["undefined"] == 1
    assert row["own_gain"] == pytest.approx(0.01)
    assert row["gain"] == pytest.approx(0.1)


def test_the_share_of_undefined_resamples_is_told():
    """Half of the facts gain, half lose; the mean gains, some resamples do not."""
    facts = [{ENTITY: (0.0, 1.0, 0.5)}] * 3 + [{ENTITY: (1.0, 0.0, 1.0)}] * 2
    (row,) = transfer(edits(*facts))
    assert row["index"] == pytest.approx((3.5 / 5 - 2 / 5) / (3 / 5 - 2 / 5))
    assert 0.1 < row["undefined"] < 0.7
    assert np.isnan([row["low"], row["high"]]).all()


def test_intervals_resample_seeds_and_then_facts():
    generator = np.random.default_rng(0)
    tables, frames = [], []
    for seed in range(3):
        scores = generator.uniform([0.0, 0.8, 0.3], [0.2, 1.0, 0.5], (10, 3))
        frames.append(edits(*[{ENTITY: tuple(row)} for row in scores], seed=seed))
        pre, own, cross = scores.T
        tables.append(np.column_stack([cross, pre, own, np.ones(10)]))
    (row,) = transfer(pd.concat(frames))
    expected = hierarchical_sums(tables, transfer_index, CONFIG.seed, CONFIG.bootstrap_draws)
    assert (row["index"], row["low"], row["high"], row["undefined"]) == pytest.approx(expected)
    assert row["low"] < row["index"] < row["high"]
    assert row["n"] == 30


def test_facts_edited_from_one_side_alone_do_not_count():
    frame = edits({ENTITY: (0.0, 1.0, 0.5)}, {ENTITY: (0.0, 1.0, 0.0)})
    is_one_sided = (frame["fact_id"] == "fact-1") & (frame["edit_side"] == RELATION)
    (row,) = transfer(frame[~is_one_sided])
    assert (row["index"], row["n"]) == (0.5, 1)
    assert np.isnan([row["low"], row["high"]]).all()
    assert transfer(frame[frame["edit_side"] == ENTITY]) == []


def test_specificity_does_not_transfer():
    assert transfer(edits({ENTITY: (0.5, 1.0, 1.0)}, measure="specificity")) == []
    rows = transfer(edits({ENTITY: (0.5, 1.0, 1.0)}, measure="generalisation"))
    assert [row["measure"] for row in rows] == ["generalisation"]


def test_documents_are_those_of_the_probes_side_for_the_facts_counted():
    frame = edits(*[{ENTITY: (0.0, 1.0, 0.5), RELATION: (0.0, 0.5, 1.0)}] * 4,
                  arms=("entity_only", "both_sides"))  # fmt: skip
    shown = documents(frame).assign(
        entity=[8.0, 2.0, 8.0, 4.0], relation_side=[0.0, 20.0, 0.0, 40.0]
    )
    never = pd.DataFrame([{"seed": 1, "fact_id": "fact-0", "entity": 99.0, "relation_side": 99.0}])
    rows = side_transfer(frame, pd.concat([shown, never]), CONFIG)
    found = {(row["arm"], row["probe"]): row["n_documents"] for row in rows}
    assert found == {
        (ALL, ENTITY): 5.5,
        (ALL, RELATION): 15,
        ("entity_only", ENTITY): 8,
        ("entity_only", RELATION): 0,
        ("both_sides", ENTITY): 3,
        ("both_sides", RELATION): 30,
    }


def test_of_models_from_elsewhere_nobody_knows_how_many_documents():
    frame = edits({ENTITY: (0.0, 1.0, 0.5)})
    nowhere = documents(frame, entity=math.nan, relation_side=math.nan)
    assert np.isnan(side_transfer(frame, nowhere, CONFIG)[0]["n_documents"])


def test_what_a_third_object_gains_is_taken_off():
    """Damage to the old object alone raises the new one as much as any other: net TI is 0."""
    facts = [{
        ENTITY: (0.2, 1.0, 0.6), "entity_third": (0.2, 0.4, 0.6),
        RELATION: (0.0, 0.5, 1.0), "relation_third": (0.0, 0.1, 0.2),
    }] * 4  # fmt: skip
    rows = transfer(edits(*facts))
    assert cell(rows, "index", probe=ENTITY) == pytest.approx(0.4 / 0.8)
    assert cell(rows, "net", probe=ENTITY) == pytest.approx(0, abs=CLOSE)
    assert cell(rows, "net", probe=RELATION) == pytest.approx((0.5 - 0.1) / (1.0 - 0.2))
    assert cell(rows, "net_high", probe=RELATION) == pytest.approx(0.5)


def test_without_a_third_object_there_is_no_net_index():
    (row,) = transfer(edits(*[{ENTITY: (0.0, 1.0, 0.5)}] * 3))
    assert row["index"] == 0.5
    assert np.isnan([row["net"], row["net_low"], row["net_high"]]).all()


def test_facts_of_which_nothing_changed_are_counted():
    facts = [{ENTITY: (0.0, 1.0, 0.0)}, {ENTITY: (0.5, 1.0, 0.5)}, {ENTITY: (0.0, 1.0, 1.0)}]
    (row,) = transfer(edits(*facts))
    assert (row["n"], row["n_none"]) == (3, 2)


def test_controls_of_edits_are_in_the_table_alone():
    """Mismatched and random edits stand beside the real ones, and are never among them."""
    real = edits(*[{ENTITY: (0.0, 1.0, 0.5), RELATION: (0.0, 0.5, 1.0)}] * 3)
    both = pd.concat([real, real.assign(control="random", post=0.9)])
    pd.testing.assert_frame_equal(pd.DataFrame(transfer(both)), pd.DataFrame(transfer(real)))
    assert side_means(both, CONFIG) == side_means(real, CONFIG)
    rows = cross_side(both, CONFIG)
    of = {"edit_side": RELATION, "probe": ENTITY, "moment": "post", "arm": ALL}
    assert cell(rows, control="none", **of) == 0.5
    assert cell(rows, control="random", **of) == pytest.approx(0.9)
    assert {row["n_total"] for row in rows} == {3}


# --- arms ---


def test_one_arm_is_all_and_several_stand_beside_all():
    one = edits({ENTITY: (0.0, 1.0, 0.5)}, {ENTITY: (0.0, 1.0, 0.5)})
    assert set(with_all(one)["arm"]) == {ALL}
    assert len(with_all(one)) == len(one)
    two = edits({ENTITY: (0.0, 1.0, 0.5)}, {ENTITY: (0.0, 1.0, 0.1)}, arms=("a", "b"))
    assert with_all(two)["arm"].value_counts().to_dict() == {ALL: 4, "a": 2, "b": 2}
    assert {row["arm"]: row["index"] for row in transfer(two)} == pytest.approx(
        {ALL: 0.3, "a": 0.5, "b": 0.1}
    )
    for found in (cross_side(two, CONFIG), cross_side(one, CONFIG)):
        make_table("cross_side", pd.DataFrame(found).to_dict("list"))


# --- the table and harmonic means ---


def test_differences_are_paired_by_fact():
    """Facts differ, all of them gain the same: the difference has no spread, the two do."""
    generator = np.random.default_rng(0)
    pres = generator.uniform(0, 0.5, 20)
    rows = cross_side(edits(*[{ENTITY: (p, p + 0.25, p)} for p in pres]), CONFIG)
    of = {"edit_side": ENTITY, "probe": ENTITY, "measure": "efficacy", "arm": ALL}
    for moment, expected in (("pre", pres.mean()), ("post", pres.mean() + 0.25)):
        assert cell(rows, moment=moment, **of) == pytest.approx(expected)
        assert cell(rows, "sd", moment=moment, **of) == pytest.approx(pres.std(ddof=1))
        assert (
            cell(rows, "high", moment=moment, **of) - cell(rows, "low", moment=moment, **of) > 0.05
        )
    for column, expected in (("value", 0.25), ("sd", 0), ("low", 0.25), ("high", 0.25)):
        assert cell(rows, column, moment="difference", **of) == pytest.approx(expected, abs=CLOSE)
    assert cell(rows, "n", moment="difference", **of) == 20


def test_what_has_no_neighbours_is_left_out_and_counted():
    frame = edits(
        {ENTITY: (1.0, 0.5, 1.0), RELATION: (math.nan, math.nan, math.nan)},
        {ENTITY: (math.nan, math.nan, math.nan), RELATION: (math.nan, math.nan, math.nan)},
        measure="specificity",
    )
    rows = cross_side(frame, CONFIG)
    assert {row["probe"] for row in rows} == {ENTITY}
    assert {(row["n"], row["n_total"]) for row in rows} == {(1, 2)}
    assert cell(rows, moment="post", edit_side=ENTITY) == 0.5
    assert side_means(frame, CONFIG) == []


def test_t_r5_published_pairs_have_their_published_harmonic_means():
    published = {
        "rome": (99.93, 96.12, 97.99), "ft": (99.28, 97.19, 98.22), "kn": (30.45, 83.42, 44.61),
        "memit": (93.88, 97.28, 95.55),
    }  # fmt: skip
    for entity, relation, expected in published.values():
        frame = edits(
            *[{ENTITY: (0.222, entity / 100, 0.0), RELATION: (0.5, relation / 100, 0)}] * 2
        )
        rows = side_means(frame, CONFIG)
        found = cell(rows, arm=ALL, edit_side=ENTITY, moment="post", measure="efficacy")
        assert 100 * found == pytest.approx(expected, abs=0.005)
        before = cell(rows, edit_side=ENTITY, moment="pre", measure="efficacy")
        assert before == pytest.approx(2 * 0.222 * 0.5 / 0.722)
    make_table("side_means", pd.DataFrame(rows).to_dict("list"))


def test_harmonic_means_are_of_means_over_facts_that_have_both_probes():
    facts: list[Scores] = [
        {ENTITY: (0.0, 1.0, 0.0), RELATION: (0.0, 0.0, 0.0)},
        {ENTITY: (0.0, 0.0, 0.0), RELATION: (0.0, 1.0, 0.0)},
        {ENTITY: (0.0, 1.0, 0.0)},
    ]
    rows = side_means(edits(*facts), CONFIG)
    of = {"edit_side": ENTITY, "measure": "efficacy"}
    assert cell(rows, moment="post", **of) == 0.5  # of 0.5 and 0.5; fact by fact it were 0
    assert cell(rows, "n", moment="post", **of) == 2
    assert cell(rows, moment="pre", **of) == 0  # not undefined: both are 0
    assert cell(rows, moment="post", edit_side=RELATION, measure="efficacy") == 0


def test_controls_and_removal_are_in_the_table_alone():
    scores = {ENTITY: (0.0, 1.0, 0.5), RELATION: (0.0, 0.5, 1.0), REMOVAL: (0.2, 0.4, 0.6)}
    frame = edits({**scores, "entity_third": (0.5, 0.9, 0.6)}, scores)
    assert {row["probe"] for row in cross_side(frame, CONFIG)} == {*SIDES, REMOVAL, "entity_third"}
    assert {row["probe"] for row in transfer(frame)} == set(SIDES)
    assert {row["n"] for row in side_means(frame, CONFIG)} == {2}
