"""What the pictures of learning dynamics say, from made-up tables whose content is known."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coemerge.report.figure_dynamics import (
    draw_emergence_points,
    draw_retention,
    emergence_rows,
    order_rows,
)
from coemerge.report.plotting import drawing
from coemerge.report.style import VARIANT_COLOURS, save_figure
from tests.report.conftest import pictures

TASKS = ("mcqa", "completion", "openqa")
SPLITS = ("seen_templates", "held_out_templates")


def points(n: int = 10, never: int = 4) -> pd.DataFrame:
    """Per task ``n`` facts shown in it, all emerged, and ``n`` others; ``never`` never do."""
    rows = [
        {
            "seed": 0,
            "fact_id": f"f{i}",
            "task": task,
            "rule": rule,
            "theta": 0.6,
            "arm": "A2_single_source",
            "emerged_step": -1 if i >= 2 * n - never else 100 + 50 * (i % 7),
            "exposures": 3,
            "exposures_total": 9 if i < n else 0,
        }
        for task in TASKS
        for rule in ("fixed", "knee")
        for i in range(2 * n)
    ]
    return pd.DataFrame(rows)


def order(seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    """rho 0.5 in the first seed, 0.2 higher in each further one; other rows that do not belong."""
    rows = [
        {
            "seed": seed,
            "other_seed": seed,
            "task": one,
            "other_task": other,
            "rule": "fixed",
            "theta": 0.6,
            "arm": "all",
            "rho": 0.5 + 0.2 * k,
            "low": 0.4,
            "high": 0.6,
            "tau": 0.3,
            "n": 20,
            "n_both": 13,
        }
        for k, seed in enumerate(seeds)
        for one, other in combinations(TASKS, 2)
    ]
    others = [{"rule": "knee"}, {"arm": "A5_never"}, {"other_seed": 9, "other_task": "mcqa"}]
    return pd.DataFrame([*rows, *({**rows[0], "rho": -0.9, **other} for other in others)])


def retention(regimes: tuple[str, ...] = ("once", "repeated")) -> pd.DataFrame:
    rows = [
        {
            "seed": 0,
            "fact_id": f"{regime}-{k}",
            "regime": regime,
            "split": split,
            "tau": tau,
            "retainability": 50.0 if k == 9 else 1 - 0.2 * np.log10(tau) + 0.01 * k,
            "is_outlier": k == 9,
        }
        for regime in regimes
        for split in SPLITS
        for k in range(10)
        for tau in (1, 10, 100)
    ]
    return pd.DataFrame(rows)


def fits(slope: float = -0.2) -> pd.DataFrame:
    rows = []
    for regime in ("once", "repeated"):
        for split in SPLITS:
            row = {"seed": 0, "regime": regime, "split": split, "n": 12, "n_undefined": 2}
            for name, value in (("slope", slope), ("intercept", 1.0), ("steps_to_zero", 1e5)):
                row |= {name: value, f"{name}_low": value, f"{name}_high": value}
            rows.append({**row, "slope_low": -0.25, "slope_high": -0.15, "steps_to_zero_high": 1e9})
    return pd.DataFrame(rows)


def draw_when(emerged: pd.DataFrame, orders: pd.DataFrame) -> Figure:
    with drawing():
        return draw_emergence_points(emerged, orders)


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_share_that_never_emerges_stands_above_each_box():
    steps = draw_when(points(), order()).axes[0]

    assert [t.get_text() for t in steps.get_xticklabels()] == ["completion", "openqa", "mcqa"]
    assert texts(steps)[:6] == ["0 %\n10", "40 %\n10"] * 3
    assert steps.get_yscale() == "log"
    assert "optimizer step" in steps.get_ylabel()


def test_there_is_a_dot_for_each_fact_that_emerged():
    dots = [len(c.get_offsets()) for c in draw_when(points(), order()).axes[0].collections]

    assert dots == [10, 6] * 3


def test_steps_are_those_of_the_usual_rule():
    frame = points()
    frame.loc[frame["rule"] == "knee", "emerged_step"] = -1

    assert set(emergence_rows(frame)["rule"]) == {"fixed"}
    assert texts(draw_when(frame, order()).axes[0])[0] == "0 %\n10"


def test_a_fact_known_from_the_start_has_a_place_on_the_axis():
    frame = points()
    frame.loc[0, "emerged_step"] = 0

    dots = draw_when(frame, order()).axes[0].collections
    assert min(c.get_offsets()[:, 1].min() for c in dots) == 1


def test_the_map_shows_pairs_of_tasks_once_with_interval_and_counts():
    heat = draw_when(points(), order()).axes[1]

    assert texts(heat) == ["0.50\n[0.40, 0.60]\n13 / 20"] * 3
    assert "95 % interval" in heat.get_title()
    assert {(t.get_position()[0] < t.get_position()[1]) for t in heat.texts} == {True}


def test_of_several_seeds_it_shows_mean_range_and_all_facts():
    heat = draw_when(points(), order((0, 1))).axes[1]

    assert texts(heat) == ["0.60\n[0.50, 0.70]\n26 / 40"] * 3
    assert "range over seeds" in heat.get_title()


@pytest.mark.parametrize("orders", [pd.DataFrame(), order().assign(rho=np.nan)], ids=len)
def test_without_an_order_there_is_no_map(orders: pd.DataFrame):
    assert len(draw_when(points(), orders).axes) == 1


def test_rows_of_other_rules_arms_and_runs_are_left_out():
    assert len(order_rows(order())) == 3
    assert order_rows(pd.DataFrame()).empty


def test_where_nothing_emerged_the_picture_says_so():
    frame = points().assign(emerged_step=-1)

    assert texts(draw_when(frame, order()).axes[0])[:2] == ["100 %\n10", "100 %\n10"]


def draw_left(left: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    with drawing():
        return draw_retention(left, lines)


def test_means_leave_out_outliers_and_stand_with_their_intervals():
    panel = draw_left(retention(), fits()).axes[0]
    once = panel.containers[0]

    assert once.lines[0].get_ydata() == pytest.approx([1.04, 0.84, 0.64])
    assert once.lines[0].get_color() == VARIANT_COLOURS["once"]
    low, high = once.lines[2][0].get_segments()[0][:, 1]
    assert 1.0 < low < 1.04 < high < 1.08


def test_the_line_is_that_of_the_fit():
    panel = draw_left(retention(), fits(slope=-0.1)).axes[0]
    (line,) = [
        entry
        for entry in panel.lines
        if entry.get_linestyle() == "-"
        and entry.get_color() == VARIANT_COLOURS["repeated"]
        and len(entry.get_xdata()) == 2
    ]

    assert line.get_xdata().tolist() == [1, 100]
    assert line.get_ydata() == pytest.approx([1.0, 0.8])


def test_the_legend_gives_slope_steps_to_zero_and_facts():
    labels = [t.get_text() for t in draw_left(retention(), fits()).axes[1].get_legend().texts]

    text = "(n = 10 of 12): -0.20 [-0.25, -0.15]; 100,000 [100,000, > 10⁶]"
    assert labels == [f"once {text}", f"repeated {text}"]


def test_a_regime_without_a_line_keeps_its_points():
    panel = draw_left(retention(), fits(slope=np.nan)).axes[0]

    assert [t.get_text() for t in panel.get_legend().texts] == [
        "once (n = 10 of 12): no line",
        "repeated (n = 10 of 12): no line",
    ]
    assert len(panel.containers) == 2
    assert not [e for e in panel.lines if len(e.get_xdata()) == 2 and e.get_linestyle() == "-"]


def test_axes_say_what_they_show_and_probes_of_one_kind_have_one_panel():
    both = draw_left(retention(), fits()).axes
    assert [axes.get_title() for axes in both] == [
        "asked in the injected wording",
        "asked in other wordings",
    ]
    assert "τ" in both[0].get_xlabel()
    assert "R(τ)" in both[0].get_ylabel()

    left = retention()
    assert len(draw_left(left[left["split"] == SPLITS[1]], fits()).axes) == 1


def test_equal_tables_give_equal_pictures(tmp_path: Path):
    for name in ("one", "two"):
        with drawing():
            save_figure(draw_emergence_points(points(), order()), tmp_path / name, "when")
            save_figure(draw_retention(retention(), fits()), tmp_path / name, "left")

    assert pictures(tmp_path / "one") == pictures(tmp_path / "two")
    assert len(pictures(tmp_path / "one")) == 4
