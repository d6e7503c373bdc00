"""Analysis of variance of the scores, against worked numbers and statsmodels."""

import numpy as np
import pandas as pd
import pytest
from scipy import special
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

from coemerge.statistics.variance import (
    Component,
    benjamini_hochberg,
    decompose,
    decompose_nested,
    decompose_with_covariate,
    interaction_null,
    on_scale,
)
from tests.tolerances import EXACT_IN_FLOAT64

STATSMODELS = 1e-8  # least squares by another route on values of order 1
CROSSED = np.array([[[1.0, 0.8], [0.2, 0.0]], [[0.2, 0.0], [1.0, 0.8]]])  # T-V1
ADDITIVE = np.array([[0.8, 0.4], [0.6, 0.2]])[:, :, None] + np.array([0.1, -0.1])  # T-V2


@pytest.fixture
def scores() -> np.ndarray:
    """6 facts, 4 tasks, 5 paraphrases with effects of every kind."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(6, 1, 1)) + rng.normal(size=(1, 4, 1)) + rng.normal(size=(1, 4, 5))
    return effects + rng.normal(size=(6, 4, 1)) + rng.normal(size=(6, 4, 5))


@pytest.fixture
def covariate() -> np.ndarray:
    return np.log1p(np.random.default_rng(1).integers(0, 64, size=(6, 4)))


def sums(table: dict[str, Component]) -> dict[str, float]:
    return {name: component.ss for name, component in table.items()}


def frame_of(scores: np.ndarray, covariate: np.ndarray) -> pd.DataFrame:
    facts, tasks, paraphrases = np.indices(scores.shape)
    x = np.broadcast_to(covariate[:, :, None], scores.shape)
    columns = {"y": scores, "f": facts, "t": tasks, "p": paraphrases, "x": x}
    return pd.DataFrame({name: column.ravel() for name, column in columns.items()})


def assert_agrees(
    table: dict[str, Component], frame: pd.DataFrame, model: str, terms: dict[str, str]
) -> None:
    """``terms`` gives statsmodels' name of every component."""
    expected = anova_lm(ols(model, frame).fit(), typ=1)
    assert list(table) == list(terms)
    for name, term in terms.items():
        row, component = expected.loc[term], table[name]
        assert component.df == row["df"]
        found = [component.ss, component.F, component.p]
        wanted = row[["sum_sq", "F", "PR(>F)"]].to_list()
        assert found == pytest.approx(wanted, rel=STATSMODELS, abs=1e-15, nan_ok=True)


def test_v1_a_pure_interaction():
    table = decompose(CROSSED)
    expected = {"fact": 0, "task": 0, "interaction": 1.28, "error": 0.08}
    assert sums(table) == pytest.approx(expected, abs=EXACT_IN_FLOAT64)
    crossed = table["interaction"]
    shares = (crossed.eta_total, crossed.eta_cells, crossed.F)
    assert shares == pytest.approx((1.28 / 1.36, 1, 64))
    assert [component.df for component in table.values()] == [1, 1, 1, 4]


def test_v2_no_interaction():
    table = decompose(ADDITIVE)
    expected = {"fact": 0.08, "task": 0.32, "interaction": 0, "error": 0.08}
    assert sums(table) == pytest.approx(expected, abs=EXACT_IN_FLOAT64)
    assert table["task"].eta_total == pytest.approx(0.32 / 0.48)
    assert table["task"].eta_cells == pytest.approx(0.8)
    assert table["interaction"].p == pytest.approx(1)


def test_v3_the_sums_of_squares_add_to_the_total(scores, covariate):
    total = ((scores - scores.mean()) ** 2).sum()
    for table in (
        decompose(scores),
        decompose_nested(scores),
        decompose_with_covariate(scores, covariate),
    ):
        assert sum(sums(table).values()) == pytest.approx(total)
        assert sum(component.eta_total for component in table.values()) == pytest.approx(1)
        assert sum(component.df for component in table.values()) == scores.size - 1


def test_v4_permuted_fact_labels_leave_task_and_error_alone(scores):
    rng = np.random.default_rng(2)
    permuted = np.stack([scores[rng.permutation(6), task] for task in range(4)], axis=1)
    before, after = decompose(scores), decompose(permuted)
    for name in ("task", "error"):
        assert after[name].ss == pytest.approx(before[name].ss)
    assert after["fact"].ss != pytest.approx(before["fact"].ss)


def test_the_plain_model_is_that_of_statsmodels(scores, covariate):
    terms = {"fact": "C(f)", "task": "C(t)", "interaction": "C(f):C(t)", "error": "Residual"}
    assert_agrees(decompose(scores), frame_of(scores, covariate), "y ~ C(f) * C(t)", terms)


def test_the_nested_model_is_that_of_statsmodels(scores, covariate):
    terms = {"fact": "C(f)", "task": "C(t)", "template": "C(t):C(p)"}
    terms |= {"interaction": "C(f):C(t)", "error": "Residual"}
    model = "y ~ C(f) + C(t) + C(f):C(t) + C(t):C(p)"
    assert_agrees(decompose_nested(scores), frame_of(scores, covariate), model, terms)


def test_the_model_with_a_covariate_is_the_sequence_of_models_of_statsmodels(scores, covariate):
    """Formulas move numbers behind factors, so the models are fitted one after another."""
    table = decompose_with_covariate(scores, covariate)
    models = ("1", "x", "x + C(f)", "x + C(f) + C(t)", "C(f) * C(t)")
    fits = [ols(f"y ~ {model}", frame_of(scores, covariate)).fit() for model in models]
    for i, name in enumerate(("covariate", "fact", "task", "interaction")):
        ss, df = fits[i].ssr - fits[i + 1].ssr, fits[i].df_resid - fits[i + 1].df_resid
        assert table[name].df == df
        found, wanted = [table[name].ss, table[name].F], [ss, ss / df / fits[-1].mse_resid]
        assert found == pytest.approx(wanted, rel=STATSMODELS)
    _, p, _ = fits[4].compare_f_test(fits[3])
    assert table["interaction"].p == pytest.approx(p, abs=STATSMODELS)
    assert table["error"].ss == pytest.approx(fits[-1].ssr, rel=STATSMODELS)


def test_an_interaction_that_follows_the_covariate_is_explained_by_it():
    covariate = np.array([[2.0, 0.0], [0.0, 2.0]])
    table = decompose_with_covariate(CROSSED, covariate)
    assert table["covariate"].ss == pytest.approx(1.28)
    assert table["interaction"].ss == pytest.approx(0, abs=EXACT_IN_FLOAT64)


def test_a_covariate_of_facts_and_tasks_leaves_the_interaction_as_it_is(scores):
    covariate = np.log(np.arange(1, 7))[:, None] + np.log([[1, 10, 5, 100]])
    table, plain = decompose_with_covariate(scores, covariate), decompose(scores)
    assert table["interaction"].ss == pytest.approx(plain["interaction"].ss)
    assert table["interaction"].df == plain["interaction"].df


def test_a_covariate_of_facts_takes_one_of_their_degrees_of_freedom(scores):
    table = decompose_with_covariate(scores, np.repeat(np.log(np.arange(1, 7))[:, None], 4, axis=1))
    plain = decompose(scores)
    assert table["covariate"].ss + table["fact"].ss == pytest.approx(plain["fact"].ss)
    assert (table["covariate"].df, table["fact"].df) == (1, plain["fact"].df - 1)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_covariate_that_does_not_vary_changes_nothing(scores, constant: float):
    table = decompose_with_covariate(scores, np.full((6, 4), constant))
    assert (table["covariate"].ss, table["covariate"].df) == (pytest.approx(0), 0)
    plain = decompose(scores)
    for name in plain:
        assert table[name].ss == pytest.approx(plain[name].ss)
        assert table[name].df == plain[name].df


@pytest.mark.parametrize("bad", [np.zeros((4, 6)), np.full((6, 4), -np.inf)], ids=["shape", "log"])
def test_a_bad_covariate_is_refused(scores, bad: np.ndarray):
    with pytest.raises(ValueError, match="finite covariate"):
        decompose_with_covariate(scores, bad)


def test_templates_are_taken_out_of_the_error_and_of_nothing_else(scores):
    plain, nested = decompose(scores), decompose_nested(scores)
    assert nested["template"].ss + nested["error"].ss == pytest.approx(plain["error"].ss)
    for name in ("fact", "task", "interaction"):
        assert nested[name].ss == plain[name].ss
        assert nested[name].eta_cells == pytest.approx(plain[name].eta_cells)
    assert np.isnan(nested["template"].eta_cells)
    assert np.isnan([nested["error"].F, nested["error"].p, nested["error"].eta_cells]).all()


@pytest.mark.parametrize("model", [decompose, decompose_nested])
def test_constant_scores_have_no_shares(model):
    assert all(np.isnan([c.eta_total, c.F]).all() for c in model(np.zeros((3, 3, 3))).values())


@pytest.mark.parametrize("model", [decompose, decompose_nested])
@pytest.mark.parametrize("axis", ["facts", "tasks", "paraphrases"])
def test_too_few_are_refused_by_name(model, axis: str):
    shape = [1 if axis == name else 3 for name in ("facts", "tasks", "paraphrases")]
    with pytest.raises(ValueError, match=f"two {axis}"):
        model(np.zeros(shape))


def test_gaps_are_refused(scores):
    scores[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="1 scores are NaN"):
        decompose(scores)


def test_effects_that_add_on_the_logit_scale_interact_only_on_the_others():
    logits = np.array([-2.0, 2.0])[:, None] + np.array([-3.0, 1.0])
    scores = special.expit(logits)[:, :, None].repeat(2, axis=2)
    shares = {s: decompose(on_scale(scores, s))["interaction"].eta_total for s in ("raw", "logit")}
    assert shares["logit"] == pytest.approx(0, abs=EXACT_IN_FLOAT64)
    assert shares["raw"] > 0.01


def test_the_logit_is_clipped():
    ends = on_scale(np.array([0.0, 0.5, 1.0]), "logit")
    assert ends == pytest.approx([np.log(0.001 / 0.999), 0, np.log(0.999 / 0.001)])


@pytest.mark.parametrize("score", [-0.1, 1.1])
def test_the_logit_takes_only_probabilities(score: float):
    with pytest.raises(ValueError, match="probabilities"):
        on_scale(np.array([score]), "logit")


def test_ranks_are_averaged_over_ties_and_lie_between_0_and_1():
    ranks = on_scale(np.array([[0.2, np.nan], [0.9, 0.2], [-1.0, 0.95]]), "rank")
    expected = [[0.375, np.nan], [0.75, 0.375], [0, 1]]
    assert ranks.ravel() == pytest.approx(np.ravel(expected), nan_ok=True)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="unknown scale"):
        on_scale(np.zeros(2), "log")  # type: ignore[arg-type]


def test_facts_shared_by_the_tasks_have_less_interaction_than_the_null():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(20, 1, 1)) + rng.normal(size=(20, 3, 4)) / 10
    null = interaction_null(scores, rng, draws=100)
    assert null.shape == (100,)
    assert decompose(scores)["interaction"].eta_total < null.min() / 10


def test_facts_that_tasks_do_not_share_lie_within_the_null():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(20, 3, 1)) + rng.normal(size=(20, 3, 4)) / 10
    null = interaction_null(scores, rng, draws=200)
    low, high = np.quantile(null, (0.001, 0.999))
    assert low < decompose(scores)["interaction"].eta_total < high


def test_the_null_is_drawn_from_the_generator(scores):
    first, again = (interaction_null(scores, np.random.default_rng(5), draws=3) for _ in range(2))
    assert (first == again).all()


def test_q_values_are_those_of_statsmodels_and_gaps_are_no_tests():
    p_values = np.array([[0.01, 0.04, np.nan], [0.03, 0.5, 0.9]])
    q_values = benjamini_hochberg(p_values)
    expected = multipletests([0.01, 0.04, 0.03, 0.5, 0.9], method="fdr_bh")[1]
    assert q_values[~np.isnan(p_values)] == pytest.approx(expected)
    assert np.isnan(q_values[0, 2])
    assert p_values[0, 0] == 0.01


def test_no_tests_have_no_q_values():
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert benjamini_hochberg(np.array([])).shape == (0,)
