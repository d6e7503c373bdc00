"""When facts emerge, in which order, and what injections leave, from made-up curves."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coemerge.statistics.dynamics import (
    Injection,
    decay_of,
    decay_sums,
    find_peaks,
    injections,
    is_outlier,
)
from coemerge.statistics.emergence_points import order_correlation, order_interval
from coemerge.studies.co_emergence.dynamics import dynamics_tables, emergence_rows, order_rows
from coemerge.studies.co_emergence.retention import read_probed, retained_shares
from coemerge.studies.shared.scored import Scores
from coemerge.tables.store import make_table, table_schema, write_table
from tests.tolerances import EXACT_IN_FLOAT64

Rows = list[dict[str, Any]]
N_STEPS = 7
DRAWS = 200


def rising(k: int) -> np.ndarray:
    """0 before checkpoint k, 1 from there on; smoothed: 0.30 at k - 1, 0.70 at k, 0.94 at k + 1."""
    return (np.arange(N_STEPS) >= k).astype(float)


def made_up(
    curves: Sequence[Sequence[np.ndarray]],
    seed: int = 0,
    arms: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Scores:
    """``curves``: of each fact, one per task. Paraphrases lie 0.1 around them; every task shows a
    document more at each checkpoint."""
    mean = np.array(curves, dtype=float).reshape(len(curves), -1, N_STEPS)
    n_facts, n_tasks, _ = mean.shape
    ids = list(names or [f"f{i}" for i in range(n_facts)])
    score = mean[:, :, None] + np.array([-0.1, 0.1])[:, None]
    facts = {"fact_id": ids, "relation": "r", "arm": list(arms or ["A0_full"] * n_facts)}
    return Scores(
        run_id=f"run{seed}",
        seed=seed,
        steps=10 * np.arange(N_STEPS),
        tasks=["completion", "fitb", "mcqa"][:n_tasks],
        facts=pd.DataFrame(facts),
        score=score,
        probability=score,
        seen=mean[..., -1],
        exposures=np.broadcast_to(np.arange(N_STEPS), mean.shape),
        shown_anywhere=np.full(len(mean), N_STEPS - 1),
    )


def select(rows: Rows, **wanted: Any) -> Rows:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def only(rows: Rows, **wanted: Any) -> dict[str, Any]:
    (row,) = select(rows, **wanted)
    return row


# --- emergence points


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        # knee: smoothed 0.94 at the fourth checkpoint, where the chord is at 0.50
        (rising(2), {"fixed": 20, "relative": 20, "stable": 20, "knee": 30}),
        # too late for three in a row; knee: smoothed 0.06, where the chord is at 0.47
        (rising(5), {"fixed": 50, "relative": 50, "stable": -1, "knee": 30}),
        # never reaches the threshold, but half of its own maximum
        (0.5 * rising(2), {"fixed": -1, "relative": 20, "stable": -1, "knee": 30}),
        (np.zeros(N_STEPS), {"fixed": -1, "relative": -1, "stable": -1, "knee": -1}),
        (np.ones(N_STEPS), {"fixed": 0, "relative": 0, "stable": 0, "knee": -1}),
    ],
    ids=["early", "late", "low", "flat", "always"],
)
def test_the_step_of_emergence_by_each_rule(curve: np.ndarray, expected: dict[str, int]):
    rows = emergence_rows(made_up([[curve]]))

    assert {row["rule"]: row["emerged_step"] for row in rows} == expected


def test_documents_are_those_shown_by_then():
    rows = emergence_rows(made_up([[rising(2), np.zeros(N_STEPS)]]))

    seen = only(rows, rule="fixed", task="completion")
    assert (seen["emerged_step"], seen["exposures"], seen["exposures_total"]) == (20, 2, 6)
    never = only(rows, rule="fixed", task="fitb")
    assert (never["emerged_step"], never["exposures"], never["exposures_total"]) == (-1, 6, 6)


def test_there_is_a_row_for_each_fact_task_and_rule():
    run = made_up([[rising(2), rising(3)]] * 3, seed=4, arms=["A", "B", "B"])
    rows = emergence_rows(run, 0.5)

    keys = {(row["fact_id"], row["task"], row["rule"]) for row in rows}
    assert len(rows) == len(keys) == 3 * 2 * 4
    assert {(row["seed"], row["theta"]) for row in rows} == {(4, 0.5)}
    assert {row["fact_id"]: row["arm"] for row in rows} == {"f0": "A", "f1": "B", "f2": "B"}


def test_a_higher_threshold_is_reached_no_sooner():
    curves = np.random.default_rng(0).random((20, 2, N_STEPS))
    low, high = (select(emergence_rows(made_up(curves), t), rule="fixed") for t in (0.4, 0.6))

    def when(row: dict[str, Any]) -> float:
        return np.inf if row["emerged_step"] < 0 else row["emerged_step"]

    assert all(when(a) <= when(b) for a, b in zip(low, high, strict=True))
    assert any(when(a) < when(b) for a, b in zip(low, high, strict=True))


# --- order


def order_of(*steps: Sequence[int], **values: Any) -> Scores:
    """Checkpoints of emergence of each fact, by task; N_STEPS for never."""
    return made_up([[rising(k) for k in fact] for fact in zip(*steps, strict=True)], **values)


def test_an_order_with_one_swap_among_four():
    """rho = 1 - 6 * 2 / (4 * 15) = 0.8; tau = (5 - 1) / 6."""
    row = only(order_rows([order_of([1, 2, 3, 4], [1, 2, 4, 3])]), rule="fixed", arm="all")

    assert (row["rho"], row["tau"]) == pytest.approx((0.8, 2 / 3))
    assert (row["task"], row["other_task"]) == ("completion", "fitb")
    assert (row["seed"], row["other_seed"], row["n"], row["n_both"]) == (0, 0, 4, 4)
    assert -1 <= row["low"] < row["rho"] < row["high"] <= 1


def test_facts_that_never_emerge_come_last_and_are_told_apart():
    """Ranks 1, 2, 3.5, 3.5 and 1, 2, 3, 4: rho = 4.5 / sqrt(4.5 * 5)."""
    run = order_of([1, 2, N_STEPS, N_STEPS], [1, 2, 3, 4])
    row = only(order_rows([run]), rule="fixed", arm="all")

    assert row["rho"] == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert (row["n"], row["n_both"]) == (4, 2)


def test_all_pairs_of_tasks_and_all_rules_are_compared():
    rows = order_rows([order_of([1, 2, 3], [1, 2, 3], [3, 2, 1])], draws=DRAWS)

    assert len(rows) == 3 * 4 * 2  # pairs, rules, all and the one arm
    rho = {
        (r["task"], r["other_task"]): r["rho"] for r in select(rows, rule="fixed", arm="A0_full")
    }
    assert rho == pytest.approx(
        {("completion", "fitb"): 1, ("completion", "mcqa"): -1, ("fitb", "mcqa"): -1}
    )


def test_arms_of_fewer_than_three_facts_are_left_to_the_whole():
    run = order_of([1, 2, 3, 1, 2], [1, 2, 3, 2, 1], arms=["A", "A", "A", "B", "B"])
    rows = select(order_rows([run], draws=DRAWS), rule="fixed")

    assert [row["arm"] for row in rows] == ["all", "A"]
    assert only(rows, arm="A")["rho"] == pytest.approx(1)
    assert only(rows, arm="all")["rho"] < 1


def test_where_nothing_emerges_there_is_no_order():
    row = only(order_rows([order_of([N_STEPS] * 3, [1, 2, 3])]), rule="fixed", arm="all")

    assert all(np.isnan(row[name]) for name in ("rho", "tau", "low", "high"))
    assert (row["n"], row["n_both"]) == (3, 0)


def test_one_fact_has_no_order():
    assert order_rows([order_of([1], [2])]) == []


def test_two_runs_are_compared_on_the_facts_of_both():
    """Common are a, b, c, in another order of rows and with other times."""
    one = order_of([1, 2, 3, 5], names=["a", "b", "c", "x"], arms=["A", "A", "A", "A"])
    other = order_of([4, 6, 3, 2, 1], seed=1, names=["c", "y", "b", "a", "z"], arms=["A"] * 5)
    row = only(order_rows([one, other], draws=DRAWS), rule="fixed", arm="all")

    assert (row["seed"], row["other_seed"]) == (0, 1)
    assert row["task"] == row["other_task"] == "completion"
    assert (row["n"], row["n_both"]) == (3, 3)
    assert row["rho"] == pytest.approx(1)


def test_an_arm_of_two_runs_holds_the_facts_that_are_in_it_in_both():
    one = order_of([1, 2, 3, 4], arms=["A", "A", "A", "A"])
    other = order_of([1, 2, 3, 1], seed=1, arms=["A", "A", "A", "B"])
    rows = select(order_rows([one, other], draws=DRAWS), rule="fixed")

    assert {row["arm"]: row["n"] for row in rows} == {"all": 4, "A": 3}


def test_runs_without_common_facts_are_not_compared():
    runs = [order_of([1, 2, 3]), order_of([1, 2, 3], seed=1, names=["x", "y", "z"])]

    assert order_rows(runs) == []


def test_the_interval_is_that_of_resampled_orders():
    """Against the definition, draw by draw, with the same picks."""
    first, second = [1, 2, 2, 5, None, None, 3, 1], [2, 1, 2, 9, None, 4, None, 1]
    picks = np.random.default_rng(3).integers(8, size=(DRAWS, 8))
    rhos = [order_correlation([first[i] for i in p], [second[i] for i in p])[0] for p in picks]

    found = order_interval(first, second, seed=3, draws=DRAWS)
    assert found == pytest.approx(tuple(np.nanquantile(rhos, (0.025, 0.975))))
    assert found[0] < order_correlation(first, second)[0] < found[1]


# --- statistics of injections


def test_gains_are_looked_for_up_to_the_next_injection():
    found = injections([100, 130, 400], [101, 130, 999], 300)

    assert found == [Injection(99, 100, 129, 129), Injection(129, 130, 180, 300)]
    assert injections([100], [101], 100) == injections([], [], 300) == []


def test_a_peak_is_the_first_of_the_best_inside_its_time():
    steps, injection = np.array([9, 10, 11, 12, 13]), Injection(9, 10, 12, 20)
    curves = np.array([[9.0, 1, 3, 3, 9], [9.0, 4, 3, 2, 9]])

    assert find_peaks(curves, steps, injection).tolist() == [2, 1]
    with pytest.raises(ValueError, match="no probe from step 30 to 40"):
        find_peaks(curves, steps, Injection(29, 30, 40, 50))


def test_outliers_are_two_interquartile_ranges_beyond_the_quartiles():
    """Quartiles 1 and 3: beyond -3 and 7."""
    assert is_outlier(np.array([0, 1, 2, 3, 7.0])).tolist() == [False] * 5
    assert is_outlier(np.array([-3.1, 1, 2, 3, 7.1])).tolist() == [True, False, False, False, True]
    assert is_outlier(np.array([0, 1, 2, 3, 99, np.nan])).tolist() == [False] * 4 + [True, False]
    assert not is_outlier(np.array([np.nan, np.nan])).any()


def test_sums_of_facts_give_their_common_line_and_gaps_do_not_count():
    steps = np.array([1, 10, 100])
    sums = decay_sums(steps, np.array([[1.0, 0.9, np.nan], [1.0, 0.7, 0.6]]))

    line = decay_of(sums.sum(axis=0))
    x, y = [0, 1, 0, 1, 2], [1.0, 0.9, 1.0, 0.7, 0.6]
    assert (line.slope, line.intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    assert np.isnan(decay_of(decay_sums(np.array([10]), np.array([0.5]))).slope)


# --- retention

MOMENTS = ((100, 101), (300, 300))
DENSE = [99, *range(100, 131), *range(140, 300, 10), 299, *range(300, 331), *range(340, 500, 10)]
Curve = Callable[[int], float]


def decaying(peaks: Mapping[int, float], slope: float, before: float = -5.0) -> Curve:
    """Up to a height at each peak, from there down by ``slope`` of the whole gain per decade."""

    def at(step: int) -> float:
        past = [peak for peak in peaks if peak <= step]
        if not past:
            return before
        return before + (peaks[past[-1]] - before) * (1 - slope * np.log10(max(1, step - past[-1])))

    return at


ONCE = {f"once-{k}": decaying({101: -2.0}, slope) for k, slope in enumerate((0.1, 0.2, 0.3))}
REPEATED = {f"repeated-{k}": decaying({101: -3.0, 301: -1.0}, 0.1 * k) for k in range(3)}


def write(home: Path, name: str, rows: Rows, usual: Mapping[str, Any]) -> None:
    columns = {c: [{**usual, **row}[c] for row in rows] for c in table_schema(name).names}
    write_table(home / "tables" / f"{name}.parquet", name, columns)


def run_home(
    home: Path,
    curves: Mapping[str, Curve],
    steps: Sequence[int] = DENSE,
    moments: Sequence[tuple[int, int]] = MOMENTS,
) -> Path:
    """Tables of a run with these facts, named after their regime; other wordings lie 1 lower."""
    numbers = dict.fromkeys(table_schema("injections").names, 0.5)
    numbers |= {"task": "completion", "options": "none", "n_rotations": 1}
    wordings = (("seen_templates", 0, 0.0), ("held_out_templates", 7, 0.5))
    wordings = (*wordings, ("held_out_templates", 8, 1.5))
    probes = [
        {"step": s, "fact_id": f, "split": split, "template_id": k, "nll": lower - curve(s)}
        for f, curve in curves.items()
        for s in steps
        for split, k, lower in wordings
    ]
    write(home, "injections", probes, numbers)
    empty = dict.fromkeys(table_schema("facts").names, "")
    facts = [{"fact_id": f, "fact_index": i, "detail": f[:-2]} for i, f in enumerate(curves)]
    write(home, "facts", facts, empty)
    steps_of = [
        {"injection": k, "first_step": a, "last_step": b} for k, (a, b) in enumerate(moments, 1)
    ]
    write(home, "injection_steps", steps_of, {})
    return home


def retention(home: Path, draws: int = DRAWS, seed: int = 0) -> dict[str, Rows]:
    return dynamics_tables([order_of([1, 2, 3], [1, 2, 3], seed=seed)], [home], draws=draws)


def test_each_injection_gives_what_lies_between_the_step_before_it_and_its_peak(tmp_path: Path):
    rows = retention(run_home(tmp_path, ONCE | REPEATED))["effectivity"]

    seen = {"fact_id": "repeated-1", "split": "seen_templates"}
    first, second = only(rows, **seen, injection=1), only(rows, **seen, injection=2)
    assert (first["before_step"], first["peak_step"]) == (99, 101)
    assert (first["before_logprob"], first["peak_logprob"]) == (-5, -3)
    assert (second["before_step"], second["peak_step"]) == (299, 301)
    assert second["effectivity"] == pytest.approx(-1 - REPEATED["repeated-1"](299))
    lower = only(rows, fact_id="repeated-1", split="held_out_templates", injection=1)
    assert (lower["before_logprob"], lower["effectivity"]) == pytest.approx((-6, 2))
    assert len(rows) == 2 * (3 * 1 + 3 * 2)  # probes; facts shown once know one injection


def test_what_is_left_is_a_share_of_the_whole_gain(tmp_path: Path):
    rows = retention(run_home(tmp_path, ONCE | REPEATED))["retention"]

    for fact, slope, peak in (("once-1", 0.2, 101), ("repeated-1", 0.1, 301)):
        own = select(rows, fact_id=fact, split="held_out_templates")
        taus = [row["tau"] for row in own]
        assert {1, 2, 3, 5, 7, 10, 20, 50, 100} <= set(taus)
        assert max(taus) == (300 if peak == 101 else 100)
        wanted = {row["tau"]: 1 - slope * np.log10(row["tau"]) for row in own}
        near = slope * np.log10(1.1)  # the nearest probe is within a tenth of tau
        for row in own:
            assert row["retainability"] == pytest.approx(wanted[row["tau"]], abs=near)
            if row["tau"] < 20:  # probed step by step
                assert row["retainability"] == pytest.approx(wanted[row["tau"]])


def test_steps_without_a_probe_nearby_are_left_out(tmp_path: Path):
    """After the peak at 101: 4 is too far from 3 and from 5, 54 near enough to 50, 80 not to 70."""
    home = run_home(tmp_path, ONCE, steps=[99, 100, 101, 105, 155, 181], moments=MOMENTS[:1])
    (cell,) = [c for c in read_probed(home / "tables", 0) if c.split == "seen_templates"]
    taus, shares = retained_shares(cell)

    assert taus.tolist() == [1, 2, 3, 5, 7, 10, 20, 30, 50, 70]
    assert taus[np.isfinite(shares[0])].tolist() == [50]
    assert shares[1, 8] == pytest.approx(1 - 0.2 * np.log10(54))


def test_the_fit_is_the_mean_line_of_the_facts(tmp_path: Path):
    """T-K2: slopes of 0.1, 0.2 and 0.3 per decade; their mean meets zero after 10^5 steps."""
    steps = [99, 100, 101, *(101 + t for t in (1, 10, 100))]
    tables = retention(run_home(tmp_path, ONCE, steps, MOMENTS[:1]))
    row = only(tables["retention_fit"], split="seen_templates")

    assert (row["seed"], row["regime"]) == (0, "once")
    assert row["slope"] == pytest.approx(-0.2, abs=EXACT_IN_FLOAT64)
    assert row["intercept"] == pytest.approx(1)
    assert row["steps_to_zero"] == pytest.approx(1e5)
    assert (row["slope_low"], row["slope_high"]) == pytest.approx((-0.3, -0.1))
    assert (row["intercept_low"], row["intercept_high"]) == pytest.approx((1, 1))
    assert (row["steps_to_zero_low"], row["steps_to_zero_high"]) == pytest.approx(
        (10**3.333333333, 1e10)
    )
    assert [row[name] for name in ("effectivity", "effectivity_low")] == pytest.approx([3, 3])
    assert row["effectivity_high"] == pytest.approx(3)
    counts = [row[name] for name in ("n", "n_undefined", "n_values", "n_filtered")]
    assert counts == [3, 0, 9, 0]


def test_gains_are_averaged_over_injections_before_facts(tmp_path: Path):
    row = only(retention(run_home(tmp_path, REPEATED))["retention_fit"], split="seen_templates")
    gains = [(2 + (-1 - curve(299))) / 2 for curve in REPEATED.values()]

    assert row["effectivity"] == pytest.approx(np.mean(gains))
    assert row["effectivity_low"] < row["effectivity"] < row["effectivity_high"]


def test_facts_that_gained_nothing_are_counted_and_have_no_share(tmp_path: Path):
    flat = {"once-8": decaying({101: -4.99}, 0.5), "once-9": lambda step: -5.0}
    tables = retention(run_home(tmp_path, ONCE | flat))

    row = only(tables["retention_fit"], split="seen_templates")
    assert (row["n"], row["n_undefined"]) == (5, 2)
    assert {r["fact_id"] for r in tables["retention"]} == set(ONCE)
    assert len(select(tables["effectivity"], fact_id="once-9")) == 2


def test_shares_far_from_those_of_other_facts_are_marked_and_left_out_of_the_fit(tmp_path: Path):
    steps = [99, 100, 101, *(101 + t for t in (2, 10, 100))]
    curves = {f"once-{k}": decaying({101: -2.0}, 0.1 + 0.02 * k) for k in range(9)}
    usual = retention(run_home(tmp_path / "a", curves, steps, MOMENTS[:1]))
    wild = {"once-w": decaying({101: -4.9}, 40.0)}  # a small gain, and a large loss
    more = retention(run_home(tmp_path / "b", curves | wild, steps, MOMENTS[:1]))

    marked = {r["fact_id"] for r in more["retention"] if r["is_outlier"]}
    assert marked == {"once-w"}
    assert not any(r["is_outlier"] for r in usual["retention"])
    before, after = (
        only(tables["retention_fit"], split="seen_templates") for tables in (usual, more)
    )
    assert after["slope"] == pytest.approx(before["slope"])
    assert (before["n_values"], before["n_filtered"]) == (27, 0)
    assert (after["n_values"], after["n_filtered"], after["n"]) == (27, 3, 10)


def test_what_does_not_fall_never_meets_zero(tmp_path: Path):
    curves = {f"once-{k}": decaying({101: -2.0}, -0.1 * k) for k in range(3)}
    home = run_home(tmp_path, curves, [99, 100, 101], MOMENTS[:1])
    assert np.isnan(retention(home)["retention_fit"][0]["slope"])  # nothing after the peak

    growing = {f"once-{k}": decaying({150: -2.0}, -0.1 * k) for k in range(1, 4)}
    fit = retention(run_home(tmp_path, growing, moments=[(100, 100)]))["retention_fit"]
    row = only(fit, split="seen_templates")
    assert row["slope"] > 0
    ends = ("steps_to_zero", "steps_to_zero_low", "steps_to_zero_high")
    assert [row[name] for name in ends] == [np.inf] * 3


def test_one_fact_has_a_line_without_intervals(tmp_path: Path):
    row = only(
        retention(run_home(tmp_path, {"once-1": ONCE["once-1"]}))["retention_fit"],
        split="seen_templates",
    )

    assert (row["n"], row["n_filtered"]) == (1, 0)
    assert row["slope"] == pytest.approx(-0.2, abs=0.01)
    for name in ("slope", "intercept", "steps_to_zero", "effectivity"):
        assert np.isfinite(row[name])
        assert np.isnan([row[f"{name}_low"], row[f"{name}_high"]]).all()


def test_facts_of_several_runs_are_taken_together(tmp_path: Path):
    runs = [order_of([1, 2, 3], seed=seed) for seed in (3, 5)]
    homes = [run_home(tmp_path / str(k), ONCE) for k in range(2)]
    tables = dynamics_tables(runs, homes, draws=DRAWS)

    assert {row["seed"] for row in tables["effectivity"]} == {3, 5}
    assert {(row["seed"], row["n"]) for row in tables["retention_fit"]} == {(-1, 6)}


# --- all together


def test_every_table_has_the_columns_that_are_documented(tmp_path: Path):
    tables = retention(run_home(tmp_path, ONCE | REPEATED))

    assert list(tables) == [
        "emergence_points", "emergence_order", "effectivity", "retention", "retention_fit",
    ]  # fmt: skip
    for name, rows in tables.items():
        assert all(set(row) == set(table_schema(name).names) for row in rows), name
        frame = pd.DataFrame(rows)
        make_table(name, {c: frame[c].to_numpy() for c in frame})


@pytest.mark.parametrize("home", [None, Path("no-such-run")], ids=["a hub model", "no injections"])
def test_a_run_without_injections_has_no_rows_of_them(home: Path | None):
    run = order_of([1, 2, 3], [1, 2, 3])

    assert set(dynamics_tables([run], [home], draws=DRAWS)) == {
        "emergence_points",
        "emergence_order",
    }


def test_a_run_that_ends_within_its_first_injection_has_none(tmp_path: Path):
    home = run_home(tmp_path, ONCE, steps=[50, 99, 100])

    assert "effectivity" not in retention(home)


def test_a_missing_probe_before_an_injection_is_told(tmp_path: Path):
    home = run_home(tmp_path, ONCE, steps=[90, 100, 101, 102])

    with pytest.raises(ValueError, match="once were not probed at step 99"):
        retention(home)


def test_equal_runs_give_equal_rows(tmp_path: Path):
    home = run_home(tmp_path, ONCE | REPEATED)

    assert repr(retention(home)) == repr(retention(home))


def test_runs_that_cannot_be_taken_together_are_refused():
    with pytest.raises(ValueError, match="runs of one seed"):
        dynamics_tables([order_of([1, 2, 3])] * 2, [None, None])
