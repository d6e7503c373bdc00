"""The results of a study that was never run, of the shape in which ``co_emergence`` writes them."""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GENERATIVE = ("completion", "fitb", "openqa")
TASKS = (*GENERATIVE, "mcqa", "negmcqa", "verification")
ARMS = ("A0_full", "A1_withheld_target", "A2_single_source", "A5_never")
STEPS = (0, 1, 3, 9, 28, 84, *range(167, 3346, 167))
THETAS = (0.4, 0.6, 0.8)
Tables = dict[str, pd.DataFrame]


def manifest(seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": f"fact_injection-seed{seed}",
        "experiment": "fact_injection",
        "seed": seed,
        "git_commit": "90411edfcf3984fedf60cd874e0371dc6be233d6",
        "git_dirty": False,
        "versions": {"coemerge": "0.1.0", "torch": "2.13.0"},
        "n_parameters": 1507200,
        "steps": 3345,
        "tokens": 6702976,
        "wall_s": 411.1,
        "data_hash": "71b1c08941230f6c",
        "final_weights_sha256": f"{seed}3cd68a28516b69de647d3735e84ed97520fdd57d662108",
        **changes,
    }


def tables(n_seeds: int = 3) -> Tables:
    """All tables of the study, plausible and repeatable."""
    rng = np.random.default_rng(0)
    seeds = range(n_seeds)
    return {
        "pairs": _pairs(seeds, rng),
        "matrix": _matrix(rng),
        "variance": _variance(seeds, rng),
        "curves": _curves(seeds, rng),
        "exposure": _exposure(seeds, rng),
        "failure": _failure(),
        "nulls": pd.DataFrame(
            [
                ("failure_rate", "raw", "permutation", 0.41, 0.38, 0.44, 1200),
                ("failure_rate", "raw", "split_half", 0.062, 0.05, 0.075, 1200),
                ("failure_rate", "raw", "exposure_matched", 0.47, 0.42, 0.52, 600),
                ("interaction_share", "raw", "permutation", 0.55, 0.53, 0.57, 200),
                ("interaction_share", "logit", "permutation", 0.58, 0.56, 0.6, 200),
                ("score", "raw", "never_shown", -0.01, -0.04, 0.03, 40),
            ],
            columns=["quantity", "scale", "null", "value", "low", "high", "n"],
        ),
    }


_SUMMARY = (
    ("P1-a", "failure/0.6/all", 0.312, 0.287, 0.338, 1031),
    ("P1-a", "failure/0.6/A0_full", 0.011, 0.002, 0.021, 240),
    ("P1-a", "failure/0.6/A2_single_source", 0.45, 0.4, 0.5, 540),
    ("P1-a", "failure/0.4/all", 0.301, 0.277, 0.326, 1052),
    ("P1-a", "failure/0.8/all", 0.329, 0.301, 0.355, 1002),
    ("P1-b", "interaction/raw/total", 0.184, 0.171, 0.199, 690),
    ("P1-c", "transfer/exposed/fresh/generative/generative", 0.9, 0.85, 0.94, 90),
    ("P1-c", "transfer/exposed/fresh/generative/discriminative", 0.71, 0.66, 0.75, 135),
    ("P1-c", "transfer/exposed/fresh/discriminative/generative", 0.22, 0.18, 0.27, 135),
    ("P1-c", "transfer/exposed/fresh/discriminative/discriminative", 0.8, 0.74, 0.86, 90),
    ("P1-c", "difference/into_generative/fresh", 0.68, 0.6, 0.75, 225),
    ("P1-c", "difference/exposed/fresh", 0.49, 0.41, 0.56, 270),
    ("P1-c", "transfer/never/fresh/nothing/discriminative", 0.16, 0.11, 0.21, 120),
    ("P1-c", "transfer/never/fresh/nothing/generative", 0.01, 0.0, 0.03, 120),
    ("P1-c", "difference/beyond_never/fresh", 0.34, 0.25, 0.43, 390),
    ("P1-c", "transfer/exposed/seen/generative/discriminative", 0.777, 0.7, 0.8, 135),
    ("P1-c", "difference/exposed/seen", 0.3, -0.1, 0.5, 270),
)


def summary(n_seeds: int = 3) -> list[dict[str, Any]]:
    """Rows as the study writes them; the quantity is the name, that tests may look for it."""
    columns = ("id", "name", "value", "low", "high", "n")
    rows = []
    for values in _SUMMARY:
        row: dict[str, Any] = {**dict(zip(columns, values, strict=True)), "quantity": values[1]}
        row |= {"n_total": 1380 if values[0] == "P1-a" else None, "seeds": list(range(n_seeds))}
        row |= {"published": None, "source": "fact_injection-seed0, fact_injection-seed1, c, d"}
        row |= {"unit": "points"} if values[1].startswith("difference") else {}
        rows.append({**row, "interval": "95 %, bootstrap over seeds then facts"})
    return rows


def write_study(directory: Path, content: Tables, rows: list[dict[str, Any]] | None = None) -> Path:
    """A run's directory with one manifest and the study's results."""
    return write_results(directory, "co_emergence", content, summary() if rows is None else rows)


def write_results(
    directory: Path, study: str, tables: Mapping[str, pd.DataFrame], rows: list[dict[str, Any]]
) -> Path:
    """A run's directory with one manifest and a study's tables and summary."""
    home = directory / "results" / study
    home.mkdir(parents=True)
    for name, frame in tables.items():
        frame.to_parquet(home / f"{name}.parquet")
    (home / "summary.json").write_text(json.dumps(rows))
    (directory / "manifest.json").write_text(json.dumps(manifest(0)))
    return directory


def _pairs(seeds: range, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        (seed, f"fact-{k:04d}", task, ARMS[k % 4], theta, window, sustained, k % 5 != 0,
         "" if k % 7 else "competence lost", 84 if k % 5 else -1, 500 if k % 3 else -1, k % 3 > 0)
        for seed, k, task, theta, window, sustained in product(
            seeds, range(40), TASKS, (0.6,), (0, -1), ("any", "last"))
    ]  # fmt: skip
    names = (
        "seed fact_id task arm theta window sustained testable excluded_reason prerequisite_step "
        "emerged_step co_emerged"
    )
    return pd.DataFrame(rows, columns=names.split())


def _matrix(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for basis, theta, source, target, arm, options in product(
        ("exposed", "emerged"), THETAS, TASKS, TASKS, ("A2_single_source", "all"), ("seen", "fresh")
    ):
        rate = 0.95 if source == target else 0.7 if source in GENERATIVE else 0.2
        rate = float(np.clip(rate + rng.normal(0, 0.12), 0, 1))
        n = 0 if (source, target) == ("verification", "multihop") else int(rng.integers(20, 330))
        rows.append((basis, theta, source, target, arm, options, rate, rate - 0.05, rate + 0.05, n))
    names = "basis theta source target arm options rate low high n"
    frame = pd.DataFrame(rows, columns=names.split())
    empty = (frame["source"] == "verification") & (frame["target"] == "negmcqa")
    return frame.assign(rate=frame["rate"].mask(empty), n=frame["n"].mask(empty, 0))


def _variance(seeds: range, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for seed, step, scale, model, denominator in product(
        seeds, STEPS, ("raw", "logit", "rank"), ("plain", "nested", "covariate"), ("total", "cells")
    ):
        grown = step / (step + 700)
        for component, share in (("fact", 0.35), ("task", 0.3), ("interaction", 0.22)):
            eta = share * (grown if component != "task" else 1 - 0.5 * grown)
            eta *= 1.25 if denominator == "cells" else 1.0
            eta += 0.01 * rng.normal() + (0.05 if scale == "logit" else 0)
            significant = 0.001 if step > 84 else 0.4
            rows.append((seed, step, scale, model, denominator, component, abs(eta), 3.0,
                         significant, significant))  # fmt: skip
    names = "seed step scale model denominator component eta_squared F p_value q_value"
    return pd.DataFrame(rows, columns=names.split())


def _curves(seeds: range, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for seed, step, (k, task), arm, exposed in product(
        seeds, STEPS, enumerate(TASKS), ARMS, (True, False)
    ):
        if (arm, exposed) in (("A0_full", False), ("A5_never", True)):
            continue
        late = 400 + 250 * k + 150 * seed
        top = 0.02 if arm == "A5_never" else 1.0 if exposed else 0.55 - 0.06 * k
        rate = top / (1 + np.exp(-(step - late) / 160)) + 0.01 * abs(rng.normal())
        rows.append((seed, step, task, arm, exposed, min(rate, 1.0), 40))
    names = "seed step task arm exposed emerged_fraction n"
    return pd.DataFrame(rows, columns=names.split())


def _exposure(seeds: range, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for seed, source, target, dose in product(seeds, TASKS, TASKS, (0, 1, 3, 10, 30, 100)):
        slope = 1.0 if source == target else 0.7 if source in GENERATIVE else 0.25
        score = slope * dose / (dose + 8) + 0.04 * rng.normal()
        rows.append((seed, source, target, dose, score, score - 0.1, score + 0.1, 9))
    names = "seed source target exposures score low high n"
    return pd.DataFrame(rows, columns=names.split())


def _failure() -> pd.DataFrame:
    rows = []
    for theta, (k, window), (m, sustained), (a, arm) in product(
        THETAS,
        enumerate((0, 1, 2, 4, 8, 16, -1)),
        enumerate(("any", "last", "3-in-a-row")),
        enumerate(("all", *ARMS)),
    ):
        rate = 0.3 + 0.4 * 0.6**k + 0.04 * m + 0.1 * (a - 2) * (a > 0) + 0.1 * (theta - 0.6)
        half = 0.03 if arm == "all" else 0.07
        rows.append((theta, window, sustained, arm, rate, rate - half, rate + half,
                     1031 if arm == "all" else 260, 117, 232))  # fmt: skip
    names = "theta window sustained arm rate low high n_testable n_excluded n_untestable"
    frame = pd.DataFrame(rows, columns=names.split())
    return frame.assign(rate=frame["rate"].mask(frame["arm"] == "A5_never"))
