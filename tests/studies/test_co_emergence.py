"""The tables of the study on made-up scores whose answers are known."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from coemerge.statistics.co_emergence import is_competent, transfer_matrix
from coemerge.statistics.variance import decompose, interaction_null, on_scale
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.over_checkpoints import curve_rows, variance_rows
from coemerge.studies.co_emergence.pairs import Failures
from coemerge.studies.co_emergence.summary import summary_rows
from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.studies.co_emergence.transfer import Transfer
from coemerge.studies.shared.scored import Scores
from coemerge.tables.store import make_table, table_schema

TASKS = ["completion", "fitb", "mcqa"]
ARMS = ["A0_full"] * 4 + ["A2_single_source"] * 6 + ["A5_never"] * 2
KNOWN, UNKNOWN = 0.95, 0.05
_BY_FACT = ("score", "probability", "seen", "exposures", "shown_anywhere")
QUICK = CoEmergenceConfig(null_draws=20, bootstrap_draws=200)


def made_up(seed: int = 0, n_checkpoints: int = 4) -> Scores:
    """A0 knows all; of A2 (two per source), generative sources give each other, mcqa nothing;
    everything is known from the second checkpoint on."""
    facts = pd.DataFrame(
        {"fact_id": [f"f{i}" for i in range(12)], "relation": "r", "arm": ARMS, "detail": ""}
    )
    known = np.zeros((12, 3), dtype=bool)
    exposures = np.zeros((12, 3, n_checkpoints))
    known[:4], exposures[:4] = True, 10
    for k in range(6):
        source = k % 3
        exposures[4 + k, source] = 10
        known[4 + k] = [True, True, False] if source < 2 else [False, False, True]
    score = np.where(known[:, :, None, None], KNOWN, UNKNOWN) * np.ones((1, 1, 2, n_checkpoints))
    score[..., 0] = UNKNOWN
    score += 0.01 * np.array([-1, 1])[None, None, :, None]
    return Scores(
        run_id=f"run{seed}",
        seed=seed,
        steps=np.arange(n_checkpoints) * 10,
        tasks=TASKS,
        facts=facts,
        score=score,
        probability=score,
        seen=score[..., -1].mean(axis=2),
        exposures=exposures,
        shown_anywhere=exposures[..., -1].sum(axis=1),
    )


@pytest.fixture(scope="module")
def study() -> Failures:
    return Failures([made_up(0), made_up(1)], QUICK)


def cell(rows: list[dict], **wanted) -> dict:
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row


def test_every_pair_is_testable_excluded_or_untestable(study):
    rows = [r for r in study.pairs() if r["theta"] == 0.6 and r["sustained"] == "any"]

    assert len(rows) == 2 * 12 * 3
    failure = cell(study.failure(), theta=0.6, window=-1, sustained="any", arm="all")
    counted = failure["n_testable"] + failure["n_excluded"] + failure["n_untestable"]
    assert counted == len(rows)


def test_failures_are_where_they_were_put(study):
    rows = study.failure()

    usual = {"theta": 0.6, "window": -1, "sustained": "any"}
    assert cell(rows, **usual, arm="A0_full")["rate"] == 0
    # 4 facts per seed know both generative tasks and fail on mcqa, 2 know mcqa and fail on both
    single = cell(rows, **usual, arm="A2_single_source")
    assert single["n_testable"] == 2 * (4 * 3 + 2 * 2)
    assert single["rate"] == pytest.approx((4 + 4) / 16)
    assert single["low"] <= single["rate"] <= single["high"]
    never = cell(rows, **usual, arm="A5_never")
    assert never["n_testable"] == 0
    assert np.isnan(never["rate"])


def test_transfer_of_facts_shown_in_one_task_alone(study):
    rows = Transfer(study.runs, QUICK).matrix()
    a2 = {"basis": "exposed", "theta": 0.6, "arm": "A2_single_source", "options": "fresh"}

    assert cell(rows, **a2, source="completion", target="fitb")["rate"] == 1
    assert cell(rows, **a2, source="completion", target="mcqa")["rate"] == 0
    assert cell(rows, **a2, source="mcqa", target="fitb")["rate"] == 0
    assert cell(rows, **a2, source="completion", target="fitb")["n"] == 2 * 2
    assert not [row for row in rows if row["source"] == row["target"]]


def test_kinds_pool_their_cells(study):
    rows = Transfer(study.runs, QUICK).by_kind()
    a2 = {"basis": "exposed", "options": "fresh"}

    assert cell(rows, **a2, source="generative", target="generative")["rate"] == 1
    assert cell(rows, **a2, source="generative", target="discriminative")["rate"] == 0
    assert cell(rows, **a2, source="discriminative", target="generative")["rate"] == 0
    assert cell(rows, **a2, source="generative", target="discriminative")["n"] == 2 * 4


def with_more_known(run: Scores, fact: int, task: str) -> Scores:
    score = run.score.copy()
    score[fact, TASKS.index(task), :, 1:] = KNOWN
    seen = score[..., -1].mean(axis=2)
    return dataclasses.replace(run, score=score, probability=score, seen=seen)


def repeated(run: Scores, times: int) -> Scores:
    """Each fact so many times: few facts leave draws without one of a kind."""
    arrays = {name: np.concatenate([getattr(run, name)] * times) for name in _BY_FACT}
    facts = pd.concat([run.facts] * times, ignore_index=True)
    facts["fact_id"] = [f"f{i}" for i in range(len(facts))]
    return dataclasses.replace(run, facts=facts, **arrays)


def test_the_difference_is_that_of_the_two_rates_with_its_own_interval():
    """One of four facts with a generative source is known in mcqa, none of mcqa elsewhere."""
    run = repeated(with_more_known(made_up(), 4, "mcqa"), 5)
    rows = Transfer([run], QUICK).by_kind()
    for options in ("fresh", "seen"):
        found = cell(rows, basis="exposed", options=options, target="difference")
        assert found["rate"] == pytest.approx(1 / 4)
        assert found["low"] <= 0.25 <= found["high"]
        assert found["low"] < found["high"]
        assert (found["n"], found["n_facts"]) == (5 * (4 + 4), 5 * 6)
    assert not [r for r in rows if r["basis"] == "emerged" and r["target"] == "difference"]


def test_a_direction_that_is_the_other_way_round_is_below_zero():
    one = with_more_known(with_more_known(made_up(), 6, "completion"), 9, "completion")
    run = repeated(one, 5)
    found = cell(
        Transfer([run], QUICK).by_kind(), basis="exposed", options="fresh", target="difference"
    )

    assert found["rate"] == pytest.approx(-1 / 2)  # all facts of mcqa, in one of two tasks
    assert found["low"] == found["high"] == found["rate"]  # as they are alike


def test_the_estimand_stands_beside_facts_never_shown(study):
    row = cell(
        Transfer(study.runs, QUICK).by_exposures(), source="completion", target="fitb", exposures=10
    )

    assert row["score"] == pytest.approx(KNOWN)
    assert row["never"] == pytest.approx(UNKNOWN)
    assert row["n"] == 4


def test_null_models_frame_the_failure_rate(study):
    rates = [row for row in study.nulls() if row["quantity"] == "failure_rate"]

    assert cell(rows=rates, null="split_half")["value"] == 0
    assert cell(rows=rates, null="exposure_matched")["value"] == 0
    assert 0 < cell(rows=rates, null="permutation")["value"] < 1


@pytest.mark.parametrize("scale", ["raw", "logit"])
def test_the_interaction_has_a_null_without_common_facts(study, scale: str):
    """Pooled over seeds; facts of A0 and A5 are alike in all tasks, so that the share is lower."""
    own = {"quantity": "interaction_share", "scale": scale}
    null = cell(study.nulls(), **own, null="permutation")
    scores = on_scale(made_up().score[..., -1], scale)
    expected = interaction_null(scores, np.random.default_rng(5), 400)

    assert null["n"] == QUICK.null_draws
    assert null["low"] <= null["value"] <= null["high"]
    assert null["value"] == pytest.approx(expected.mean(), abs=0.05)
    assert null["value"] > decompose(scores)["interaction"].eta_total + 0.1


def test_facts_never_shown_have_their_score_among_the_controls(study):
    never = cell(study.nulls(), quantity="score")

    assert (never["null"], never["n"]) == ("never_shown", 2 * 2)
    assert never["value"] == pytest.approx(UNKNOWN)


def test_rows_of_nulls_are_told_apart_by_their_keys(study):
    keys = [(row["quantity"], row["scale"], row["null"]) for row in study.nulls()]

    assert len(set(keys)) == len(keys) == 6


def test_curves_count_facts_by_exposure():
    rows = curve_rows(made_up(), 0.6)
    last = {"step": 30, "task": "mcqa", "arm": "A2_single_source"}

    assert cell(rows, **last, exposed=True)["emerged_fraction"] == 1
    assert cell(rows, **last, exposed=False)["emerged_fraction"] == 0
    assert cell(rows, **last, exposed=False)["n"] == 4


def test_shares_of_variance_add_up_and_are_adjusted_over_checkpoints():
    frame = pd.DataFrame(variance_rows(made_up()))
    plain = frame[(frame["model"] == "plain") & (frame["denominator"] == "total")]
    later = plain[plain["step"] > 0].groupby(["step", "scale"])["eta_squared"].sum()

    assert np.allclose(later, 1)
    tested = frame.dropna(subset=["p_value"])
    assert (tested["q_value"] >= tested["p_value"] - 1e-12).all()


def test_every_table_has_the_columns_that_are_documented(study):
    tables = co_emergence_tables(study.runs, QUICK)
    for name, rows in tables.items():
        frame = pd.DataFrame(rows)
        assert set(frame) == set(table_schema(name).names), name
        make_table(name, {c: frame[c].to_numpy() for c in frame})


def summary_of(runs: list[Scores]) -> list[dict]:
    study = Failures(runs, QUICK)
    seeds = [run.seed for run in runs]
    return summary_rows(
        co_emergence_tables(study.runs, QUICK),
        Transfer(study.runs, QUICK).by_kind(),
        seeds,
        "run0, run1",
    )


@pytest.fixture(scope="module")
def summary() -> list[dict]:
    return summary_of([made_up(0), made_up(1)])


def test_the_summary_names_what_the_papers_report(summary):
    assert {row["id"] for row in summary} == {"P1-a", "P1-b", "P1-c"}
    assert summary[0]["quantity"] == "failures to co-emerge, θ = 0.6, all arms"
    assert summary[0]["n_total"] == 2 * 12 * 3
    assert cell(summary, name="failure/0.6/A0_full")["n_total"] == 2 * 4 * 3
    names = [row["name"] for row in summary]
    assert len(set(names)) == len(names)
    assert {"failure/0.6/all", "interaction/raw/total", "difference/exposed/fresh",
            "transfer/exposed/fresh/generative/discriminative"} <= set(names)  # fmt: skip


def test_no_number_of_the_summary_is_one_that_json_has_not(summary):
    numbers = [row[key] for row in summary for key in ("value", "low", "high", "n", "n_total")]

    assert all(value is None or np.isfinite(value) for value in numbers)
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(
    ("seeds", "rates", "shares"),
    [
        ((0,), "95 %, bootstrap over facts, one seed", "one seed"),
        ((0, 1), "95 %, bootstrap over seeds then facts", "range over seeds"),
    ],
)
def test_intervals_say_what_they_are(seeds: tuple[int, ...], rates: str, shares: str):
    rows = summary_of([repeated(with_more_known(made_up(seed), 4, "mcqa"), 5) for seed in seeds])

    for name in ("failure/0.6/A2_single_source", "difference/exposed/fresh"):
        assert cell(rows, name=name)["interval"] == rates
    interaction = cell(rows, name="interaction/raw/total")
    assert interaction["interval"] == shares
    assert (interaction["low"] is None) == (len(seeds) == 1)
    assert all(row["interval"] for row in rows)


def only(run: Scores, kept: list[int]) -> Scores:
    arrays = {name: getattr(run, name)[kept] for name in _BY_FACT}
    facts = run.facts.iloc[kept].reset_index(drop=True)
    return dataclasses.replace(run, facts=facts, **arrays)


def test_one_fact_of_one_relation_has_no_interval():
    rows = summary_of([only(made_up(), [0, 1, 4])])  # the last is of A2

    for name in ("failure/0.6/A2_single_source", "transfer/exposed/fresh/generative/generative"):
        row = cell(rows, name=name)
        assert (row["low"], row["high"], row["interval"]) == (None, None, "no interval (1 fact)")
        assert row["value"] is not None


def test_a_difference_of_too_few_facts_has_no_interval():
    """Some draws hold no fact with a generative source, or none with a discriminative one."""
    row = cell(summary_of([only(made_up(), [0, 1, 4, 6])]), name="difference/exposed/fresh")

    assert (row["low"], row["interval"]) == (None, "no interval (too many resamples lack a rate)")


def test_facts_that_are_all_alike_have_no_spread_rather_than_certainty(summary):
    row = cell(summary, name="failure/0.6/A0_full")

    assert (row["value"], row["interval"]) == (0, "no spread: alike in all 8 facts")


def test_runs_that_do_not_belong_together_are_refused():
    other = made_up(1)
    fewer = Scores(**{**other.__dict__, "tasks": TASKS[:2]})
    with pytest.raises(ValueError, match=r"run1 was asked"):
        Failures([made_up(0), fewer], QUICK)
    with pytest.raises(ValueError, match="one seed"):
        Failures([made_up(0), made_up(0)], QUICK)


@pytest.mark.parametrize(
    ("key", "value"),
    [("thetas", [0.0]), ("thetas", [1.2]), ("thetas", []), ("windows", [-2]), ("paraphrases", 0)],
)
def test_settings_that_make_no_sense_are_refused_by_name(key: str, value: object):
    config = CoEmergenceConfig(**{key: value})
    with pytest.raises(ValueError, match=rf"study\.{key}"):
        config.check()


def test_the_matrix_is_that_of_the_definition():
    """Against ``transfer_matrix``, which the worked example T-B1 checks."""
    run = made_up()
    emerged = run.mean > 0.6
    rates, n = transfer_matrix(
        emerged[..., -1], is_competent(emerged)[:, -1], run.exposures[..., -1] > 0
    )
    rows = Transfer([run], QUICK).matrix()
    own = {"basis": "exposed", "theta": 0.6, "arm": "all", "options": "fresh"}

    for s, source in enumerate(TASKS):
        for t, target in enumerate(TASKS):
            if n[s, t]:
                row = cell(rows, **own, source=source, target=target)
                assert (row["rate"], row["n"]) == (pytest.approx(rates[s, t]), n[s, t])
    assert n.any()


def test_what_luck_gives_is_taken_off_the_difference():
    """Never-shown facts pass in mcqa: by that much less do generative sources transfer there."""
    lucky = made_up()
    never = (lucky.facts["arm"] == "A5_never").to_numpy()
    lucky.score[never, TASKS.index("mcqa"), :, 1:] = KNOWN
    lucky = dataclasses.replace(lucky, seen=lucky.score[..., -1].mean(axis=2))

    rows = Transfer([lucky], QUICK).by_kind()

    floor = cell(rows, basis="never", options="fresh", target="discriminative")
    assert (floor["rate"], floor["n"]) == (1.0, 2)
    assert cell(rows, basis="never", options="fresh", target="generative")["rate"] == 0.0
    raw = cell(rows, basis="exposed", options="fresh", target="difference")["rate"]
    beyond = cell(rows, basis="beyond_never", options="fresh", target="difference")["rate"]
    assert np.isnan(beyond)  # where luck is certain, nothing can be beyond it
    assert np.isfinite(raw)


def test_luck_is_taken_off_as_chance_is_off_scores():
    """(p - luck) / (1 - luck): one of two never-shown facts passes in mcqa."""
    lucky = made_up()
    lucky.score[10, TASKS.index("mcqa"), :, 1:] = KNOWN
    lucky = dataclasses.replace(lucky, seen=lucky.score[..., -1].mean(axis=2))

    rows = Transfer([lucky], QUICK).by_kind()

    rates = {
        kinds: cell(rows, basis="exposed", options="fresh", source=kinds[0], target=kinds[1])[
            "rate"
        ]
        for kinds in (("generative", "discriminative"), ("discriminative", "generative"))
    }
    expected = (rates["generative", "discriminative"] - 0.5) / 0.5
    expected -= rates["discriminative", "generative"]
    beyond = cell(rows, basis="beyond_never", options="fresh", target="difference")["rate"]
    assert beyond == pytest.approx(expected)


def test_the_contrast_into_generative_tasks_is_that_of_its_two_rates():
    rows = Transfer([made_up()], QUICK).by_kind()

    one, other = (
        cell(rows, basis="exposed", options="fresh", source=kind, target="generative")["rate"]
        for kind in ("generative", "discriminative")
    )
    found = cell(rows, basis="into_generative", options="fresh", target="difference")["rate"]
    assert found == pytest.approx(one - other)


def test_facts_shown_in_a_task_that_is_not_asked_are_not_shown_alone():
    run = made_up()
    elsewhere = dataclasses.replace(run, shown_anywhere=run.shown_anywhere + 1)

    assert Transfer([run], QUICK).by_exposures()
    assert not Transfer([elsewhere], QUICK).by_exposures()


def test_seeds_without_a_rate_leave_the_others_their_interval():
    """Of three seeds one has no competent discriminative task."""
    runs = [made_up(seed) for seed in range(3)]
    runs[2].score[:, TASKS.index("mcqa")] = UNKNOWN
    runs[2] = dataclasses.replace(runs[2], seen=runs[2].score[..., -1].mean(axis=2))

    row = cell(
        Transfer(runs, QUICK).by_kind(), basis="exposed", options="fresh", target="difference"
    )

    assert np.isfinite([row["low"], row["high"]]).all()


def test_without_never_shown_facts_nothing_is_taken_off():
    rows = Transfer([only(made_up(), list(range(10)))], QUICK).by_kind()

    assert {row["basis"] for row in rows} == {"exposed", "emerged", "into_generative"}
