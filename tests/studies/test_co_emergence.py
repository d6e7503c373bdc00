"""The tables of the study on made-up scores whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from coemerge.statistics.co_emergence import is_competent, transfer_matrix
from coemerge.studies.co_emergence.config import CoEmergenceConfig
from coemerge.studies.co_emergence.over_checkpoints import curve_rows, variance_rows
from coemerge.studies.co_emergence.pairs import CoEmergence
from coemerge.studies.co_emergence.summary import summary_rows
from coemerge.studies.co_emergence.tables import co_emergence_tables
from coemerge.studies.shared.scored import Scores
from coemerge.tables.store import make_table, table_schema

TASKS = ["completion", "fitb", "mcqa"]
ARMS = ["A0_full"] * 4 + ["A2_single_source"] * 6 + ["A5_never"] * 2
KNOWN, UNKNOWN = 0.95, 0.05
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
    )


@pytest.fixture(scope="module")
def study() -> CoEmergence:
    return CoEmergence([made_up(0), made_up(1)], QUICK)


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
    rows = study.matrix()
    a2 = {"basis": "exposed", "theta": 0.6, "arm": "A2_single_source", "options": "fresh"}

    assert cell(rows, **a2, source="completion", target="fitb")["rate"] == 1
    assert cell(rows, **a2, source="completion", target="mcqa")["rate"] == 0
    assert cell(rows, **a2, source="mcqa", target="fitb")["rate"] == 0
    assert cell(rows, **a2, source="completion", target="fitb")["n"] == 2 * 2
    assert not [row for row in rows if row["source"] == row["target"]]


def test_kinds_pool_their_cells(study):
    rows = study.by_kind()
    a2 = {"basis": "exposed", "options": "fresh"}

    assert cell(rows, **a2, source="generative", target="generative")["rate"] == 1
    assert cell(rows, **a2, source="generative", target="discriminative")["rate"] == 0
    assert cell(rows, **a2, source="discriminative", target="generative")["rate"] == 0
    assert cell(rows, **a2, source="generative", target="discriminative")["n"] == 2 * 4


def test_the_estimand_stands_beside_facts_never_shown(study):
    row = cell(study.transfer(), source="completion", target="fitb", exposures=10)

    assert row["score"] == pytest.approx(KNOWN)
    assert row["never"] == pytest.approx(UNKNOWN)
    assert row["n"] == 4


def test_null_models_frame_the_failure_rate(study):
    nulls = {row["null"]: row for row in study.nulls()}

    assert nulls["split_half"]["value"] == 0
    assert nulls["exposure_matched"]["value"] == 0
    assert 0 < nulls["permutation"]["value"] < 1


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
    tables = co_emergence_tables(study)
    for name, rows in tables.items():
        frame = pd.DataFrame(rows)
        assert set(frame) == set(table_schema(name).names), name
        make_table(name, {c: frame[c].to_numpy() for c in frame})


def test_the_summary_names_what_the_papers_report(study):
    rows = summary_rows(co_emergence_tables(study), study.by_kind(), [0, 1], "run0, run1")

    assert {row["id"] for row in rows} == {"P1-a", "P1-b", "P1-c"}
    assert rows[0]["quantity"] == "co-emergence failures, theta=0.6"
    assert rows[0]["n_total"] == 2 * 12 * 3
    assert all(row["value"] is None or np.isfinite(row["value"]) for row in rows)


def test_runs_that_do_not_belong_together_are_refused():
    other = made_up(1)
    fewer = Scores(**{**other.__dict__, "tasks": TASKS[:2]})
    with pytest.raises(ValueError, match=r"run1 was asked"):
        CoEmergence([made_up(0), fewer], QUICK)
    with pytest.raises(ValueError, match="one seed"):
        CoEmergence([made_up(0), made_up(0)], QUICK)


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
    rows = CoEmergence([run], QUICK).matrix()
    own = {"basis": "exposed", "theta": 0.6, "arm": "all", "options": "fresh"}

    for s, source in enumerate(TASKS):
        for t, target in enumerate(TASKS):
            if n[s, t]:
                row = cell(rows, **own, source=source, target=target)
                assert (row["rate"], row["n"]) == (pytest.approx(rates[s, t]), n[s, t])
    assert n.any()
