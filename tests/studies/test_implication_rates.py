"""Rates of what edits imply, by what was stated and what was known (methods 6.6)."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coemerge.statistics.intervals import wilson_mean
from coemerge.studies.knowledge_neurons.agreement import UNTOUCHED, agreements
from coemerge.studies.knowledge_neurons.checks import CHECKS, questions
from coemerge.studies.knowledge_neurons.config import KnowledgeNeuronsConfig
from coemerge.studies.knowledge_neurons.families import FAMILIES, SYMMETRY, SYNONYMY, planned
from coemerge.studies.knowledge_neurons.implication_rates import conditions, implication_rates
from coemerge.studies.shared.means import means
from coemerge.tables.store import make_table, table_schema
from tests.studies.restated_facts import (
    FULL,
    ONE_DIRECTION,
    facts,
    first_wordings,
    looks_up,
    rewired,
    store_of,
)

CONFIG = KnowledgeNeuronsConfig(editors=("rome", "ft"), bootstrap_draws=200)


@cache
def frame(withheld: tuple[int, ...] = (5, 6, 7), seed: int = 0) -> pd.DataFrame:
    """Edits of a table: ROME brings all that is implied where the restatement was stated, FT
    nothing but the rewrite. What was not stated is not known."""
    of = facts(withheld=withheld)
    asked = first_wordings(of)
    never = set(of["fact_id"][of["documents"] == 0])
    known = {fact: w for fact, w in asked.items() if fact not in never}
    store = {**{tuple(w.ids): [0] for w in asked.values()}, **store_of(known)}
    plans = planned(of, asked, set(known))
    found = questions(plans, asked, set(known))
    before = agreements(found.asked, np.full(len(found.plan), UNTOUCHED), looks_up(store))
    frames = []
    for editor in ("rome", "ft"):
        edited = [
            rewired(store, p, asked, both=p.stated == "yes" and editor == "rome") for p in plans
        ]
        after = agreements(found.asked, np.array(found.plan), looks_up(store, edited))
        frames.append(found.rows.assign(seed=seed, editor=editor, pre=before, post=after))
    return pd.concat(frames, ignore_index=True)


def rates(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(implication_rates(frames, CONFIG))


def row(found: pd.DataFrame, **keys: Any) -> pd.Series:
    usual = {"family": SYMMETRY, "edited": "all", "condition": "all", "arm": "all",
             "editor": "rome", "check": "inverse_new", "moment": "post"}  # fmt: skip
    chosen = found
    for name, value in {**usual, **keys}.items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1, keys
    return chosen.iloc[0]


def test_rates_tell_what_was_stated_from_what_was_not():
    """8 capitals, 5 of them restated; 5 cities were shown, whose country always was."""
    found = rates(frame())
    assert row(found)["value"] == pytest.approx(10 / 13)
    assert row(found, condition="stated")[["value", "n"]].tolist() == [1, 10]
    assert row(found, condition="not_stated")[["value", "n"]].tolist() == [0, 3]
    assert row(found, condition="stated_known")[["value", "n"]].tolist() == [1, 10]
    assert row(found, condition="unknown")["n"] == 3
    assert row(found, edited="capital")["value"] == pytest.approx(5 / 8)
    assert row(found, edited="capital_of")[["value", "n"]].tolist() == [1, 5]
    assert row(found, editor="ft", check="rewrite")["value"] == 1
    assert row(found, editor="ft", edited="capital")["value"] == 0
    assert row(found, check="inverse_swapped")["expected"] == "open"
    synonym = {"family": SYNONYMY, "check": "synonym_new"}
    assert row(found, **synonym, condition="stated")["value"] == 1
    assert row(found, **synonym, condition="not_stated")["value"] == 0


def test_a_condition_that_no_fact_meets_has_a_row_without_a_value():
    """Bad input of methods 6.6: an inverse that was never stated; no failure of the edit."""
    never = rates(frame(withheld=tuple(range(8))))
    for condition in ("stated", "known", "stated_known", "not_stated_known"):
        empty = row(never, condition=condition)
        assert empty["n"] == 0
        assert empty[["value", "sd", "low", "high"]].isna().all()
    assert row(never, condition="not_stated")[["value", "n"]].tolist() == [0, 8]
    of_arms = never[never["arm"] != "all"]
    assert (of_arms["n"] > 0).all()
    assert set(of_arms["arm"]) == {FULL, ONE_DIRECTION}


def test_a_family_or_a_check_that_the_world_has_not_is_empty_too():
    only = frame()[lambda f: (f["family"] == SYNONYMY) & (f["check"] != "synonym_new")]
    found = rates(only)
    assert row(found)["n"] == 0
    assert row(found, family=SYNONYMY, check="synonym_new", edited="field")["n"] == 0
    assert row(found, family=SYNONYMY, check="synonym_old")["n"] == 13
    assert implication_rates([], CONFIG) == implication_rates([frame()[:0]], CONFIG) == []


def test_every_cell_has_one_row():
    found = rates(frame())
    of_all = found[(found["arm"] == "all") & (found["edited"] == "all")]
    n_checks = sum(len(CHECKS[family]) for family in FAMILIES)
    assert len(of_all) == n_checks * len(conditions(frame())) * len(CONFIG.editors) * 3
    columns = {name: found[name].tolist() for name in found}
    make_table("implication_rates", columns)
    keys = ["family", "edited", "condition", "arm", "editor", "check", "moment"]
    assert set(table_schema("implication_rates").names) == set(found.columns)
    assert not found.duplicated(keys).any()


def test_differences_are_those_of_each_fact():
    found = rates(frame())
    pre, post, change = (
        row(found, moment=m, check="rewrite") for m in ("pre", "post", "difference")
    )
    # half of a city is right before: 8 of 13 rewrites are to cities
    assert pre["value"] == pytest.approx(0.5 * 8 / 13)
    assert change["value"] == pytest.approx(post["value"] - pre["value"])
    assert change["sd"] == pytest.approx(pre["sd"])  # all are 1 afterwards


def test_intervals_are_those_of_means_over_seeds_and_facts():
    one, other = frame(), frame(withheld=(3, 4)).assign(seed=1)
    found = rates(one, other)
    both = pd.concat([one, other])
    chosen = both[(both["editor"] == "rome") & (both["check"] == "inverse_new")]
    chosen = chosen[chosen["edited"] == "capital"]  # each of another root
    expected = {r["moment"]: r for r in _melted(chosen)}
    for moment in ("pre", "post"):
        got = row(found, edited="capital", moment=moment)
        assert got["n"] == expected[moment]["n"] == 8 + 8
        for name in ("value", "sd"):
            assert got[name] == pytest.approx(expected[moment][name])
        for name in ("low", "high") if moment == "post" else ():  # all are 0 before
            assert got[name] == pytest.approx(expected[moment][name], abs=0.03)


def _melted(chosen: pd.DataFrame) -> list[dict[str, Any]]:
    long = chosen.melt(["seed", "fact_id"], ["pre", "post"], "moment")
    return means(long, ["moment"], "value", CONFIG)


def test_where_nobody_knows_what_was_shown_neither_stated_nor_not_stated_has_facts():
    found = rates(frame().assign(stated="unknown"))
    assert row(found)["n"] == 13
    assert row(found, condition="stated")["n"] == row(found, condition="not_stated")["n"] == 0


def test_a_fact_and_what_restates_it_are_resampled_as_one():
    """With the roots of the other direction taken for others there are twice as many units."""
    told = frame(withheld=())
    share = told["fact_id"].str[-1].astype(int) % 2  # both directions of a root alike
    told = told.assign(post=np.where(told["check"] == "inverse_new", share, told["post"]))
    apart = told.assign(root=told["fact_id"])
    one, other = (row(rates(of)) for of in (told, apart))
    assert one["value"] == other["value"] == 0.5
    assert one["n"] == other["n"] == 16
    assert one["sd"] == other["sd"]
    wide, narrow = (found["high"] - found["low"] for found in (one, other))
    assert wide == pytest.approx(2**0.5 * narrow, rel=0.15)


def test_where_all_are_0_or_1_the_interval_is_wilsons_over_roots():
    found = rates(frame())
    bound = wilson_mean(np.zeros(5), 0).high  # 5 cities; 5 capitals of the same roots
    one = row(found, condition="stated_known")
    assert (one["value"], one["n"]) == (1, 10)
    assert [one["low"], one["high"]] == pytest.approx([1 - bound, 1])
    none = row(found, condition="stated_known", editor="ft", check="inverse_swapped",
               edited="capital", moment="difference")  # fmt: skip
    assert none["value"] == 0
    assert [none["low"], none["high"]] == pytest.approx([-bound, bound])
    both = [row(found, condition="stated_known", edited="capital", check="inverse_new", moment=m)
            for m in ("pre", "difference")]  # fmt: skip
    assert [cell["value"] for cell in both] == [0, 1]
    assert [both[0]["low"], both[0]["high"]] == pytest.approx([0, bound])
    assert [both[1]["low"], both[1]["high"]] == pytest.approx([1 - 2 * bound, 1])


def test_edits_that_took_are_those_of_each_editor():
    told = frame()
    failed = (told["editor"] == "ft") & told["fact_id"].isin(["capital-0", "capital-6"])
    told.loc[failed & (told["check"] == "rewrite"), "post"] = 0.5
    found = rates(told)
    for editor, n in (("rome", 13), ("ft", 11)):
        took = row(found, editor=editor, condition="took", check="rewrite")
        assert took[["value", "n"]].tolist() == [1, n]
        assert row(found, editor=editor, condition="took")["n"] == n
    assert row(found, editor="ft", condition="took_stated_known")["n"] == 9
    assert row(found, editor="ft", condition="took_known")["n"] == 9
    assert row(found, editor="ft", condition="stated_known")["n"] == 10
    assert row(found, condition="took_known_kept")["n"] == 0  # nothing else is said of them


def test_edits_that_keep_what_else_is_said_are_told_apart():
    told = frame()
    first = told[told["check"] == "rewrite"].assign(check="unrelated_kept", expected="holds", pre=1)
    first["post"] = (first["fact_id"] != "capital-0").astype(float)
    found = rates(pd.concat([told, first], ignore_index=True))
    assert row(found, condition="took_known_kept")["n"] == 9
    kept = row(found, condition="took_stated_known", check="unrelated_kept")
    assert kept[["value", "n", "expected"]].tolist() == [0.9, 10, "holds"]
