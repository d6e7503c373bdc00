"""What injections give a fact, and what is left of it later (methods 3.11, after Chang et al.).

From the probes that training made around injections; no model here. Axes: F facts, S probed steps,
T steps since the peak.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from coemerge.statistics.dynamics import (
    Decay,
    Injection,
    decay_of,
    decay_sums,
    find_peaks,
    injections,
    is_outlier,
    retainability,
)
from coemerge.statistics.resampling import hierarchical_bootstrap
from coemerge.studies.co_emergence.runs import POOLED, Rows

ONCE = "once"  # the regime whose facts only the first injection shows
_LEAST_GAIN = 0.02  # nats; shares of less are undefined (methods 2.11)
_NEAR = 0.1  # how far a probe may lie from tau, as a share of tau
_MOST_DECADES = 30.0  # a line that meets 0 later than this does not meet it
_NO_LINE = Decay(np.nan, np.nan, np.nan)
_COLUMNS = ["seed", "fact_id", "regime", "split", "tau", "retainability", "is_outlier"]


@dataclass(frozen=True)
class Probed:
    """The facts of one run and regime under one kind of probe. ``curves`` [F, S]: log-probability
    of the answer per token, mean over wordings, nats."""

    seed: int
    regime: str
    split: str
    fact_ids: list[str]
    steps: np.ndarray
    curves: np.ndarray
    injections: list[Injection]

    def at(self, step: int) -> np.ndarray:
        """Values at a step, [F]. Raises ValueError where it was not probed."""
        found = np.flatnonzero(self.steps == step)
        if not len(found):
            raise ValueError(f"facts injected {self.regime} were not probed at step {step}")
        return self.curves[:, found[0]]

    def peaks(self, injection: Injection) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the best values after an injection, and these values, [F] both."""
        indices = find_peaks(self.curves, self.steps, injection)
        return self.steps[indices], np.take_along_axis(self.curves, indices[:, None], 1)[:, 0]


def retention_tables(homes: Mapping[int, Path], seed: int, draws: int) -> dict[str, Rows]:
    """Tables effectivity, retention and retention_fit. ``homes``: the directory of the tables of
    each run, by its seed; runs without injections add nothing."""
    probed = [cell for own, home in homes.items() for cell in read_probed(home, own)]
    effectivity = [row for cell in probed for row in effectivity_rows(cell)]
    retention = [row for cell in probed for row in retention_rows(cell)]
    fits = fit_rows(effectivity, retention, seed, draws)
    return {"effectivity": effectivity, "retention": retention, "retention_fit": fits}


def read_probed(tables: Path, seed: int) -> list[Probed]:
    """By regime and kind of probe; empty where nothing was injected by the end of training."""
    path = tables / "injections.parquet"
    if not path.is_file():
        return []
    scores = pq.read_table(path, columns=["step", "fact_id", "split", "nll"]).to_pandas()
    facts = pq.read_table(tables / "facts.parquet", columns=["fact_id", "detail"]).to_pandas()
    moments = pq.read_table(tables / "injection_steps.parquet").to_pandas()
    moments = moments.sort_values("first_step")
    final = scores["step"].max() if len(scores) else -1
    found = injections(moments["first_step"], moments["last_step"], final)
    if not found:
        return []
    probed = []
    for (regime, split), rows in scores.merge(facts, on="fact_id").groupby(["detail", "split"]):
        wide = -rows.pivot_table("nll", "fact_id", "step")  # a mean over wordings
        shown = found[:1] if regime == ONCE else found
        ids, steps = list(wide.index), wide.columns.to_numpy()
        probed.append(Probed(seed, str(regime), str(split), ids, steps, wide.to_numpy(), shown))
    return probed


def effectivity_rows(cell: Probed) -> Rows:
    """One row per fact and injection: l(t_inj) - l(t_m), as a gain of log-probability."""
    rows: Rows = []
    for number, injection in enumerate(cell.injections, start=1):
        before, (peak_steps, peak) = cell.at(injection.before), cell.peaks(injection)
        rows += [
            {
                "seed": cell.seed,
                "fact_id": fact_id,
                "regime": cell.regime,
                "split": cell.split,
                "injection": number,
                "before_step": injection.before,
                "peak_step": int(peak_steps[f]),
                "before_logprob": float(before[f]),
                "peak_logprob": float(peak[f]),
                "effectivity": float(peak[f] - before[f]),
            }
            for f, fact_id in enumerate(cell.fact_ids)
        ]
    return rows


def retention_rows(cell: Probed) -> Rows:
    """One row per fact and tau; facts without a gain have none, nor has a tau without a probe."""
    taus, retained = retained_shares(cell)
    outliers = np.zeros(retained.shape, dtype=bool)
    for k in range(len(taus)):
        outliers[:, k] = is_outlier(retained[:, k])
    return [
        {
            "seed": cell.seed,
            "fact_id": fact_id,
            "regime": cell.regime,
            "split": cell.split,
            "tau": int(tau),
            "retainability": float(retained[f, k]),
            "is_outlier": bool(outliers[f, k]),
        }
        for f, fact_id in enumerate(cell.fact_ids)
        for k, tau in enumerate(taus)
        if np.isfinite(retained[f, k])
    ]


def retained_shares(cell: Probed) -> tuple[np.ndarray, np.ndarray]:
    """Steps tau since each fact's peak after its last injection [T], and R(tau) [F, T], of the gain
    since before the first one.

    Taus are 1, 2, 3, 5 and 7 times powers of ten, about even on the axis of the fit, so that steps
    that were probed more densely weigh no more than others. NaN for gains below 0.02 nats, and
    where no probe is within a tenth of tau.
    """
    before = cell.at(cell.injections[0].before)
    peak_steps, peak = cell.peaks(cell.injections[-1])
    peak = np.where(peak - before >= _LEAST_GAIN, peak, np.nan)
    taus = _taus(int(cell.steps[-1] - peak_steps.min()))
    wanted = peak_steps[:, None] + taus
    after = np.searchsorted(cell.steps, wanted).clip(1, len(cell.steps) - 1)
    closer = wanted - cell.steps[after - 1] <= cell.steps[after] - wanted
    nearest = np.where(closer, after - 1, after)
    close = np.abs(cell.steps[nearest] - wanted) <= _NEAR * taus
    later = np.where(close, np.take_along_axis(cell.curves, nearest, axis=1), np.nan)
    return taus, np.asarray(retainability(before[:, None], peak[:, None], later))


def _taus(longest: int) -> np.ndarray:
    grid = [m * 10**decade for decade in range(len(str(longest))) for m in (1, 2, 3, 5, 7)]
    return np.array([tau for tau in grid if tau <= longest], dtype=int)


def fit_rows(effectivity: Rows, retention: Rows, seed: int, draws: int) -> Rows:
    """One row per regime and kind of probe, over all seeds. Facts are resampled with all of their
    values; outliers are left out beforehand."""
    if not effectivity:
        return []
    gains, left = pd.DataFrame(effectivity), pd.DataFrame(retention, columns=_COLUMNS)
    n_seeds = gains["seed"].nunique()
    rows: Rows = []
    for (regime, split), cell in gains.groupby(["regime", "split"]):
        per_fact = cell.groupby(["seed", "fact_id"])["effectivity"].mean()
        by_seed = [values.to_numpy() for _, values in per_fact.groupby("seed")]
        gain = hierarchical_bootstrap(by_seed, seed=seed, draws=draws)
        own = left[(left["regime"] == regime) & (left["split"] == split)]
        outliers = own["is_outlier"].astype(bool)
        rows.append(
            {
                "seed": int(gains["seed"].iloc[0]) if n_seeds == 1 else POOLED,
                "regime": regime,
                "split": split,
                **_columns("effectivity", gain.mean, gain.low, gain.high),
                **_line(own[~outliers], seed, draws),
                "n": gain.n,
                "n_undefined": gain.n - len(own[["seed", "fact_id"]].drop_duplicates()),
                "n_values": int((~outliers).sum()),
                "n_filtered": int(outliers.sum()),
            }
        )
    return rows


def _line(kept: pd.DataFrame, seed: int, draws: int) -> dict[str, float]:
    """Columns of the fit, NaN where there is none."""
    sums = _sums_by_seed(kept)  # [F, 5] per seed
    line = decay_of(np.sum([own.sum(axis=0) for own in sums], axis=0)) if sums else _NO_LINE
    found: dict[str, float] = {}
    for name in ("slope", "intercept", "decades_to_zero"):
        low = high = np.nan
        if np.isfinite(line.slope):
            value = partial(_value_of_line, name)
            estimate = hierarchical_bootstrap(sums, value, seed, draws)
            low, high = estimate.low, estimate.high
        if name == "decades_to_zero":
            ends = (_steps(end) for end in (_decades(line), low, high))
            found |= _columns("steps_to_zero", *ends)
        else:
            found |= _columns(name, getattr(line, name), low, high)
    return found


def _value_of_line(name: str, sums: np.ndarray) -> float:
    """Of the common line of facts [F, 5]."""
    line = decay_of(sums.sum(axis=0))
    return _decades(line) if name == "decades_to_zero" else float(getattr(line, name))


def _decades(line: Decay) -> float:
    """log10 of the steps to zero, bounded, so that quantiles can be taken."""
    return float(np.minimum(np.log10(line.steps_to_zero), _MOST_DECADES))


def _steps(decades: float) -> float:
    return np.inf if decades >= _MOST_DECADES else float(10.0**decades)


def _sums_by_seed(kept: pd.DataFrame) -> list[np.ndarray]:
    tables = []
    for _, rows in kept.groupby("seed"):
        wide = rows.pivot(index="fact_id", columns="tau", values="retainability")
        tables.append(decay_sums(wide.columns.to_numpy(dtype=float), wide.to_numpy(dtype=float)))
    return tables


def _columns(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}_low": low, f"{name}_high": high}
