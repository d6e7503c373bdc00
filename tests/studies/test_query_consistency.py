"""How alike neurons of queries are, classes of facts, and wordings: on attributions and tables made
by hand (methods 5.2)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from coemerge.studies.query_localization.classes import ALL, class_shares, classes
from coemerge.studies.query_localization.config import QueryLocalizationConfig
from coemerge.studies.query_localization.consistency import (
    consistency_means,
    fact_consistency,
    own_consistency,
)
from coemerge.studies.query_localization.controls import Contexts
from coemerge.studies.query_localization.queries import Queries
from coemerge.studies.query_localization.wordings import wording_effects
from coemerge.tables.store import table_schema
from tests.studies.planted_queries import cell, queries_of

ONE = QueryLocalizationConfig(k=3, localisers=("joint",), top=2, bootstrap_draws=50)
TWO = QueryLocalizationConfig(localisers=("joint", "single"), bootstrap_draws=50)
# Of four facts the neurons of three queries: T-Q1, T-Q2 twice, and a fact without any neuron.
LETTERS = (("abc", "bcd", "ce"), ("ad", "ad", "ad"), ("ab", "cd", "e"), ("", "", ""))


def attribution(letters: Sequence[Sequence[str]]) -> Tensor:
    """[F,k,2,5], in the second layer: 1 for letters a to e, below the threshold for all others."""
    found = torch.full((len(letters), len(letters[0]), 2, 5), 0.1)
    for f, of_fact in enumerate(letters):
        for i, of_query in enumerate(of_fact):
            found[f, i, 1, ["abcde".index(letter) for letter in of_query]] = 1.0
            if not of_query:
                found[f, i] = 0.0
    return found


def measured(
    queries: Queries, found: Tensor, behind: Tensor | None = None, facts: Sequence[int] = ()
) -> pd.DataFrame:
    """``behind``: attributions of ``facts`` behind texts; none by default."""
    if behind is None:
        behind = found[:0]
    contexts = Contexts(np.array(facts, int), [])
    return fact_consistency(queries, {"joint": found}, contexts, {"joint": behind}, 5, ONE)


def by_hand(relations: Sequence[str] = ("r", "r", "r", "s")) -> pd.DataFrame:
    """Behind texts stand the queries of f1 and f3 alone."""
    queries = queries_of(relations, k=3)
    queries.facts["arm"] = ["A8_wordings", "A8_wordings", "A0_full", "A0_full"]
    queries.facts["detail"] = ["once", "repeated", "", "fitb"]
    behind = attribution([("a", "a", "b"), ("a", "b", "c")])
    return measured(queries, attribution(LETTERS), behind, [1, 3])


def rows_of(frame: pd.DataFrame, control: str, sets: str = "threshold") -> pd.DataFrame:
    chosen = frame[(frame["control"] == control) & (frame["sets"] == sets)]
    return chosen.set_index("fact_id")


def test_scores_done_by_hand():
    """T-Q1 and T-Q2 through the table."""
    frame = by_hand()

    assert set(frame) == set(table_schema("consistency").names)
    own = rows_of(frame, "none")
    assert list(own.index) == ["f0", "f1", "f2", "f3"]
    np.testing.assert_allclose(own["cs1"], [0.2, 1, 0, np.nan])
    np.testing.assert_allclose(own["cs2"], [0.4, 1, 0, np.nan])
    assert own["n_union"].tolist() == [5, 2, 5, 0]
    np.testing.assert_allclose(own["n_neurons"], [8 / 3, 2, 5 / 3, 0])
    assert own["regime"].tolist() == ["once", "repeated", "", ""], "of arm A8 alone"
    assert set(own["seed"]) == {5}
    assert set(own["k"]) == {3}
    assert list(own["relation"]) == ["r", "r", "r", "s"]


def test_one_query_behind_other_texts_is_measured_from_its_own_attributions():
    """Of facts for which there are enough texts, and no others."""
    behind = rows_of(by_hand(), "context")

    assert behind["cs2"].to_dict() == {"f1": 0.5, "f3": 0.0}
    assert behind["cs1"].tolist() == [0, 0]
    assert behind["regime"].to_dict() == {"f1": "repeated", "f3": ""}
    nowhere = measured(queries_of(["r"] * 2, k=3), attribution(LETTERS[:2]))
    assert set(nowhere["control"]) == {"none", "random"}


def test_the_queries_alone_are_the_rows_without_control():
    queries, found = queries_of(["r"] * 4, k=3), attribution(LETTERS)

    alone = own_consistency(queries, {"joint": found}, ONE)

    rows = measured(queries, found)
    rows = rows[rows["control"] == "none"].drop(columns="seed")
    pd.testing.assert_frame_equal(alone, rows.reset_index(drop=True))


def test_sets_of_equal_size_have_it_whatever_the_threshold_says():
    top = rows_of(by_hand(), "none", "top")

    assert top["n_neurons"].tolist() == [2] * 4
    assert top.loc["f0", "cs2"] == 0.5, "ab, bc and ce: the first of equals"
    assert top.loc["f1", "cs1"] == 1


def test_queries_of_other_facts_are_compared_where_there_are_enough():
    """Of k=3 wordings each of another fact: relation r of three facts has too few, four suffice."""
    assert "other_facts" not in set(by_hand()["control"])

    others = rows_of(by_hand(["r"] * 4), "other_facts")

    assert list(others.index) == ["f0", "f1", "f2", "f3"]
    queries, values = queries_of(["r"] * 4, k=3), attribution([("a", "b", "c")] * 4)
    assert (rows_of(measured(queries, values), "other_facts")["cs2"] == 0).all(), "as worded"
    values = attribution([("a", "a", "a"), ("b", "b", "b"), ("c", "c", "c"), ("d", "d", "d")])
    found = measured(queries, values)
    assert (rows_of(found, "none")["cs2"] == 1).all()
    assert (rows_of(found, "other_facts")["cs2"] == 0).all(), "the facts all differ"


def test_facts_with_the_same_answer_are_a_null_of_their_own():
    """Of five facts four share an answer, and the neuron that holds it."""
    values = attribution([("a", "a", "a")] * 4 + [("b", "b", "b")])
    queries = queries_of(["r"] * 5, k=3, answers=[7, 7, 7, 7, 8])

    found = measured(queries, values)

    same = rows_of(found, "same_answer")
    assert same["cs2"].to_dict() == {"f0": 1, "f1": 1, "f2": 1, "f3": 1}, "f4 has nobody"
    assert len(rows_of(found, "other_facts")) == 5
    different = measured(queries_of(["r"] * 4, k=3), values[:4])
    assert "same_answer" not in set(different["control"])


def test_means_over_facts_leave_out_what_is_undefined():
    rows = consistency_means(by_hand(), ONE)

    of = {"localiser": "joint", "sets": "threshold", "control": "none"}
    assert cell(rows, relation="all", measure="cs2", **of) == pytest.approx(1.4 / 3)
    assert cell(rows, "n", relation="all", measure="cs2", **of) == 3
    assert cell(rows, relation="r", measure="cs1", **of) == pytest.approx(0.4)
    assert not [row for row in rows if row["relation"] == "s" and row["control"] == "none"
                and row["sets"] == "threshold"]  # fmt: skip


def test_what_queries_have_beyond_a_control_is_paired_by_fact():
    """Done by hand: f0, f1 and f2 have 0.4, 1 and 0 alone; behind texts f1 has 0.5, f3 nothing to
    compare it with."""
    frame = by_hand()
    frame.loc[(frame["fact_id"] == "f2") & (frame["control"] == "random"), "cs2"] = NAN

    rows = consistency_means(frame, ONE)

    of = {"localiser": "joint", "sets": "threshold", "measure": "cs2", "relation": "all"}
    context = {**of, "control": "none - context"}
    assert cell(rows, **context) == pytest.approx(1 - 0.5)
    assert cell(rows, "n", **context) == 1, "f3 has no neurons, f0 and f2 no texts"
    own, random = (rows_of(frame, control)["cs2"] for control in ("none", "random"))
    beyond = [own[fact] - random[fact] for fact in ("f0", "f1")]
    assert cell(rows, **{**of, "control": "none - random"}) == pytest.approx(np.mean(beyond))
    assert cell(rows, "n", **{**of, "control": "none - random"}) == 2
    others = by_hand(["r"] * 4)
    own, other = (rows_of(others, control)["cs2"] for control in ("none", "other_facts"))
    rows = consistency_means(others, ONE)
    expected = np.nanmean(own - other)
    for relation in ("r", "all"):
        paired = {**of, "relation": relation, "control": "none - other_facts"}
        assert cell(rows, **paired) == pytest.approx(expected)
        assert cell(rows, "n", **paired) == (own - other).notna().sum()


def consistency(sets: str = "threshold", control: str = "none", **cs2: Sequence[float]):
    """cs2 of facts a, b, ... by localiser."""
    return pd.concat(
        pd.DataFrame(
            {
                "seed": 0,
                "fact_id": list("abcdef")[: len(values)],
                "localiser": localiser,
                "sets": sets,
                "control": control,
                "cs2": values,
                "regime": "",
            }
        )
        for localiser, values in cs2.items()
    )


NAN = float("nan")
CS2 = {"joint": [0.1, 0.3, 0.31, 0.9], "single": [0.2, 0.5, 0.2, NAN]}
MAIN = {"threshold": "0.3", "sets": "threshold", "control": "none"}


def test_classes_are_those_of_the_main_localiser_and_threshold():
    other = consistency(control="context", joint=[1.0] * 4), consistency("top", joint=[1.0] * 4)
    frame = pd.concat([consistency(**CS2), *other])

    found = classes(frame, TWO)

    assert found.index.names == ["seed", "fact_id"]
    assert found.xs(0).to_dict() == {
        "a": "inconsistent",
        "b": "inconsistent",  # at the cut: consistent is strictly above
        "c": "consistent",
        "d": "consistent",
    }
    by_single = QueryLocalizationConfig(localiser="single", threshold=0.2)
    assert classes(frame, by_single).xs(0).to_dict() == {
        "a": "inconsistent",
        "b": "consistent",
        "c": "inconsistent",
    }, "d has no neurons, hence no class"


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.2, 0.3, 0.5, 0.999, "otsu"])
def test_classes_are_a_partition(threshold: float | str):
    """T-Q8, through ``classes`` and the shares."""
    values = np.random.default_rng(0).random(6).round(1)
    frame = consistency(joint=values)
    config = QueryLocalizationConfig(
        localisers=("joint",), thresholds=(threshold,), threshold=threshold, bootstrap_draws=50
    )

    found, (row, all_row) = classes(frame, config), class_shares(frame, config)

    assert sorted(found.index.get_level_values("fact_id")) == list("abcdef")
    inconsistent = (found == "inconsistent").to_numpy()
    assert (inconsistent | (found == "consistent")).all()
    assert (inconsistent == (values <= row["cut"])).all()
    assert row["share"] == pytest.approx(inconsistent.mean())
    assert row["n"] == 6
    assert all_row["share"] == row["share"], "of one localiser, all are it"


def test_shares_of_inconsistent_facts_done_by_hand():
    rows = class_shares(consistency(**CS2), TWO)

    joint = {**MAIN, "localiser": "joint"}
    assert cell(rows, "share", **joint) == 0.5
    assert cell(rows, "cut", **joint) == 0.3
    assert cell(rows, "cs2_consistent", **joint) == pytest.approx((0.31 + 0.9) / 2)
    assert cell(rows, "cs2_inconsistent", **joint) == pytest.approx(0.2)
    expected = stats.ttest_ind([0.31, 0.9], [0.1, 0.3], equal_var=False)
    assert cell(rows, "welch_t", **joint) == pytest.approx(expected.statistic)
    assert cell(rows, "p_value", **joint) == pytest.approx(expected.pvalue)
    single = {**MAIN, "localiser": "single"}
    assert cell(rows, "share", **single) == pytest.approx(2 / 3)
    assert cell(rows, "n", **single) == 3, "d is left out"
    assert np.isnan(cell(rows, "welch_t", **single)), "one consistent fact has no spread"
    together = {**MAIN, "localiser": ALL}
    assert cell(rows, "share", **together) == pytest.approx(1 / 3), "a alone, of a, b and c"
    assert cell(rows, "n", **together) == 3
    assert np.isnan(cell(rows, "cut", **together))
    assert cell(rows, "share", **{**joint, "threshold": "0.1"}) == 0.25
    keys = [(r["localiser"], r["threshold"], r["sets"], r["control"]) for r in rows]
    assert len(set(keys)) == len(keys) == 3 * len(TWO.thresholds)
    main = [row for row in rows if row["main"]]
    assert [(row["localiser"], row["threshold"]) for row in main] == [("joint", "0.3")]


def test_the_share_under_all_localisers_is_no_higher_than_under_any():
    rng = np.random.default_rng(1)
    frame = consistency(joint=rng.random(6), single=rng.random(6), gradient=rng.random(6))

    rows = class_shares(frame, QueryLocalizationConfig(bootstrap_draws=50))

    for threshold in ("0.1", "0.2", "0.3", "otsu"):
        of = {**MAIN, "threshold": threshold}
        shares = {row["localiser"]: row["share"] for row in rows if row["threshold"] == threshold}
        assert cell(rows, "share", **of, localiser=ALL) <= min(shares.values())


def test_otsu_is_found_on_the_facts_and_cuts_their_nulls_too():
    """T-Q3: a cut between .2 and .8."""
    own = consistency(joint=[0.1, 0.1, 0.2, 0.8, 0.9])
    null = consistency(control="other_facts", joint=[0.0, 0.0, 0.0, 0.3, 0.55])

    rows = class_shares(pd.concat([own, null]), ONE)

    otsu = {"threshold": "otsu", "localiser": "joint"}
    assert cell(rows, "cut", control="none", **otsu) == pytest.approx(0.5)
    assert cell(rows, "share", control="none", **otsu) == 0.6
    assert cell(rows, "cut", control="other_facts", **otsu) == pytest.approx(0.5)
    assert cell(rows, "share", control="other_facts", **otsu) == 0.8


def test_otsu_without_anything_to_cut_is_left_out():
    frame = consistency(joint=[0.4, 0.4, 0.4], single=[0.1, 0.2, 0.9])

    rows = class_shares(frame, TWO)

    otsu = [row for row in rows if row["threshold"] == "otsu"]
    assert [row["localiser"] for row in otsu] == ["single"], "all localisers need all"
    alike = class_shares(frame[frame["localiser"] == "joint"], ONE)
    assert {row["threshold"] for row in alike} == {"0.1", "0.2", "0.3"}
    by_otsu = QueryLocalizationConfig(threshold="otsu")
    with pytest.raises(ValueError, match=r"study\.threshold: otsu finds nothing to cut"):
        classes(frame, by_otsu)


def test_seeds_have_facts_of_their_own():
    frame = pd.concat([consistency(**CS2), consistency(**CS2).assign(seed=1)])

    rows = class_shares(frame, TWO)

    assert cell(rows, "n", **MAIN, localiser="joint") == 8
    assert cell(rows, "n", **MAIN, localiser=ALL) == 6
    assert len(classes(frame, TWO)) == 8


REGIMES = ["reworded", "reworded", "reworded", "repeated", "repeated", "once"]


def wordings(values: Sequence[float] = (0.9, 0.8, 0.7, 0.2, 0.4, 0.5)) -> pd.DataFrame:
    return consistency(joint=values).assign(regime=REGIMES)


def effects(known: pd.DataFrame, assigned: pd.DataFrame | None = None) -> list[dict]:
    return wording_effects(known, wordings().iloc[:0] if assigned is None else assigned, TWO)


def test_wordings_are_compared_by_the_difference_of_means():
    frame = pd.concat([wordings(), wordings().assign(control="context", cs2=0.0)])

    rows = effects(frame)

    assert all(set(row) == set(table_schema("wording_effects").names) for row in rows)
    assert {row["facts"] for row in rows} == {"known"}
    means = {row["regime"]: (row["cs2"], row["n"]) for row in rows}
    assert means == {
        "reworded": (pytest.approx(0.8), 3),
        "repeated": (pytest.approx(0.3), 2),
        "once": (0.5, 1),
        "reworded - repeated": (pytest.approx(0.5), 2),
    }
    low, high = (cell(rows, name, regime="reworded - repeated") for name in ("low", "high"))
    assert 0.3 <= low < 0.5 < high <= 0.7, "all values lie in these bounds"


def test_facts_as_assigned_stand_beside_those_that_are_known():
    """Of three reworded facts two are known: the lot decided on three."""
    known = wordings().iloc[[0, 1, 3, 4]]

    rows = effects(known, wordings())

    contrast = {"regime": "reworded - repeated"}
    assert cell(rows, "cs2", facts="assigned", **contrast) == pytest.approx(0.8 - 0.3)
    assert cell(rows, "cs2", facts="known", **contrast) == pytest.approx(0.85 - 0.3)
    assert cell(rows, "n", facts="assigned", regime="reworded") == 3
    assert cell(rows, "n", facts="known", regime="reworded") == 2
    keys = [(row["facts"], row["regime"], row["localiser"], row["sets"]) for row in rows]
    assert len(set(keys)) == len(keys)
    nobody = effects(known.iloc[:0], wordings())
    assert {row["facts"] for row in nobody} == {"assigned"}


def test_facts_without_neurons_are_not_compared():
    rows = effects(wordings((0.9, 0.8, NAN, 0.2, NAN, 0.5)))

    assert cell(rows, "n", regime="reworded") == 2
    assert cell(rows, "cs2", regime="reworded - repeated") == pytest.approx(0.65)
    assert cell(rows, "n", regime="reworded - repeated") == 1


def test_without_both_sides_there_is_no_contrast():
    rows = effects(wordings((0.9, 0.8, 0.7, NAN, NAN, 0.5)))

    assert {row["regime"] for row in rows} == {"reworded", "once"}
    assert effects(consistency(**CS2)) == [], "runs without the arm"
